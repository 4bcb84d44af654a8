/**
 * The package over one version of the driver, which is its peer here and the only one there is: every source that is the driver's own, an ObjectId as
 * an id, contention of two clients, a fenced transaction, and nothing left. Compiled against that driver's types, then run.
 */
import assert from 'node:assert/strict';
import { LockClient, type LockClientOptions } from 'mongo-distributed-locks';
import { type ClientSession, type Db, MongoClient, ObjectId } from 'mongodb';

const uri = process.env.MONGODB_URI ?? '';
const dbName = process.env.DATABASE ?? '';
const CALLERS_COUNT = 6;

/** Reads and then writes: right only while nobody else does. */
async function count(db: Db, _id: ObjectId): Promise<void> {
  const counters = db.collection<{ _id: ObjectId; count: number }>('counters');
  const before = await counters.findOne({ _id });
  await counters.updateOne({ _id }, { $set: { count: (before?.count ?? 0) + 1 } }, { upsert: true });
}

/** Two clients on one lock: all get it, one at a time, with rising tokens. */
async function contend(db: Db, sources: [LockClientOptions, LockClientOptions]): Promise<void> {
  const clients = sources.map((source) => new LockClient(source));
  const lock = { resource: 'counters', id: new ObjectId() };
  const tokens: number[] = [];
  const calls = clients.flatMap((locks) =>
    Array.from({ length: CALLERS_COUNT }, () =>
      locks.exec({
        ...lock,
        fn: async ({ fencingToken }) => {
          tokens.push(fencingToken);
          await count(db, lock.id);
        },
      }),
    ),
  );
  await Promise.all(calls);
  assert.equal(new Set(tokens).size, 2 * CALLERS_COUNT);
  assert.deepEqual(
    tokens,
    tokens.toSorted((a, b) => a - b),
  );
  assert.equal((await db.collection('counters').findOne({ _id: lock.id }))?.count, 2 * CALLERS_COUNT);
  await Promise.all(clients.map((locks) => locks.close()));
}

/** What is written in the transaction of a hold is committed, and not once the lock is unlocked. */
async function fenced(locks: LockClient, db: Db): Promise<void> {
  const entries = db.collection<{ text: string }>('entries');
  const lock = await locks.lock({ resource: 'entries', id: 1 });
  const write = (text: string) => async (session: ClientSession) => {
    await entries.insertOne({ text }, { session });
  };
  await lock.withTransaction(write('in time'));
  await assert.rejects(
    lock.withTransaction(async (session: ClientSession) => {
      await write('too late')(session);
      await lock.unlock();
    }),
    { code: 'LOCK_LOST' },
  );
  assert.deepEqual(
    (await entries.find().toArray()).map(({ text }) => text),
    ['in time'],
  );
}

async function nothingLeft(db: Db): Promise<void> {
  assert.equal(await db.collection('dlocks').countDocuments({ key: { $exists: true } }), 0);
  assert.equal(await db.collection('dlocks').countDocuments({ grant: { $type: 'string' } }), 0);
  assert.equal(await db.collection('dlocks.sessions').countDocuments({ state: 'alive' }), 0);
}

const client = new MongoClient(uri);
const db = client.db(dbName);
await contend(db, [{ db }, { client, dbName }]);
await contend(db, [{ uri, dbName }, { db }]);
const locks = new LockClient({ client, dbName });
const held = await locks.lock({ resource: 'held', id: 1 });
assert.equal(await locks.tryLock({ resource: 'held', id: 1 }), null);
await assert.rejects(locks.lock({ resource: 'held', id: 1, timeoutMS: 20 }), { code: 'LOCK_TIMEOUT' });
assert.equal(await held.unlock(), true);
await fenced(locks, db);
await locks.close();
await nothingLeft(db);
await db.dropDatabase();
await client.close();
console.log('driver: done');
