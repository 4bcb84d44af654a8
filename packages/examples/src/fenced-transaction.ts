/**
 * A transaction that is refused because its lock has gone to another. The first holder reads, and then stands still for
 * longer than its lease; the second gets the lock and books. Then the first wakes up, and would write what it had worked
 * out: a transaction without the lock would be committed, and what the second has booked be lost.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { type Lock, LockClient, LockError } from 'mongo-distributed-locks';
import { type Db, MongoClient } from 'mongodb';
import { withDatabase } from './support/database.js';

const ACCOUNT = { resource: 'accounts', id: 'alice' };
const LEASE_MS = 1_000;

interface Account {
  readonly _id: string;
  readonly balance: number;
}

/** Reads, works out the new balance, perhaps for long, and writes it: committed only if the lock is still this one. */
async function book(db: Db, lock: Lock, amount: number, work: () => Promise<void> = async () => {}): Promise<void> {
  const accounts = db.collection<Account>('accounts');
  const { balance } = (await accounts.findOne({ _id: 'alice' })) ?? { balance: 0 };
  await work();
  await lock.withTransaction(async (session) => {
    await accounts.updateOne({ _id: 'alice' }, { $set: { balance: balance + amount } }, { session });
    await db.collection('bookings').insertOne({ account: 'alice', amount }, { session });
  });
}

/** Gets the lock, then its whole thread stands still until it is woken: no heartbeat, no timer, nothing. */
async function firstHolder(): Promise<void> {
  const { uri, dbName, wake } = workerData as { uri: string; dbName: string; wake: Int32Array };
  const client = await MongoClient.connect(uri);
  const locks = new LockClient({ client, dbName, leaseDurationMS: LEASE_MS });
  const lock = await locks.lock(ACCOUNT);
  const standStill = async (): Promise<void> => {
    parentPort?.postMessage('standing still');
    Atomics.wait(wake, 0, 0);
  };
  const outcome = await book(client.db(dbName), lock, 1_000, standStill).then(
    () => 'booked',
    (error: unknown) => (error instanceof LockError ? error.code : String(error)),
  );
  parentPort?.postMessage(outcome);
  await locks.close();
  await client.close();
}

async function secondHolder(uri: string, db: Db): Promise<void> {
  await db.collection<Account>('accounts').insertOne({ _id: 'alice', balance: 100 });
  await db.createCollection('bookings');
  const wake = new Int32Array(new SharedArrayBuffer(4));
  const first = new Worker(new URL(import.meta.url), { workerData: { uri, dbName: db.databaseName, wake } });
  await once(first, 'message');

  const locks = new LockClient({ db, leaseDurationMS: LEASE_MS });
  const lock = await locks.lock(ACCOUNT); // the first lets nobody in until its lease has lapsed
  await book(db, lock, 10);
  await lock.unlock();

  Atomics.store(wake, 0, 1);
  Atomics.notify(wake, 0);
  const [outcome] = (await once(first, 'message')) as [string];
  const account = await db.collection<Account>('accounts').findOne({ _id: 'alice' });
  console.log(`the second has booked 10; the first wakes up, and ends with ${outcome}: ${account?.balance}`);
  assert.equal(outcome, 'LOCK_LOST');
  assert.equal(account?.balance, 110);
  assert.equal(await db.collection('bookings').countDocuments(), 1);
  await once(first, 'exit');
  await locks.close();
}

if (isMainThread) await withDatabase(({ uri, db }) => secondHolder(uri, db));
else await firstHolder();
