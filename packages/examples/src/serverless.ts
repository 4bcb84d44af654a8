/**
 * A serverless function: its process is frozen as soon as it has answered, and thawed for the next call, or never. So its
 * handler closes its lock client before it answers; the connection to the database stays for the next call. Here the
 * process is frozen for real, by SIGSTOP, and somebody else locks meanwhile without waiting for anything.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { LockClient } from 'mongo-distributed-locks';
import { type Db, MongoClient } from 'mongodb';
import { serverUri, withDatabase } from './support/database.js';

const ORDER = { resource: 'orders', id: 42 };
const [, , dbName] = process.argv;

/** The function. Once for each process: what may live on while it is frozen. */
function makeHandler(dbName: string): () => Promise<{ token: number }> {
  const client = new MongoClient(serverUri());
  return async () => {
    const locks = new LockClient({ client, dbName }); // for each call: sends nothing before it is used
    try {
      return await locks.exec({ ...ORDER, timeoutMS: 10_000, fn: ({ fencingToken }) => ({ token: fencingToken }) });
    } finally {
      await locks.close(); // no session, ticket or change stream is left when the process is frozen
    }
  };
}

/** The platform: thaws the process, calls the function, and freezes it again. */
async function invoke(instance: ChildProcess): Promise<number> {
  instance.kill('SIGCONT');
  instance.send('invoke');
  const [{ token }] = (await once(instance, 'message')) as [{ token: number }];
  instance.kill('SIGSTOP');
  return token;
}

async function platform(db: Db): Promise<void> {
  const instance = fork(fileURLToPath(import.meta.url), [db.databaseName]);
  const ended = once(instance, 'exit');
  const first = await invoke(instance);
  assert.equal(await db.collection('dlocks.sessions').countDocuments({ state: 'alive' }), 0);

  const locks = new LockClient({ db });
  const lock = await locks.tryLock(ORDER);
  assert(lock);
  console.log(`the function held token ${first} and is frozen; token ${lock.fencingToken} was had without waiting`);
  await lock.unlock();
  await locks.close();

  const second = await invoke(instance);
  console.log(`thawed, it locks again: token ${second}`);
  assert(first < lock.fencingToken && lock.fencingToken < second);
  instance.kill('SIGKILL'); // what becomes of a frozen process in the end
  await ended;
}

if (dbName === undefined) await withDatabase(({ db }) => platform(db));
else {
  const handler = makeHandler(dbName);
  process.on('message', async () => process.send?.(await handler()));
}
