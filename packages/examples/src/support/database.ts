/**
 * What every example needs and none is about: the server named by `MONGODB_URI`, and a database of its own there, dropped
 * at the end however the example ends. It knows nothing of locks.
 */
import { randomBytes } from 'node:crypto';
import { type Db, MongoClient } from 'mongodb';

export interface ExampleDatabase {
  readonly uri: string;
  readonly client: MongoClient;
  readonly db: Db;
}

/** Runs an example. What it throws goes on to Node, which prints it and ends with an exit code other than 0. */
export async function withDatabase(example: (database: ExampleDatabase) => Promise<void>): Promise<void> {
  const uri = serverUri();
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 5_000 });
  const db = client.db(`dlocks_example_${randomBytes(6).toString('hex')}`);
  try {
    await client.connect();
    await example({ uri, client, db });
  } finally {
    await db.dropDatabase().catch(() => {});
    await client.close();
  }
}

/** The server to use; without one there is nothing to show, so the process ends with a message. */
export function serverUri(): string {
  const uri = process.env.MONGODB_URI;
  if (uri) return uri;
  console.error('MONGODB_URI is not set. Set it to a replica set, such as mongodb://127.0.0.1:27017/?replicaSet=rs0');
  process.exit(1);
}
