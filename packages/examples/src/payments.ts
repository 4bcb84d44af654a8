/**
 * Several payments of one user are taken at once, and the balance comes out exact: each runs while it alone holds the
 * lock of that user. Here all are in one process; in as many processes as you like nothing changes.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { DLocks } from 'mongo-distributed-locks';
import { withDatabase } from './support/database.js';

const AMOUNTS = [5, 10, 15, 20, 5, 10, 15, 20];

await withDatabase(async ({ db }) => {
  const users = db.collection<{ _id: string; balance: number }>('users');
  await users.insertMany([
    { _id: 'ann', balance: 100 },
    { _id: 'bob', balance: 100 },
  ]);

  /** Reads, calls the payment provider, writes: whoever comes between the read and the write is forgotten. */
  async function pay(user: string, amount: number): Promise<void> {
    const before = await users.findOne({ _id: user });
    await sleep(5);
    await users.updateOne({ _id: user }, { $set: { balance: (before?.balance ?? 0) - amount } });
  }

  async function balance(user: string): Promise<number | undefined> {
    return (await users.findOne({ _id: user }))?.balance;
  }

  await Promise.all(AMOUNTS.map((amount) => pay('bob', amount)));
  console.log(`without the lock: 100 less 100 in ${AMOUNTS.length} payments is ${await balance('bob')}`);

  DLocks.configure({ db });
  const [first, ...others] = AMOUNTS.map((amount) => ({ resource: 'users', id: 'ann', fn: () => pay('ann', amount) }));
  assert(first);
  // The two forms do the same.
  await Promise.all([new DLocks(first).exec(), ...others.map((payment) => DLocks.exec(payment))]);
  await DLocks.close();

  console.log(`with the lock:    100 less 100 in ${AMOUNTS.length} payments is ${await balance('ann')}`);
  assert.equal(await balance('ann'), 0);
});
