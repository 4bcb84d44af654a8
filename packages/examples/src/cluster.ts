/**
 * Cluster workers that contend for one lock. Each makes a client of its own after the fork, so each is a contender among
 * all; the primary makes none for them. A worker closes its client before it lets go of the primary, and ends by itself.
 */
import assert from 'node:assert/strict';
import cluster from 'node:cluster';
import { once } from 'node:events';
import { LockClient } from 'mongo-distributed-locks';
import { type Db, MongoClient } from 'mongodb';
import { serverUri, withDatabase } from './support/database.js';

const WORKERS_COUNT = 3;
const TURNS_COUNT = 4;

/** Reads, then writes: whoever comes between the two is forgotten. */
async function sell(db: Db, worker: number, token: number): Promise<void> {
  const tickets = db.collection<{ _id: string; sales: { worker: number; token: number }[] }>('tickets');
  const sales = (await tickets.findOne({ _id: 'show' }))?.sales ?? [];
  await tickets.updateOne({ _id: 'show' }, { $set: { sales: [...sales, { worker, token }] } }, { upsert: true });
}

async function worker(): Promise<void> {
  const client = new MongoClient(serverUri());
  const db = client.db(process.env.EXAMPLE_DATABASE);
  const locks = new LockClient({ db });
  const turn = (): Promise<void> =>
    locks.exec({
      resource: 'tickets',
      id: 'show',
      fn: ({ fencingToken }) => sell(db, cluster.worker?.id ?? 0, fencingToken),
    });
  await Promise.all(Array.from({ length: TURNS_COUNT }, turn));
  await locks.close();
  await client.close();
  cluster.worker?.disconnect();
}

async function primary(db: Db): Promise<void> {
  const workers = Array.from({ length: WORKERS_COUNT }, () => cluster.fork({ EXAMPLE_DATABASE: db.databaseName }));
  const ends = await Promise.all(workers.map((each) => once(each, 'exit') as Promise<[number]>));
  assert.deepEqual(ends.flat().filter(Number), []);

  const sales: { worker: number; token: number }[] = (await db.collection('tickets').findOne())?.sales ?? [];
  console.log(`sold one after the other, by worker: ${sales.map((sale) => sale.worker).join(' ')}`);
  assert.equal(sales.length, WORKERS_COUNT * TURNS_COUNT);
  const tokens = sales.map(({ token }) => token);
  assert.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b),
  );
  assert.equal(await db.collection('dlocks.sessions').countDocuments({ state: 'alive' }), 0);
  console.log('and no session is left');
}

if (cluster.isPrimary) await withDatabase(({ db }) => primary(db));
else await worker();
