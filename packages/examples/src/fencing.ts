/**
 * A fencing token that is refused. The first holder stands still for longer than its lease, the second gets the lock and
 * writes; then the first wakes up, in the middle of its work, and writes too late. No lock can stop that write, but
 * what is guarded can: it keeps the highest token it has seen, and refuses lower ones.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LockClient } from 'mongo-distributed-locks';
import { type Db, MongoClient } from 'mongodb';
import { withDatabase } from './support/database.js';

const PAGE = { resource: 'pages', id: 'home' };
const LEASE_MS = 1_000;

/** The guarded write: one condition more than without a lock. */
async function save(db: Db, text: string, token: number): Promise<boolean> {
  const pages = db.collection<{ _id: string; text: string; token: number }>('pages');
  const { matchedCount } = await pages.updateOne({ _id: 'home', token: { $lte: token } }, { $set: { text, token } });
  return matchedCount === 1;
}

/** Gets the lock, then its whole thread stands still until it is woken: no heartbeat, no timer, nothing. */
async function firstHolder(): Promise<void> {
  const { uri, dbName, wake } = workerData as { uri: string; dbName: string; wake: Int32Array };
  const client = await MongoClient.connect(uri);
  const locks = new LockClient({ client, dbName, leaseDurationMS: LEASE_MS });
  const { fencingToken, signal } = await locks.lock(PAGE);
  parentPort?.postMessage(fencingToken);
  Atomics.wait(wake, 0, 0);
  const saved = await save(client.db(dbName), 'written by the first, too late', fencingToken);
  parentPort?.postMessage({ saved, aborted: signal.aborted });
  await locks.close();
  await client.close();
}

async function secondHolder(uri: string, db: Db): Promise<void> {
  await db.collection<{ _id: string }>('pages').insertOne({ _id: 'home', text: '', token: 0 } as { _id: string });
  const wake = new Int32Array(new SharedArrayBuffer(4));
  const first = new Worker(new URL(import.meta.url), { workerData: { uri, dbName: db.databaseName, wake } });
  const [firstToken] = (await once(first, 'message')) as [number];

  const locks = new LockClient({ db, leaseDurationMS: LEASE_MS });
  const lock = await locks.lock(PAGE); // the first lets nobody in until its lease has lapsed
  console.log(`the first held token ${firstToken} and fell silent; the second holds token ${lock.fencingToken}`);
  assert(lock.fencingToken > firstToken);
  assert.equal(await save(db, 'written by the second', lock.fencingToken), true);

  Atomics.store(wake, 0, 1);
  Atomics.notify(wake, 0);
  const [{ saved, aborted }] = (await once(first, 'message')) as [{ saved: boolean; aborted: boolean }];
  console.log(
    `the first wakes up: its write is ${saved ? 'done' : 'refused'}, its signal ${aborted ? 'is' : 'is not'} aborted`,
  );
  assert.deepEqual({ saved, aborted }, { saved: false, aborted: true });
  assert.equal((await db.collection('pages').findOne())?.text, 'written by the second');
  await once(first, 'exit');
  await locks.close();
}

if (isMainThread) await withDatabase(({ uri, db }) => secondHolder(uri, db));
else await firstHolder();
