/**
 * Two ways to stop waiting: a limit of time, and an `AbortSignal`. Both bound the wait and not the hold, and neither
 * leaves anything behind in the queue.
 */
import assert from 'node:assert/strict';
import { LockClient, LockTimeoutError } from 'mongo-distributed-locks';
import { withDatabase } from './support/database.js';

const REPORT = { resource: 'reports', id: 'daily' };

await withDatabase(async ({ db }) => {
  const holder = new LockClient({ db, label: 'the long report' });
  const locks = new LockClient({ db });
  await locks.connect(); // so that the limit bounds the wait alone
  const held = await holder.lock(REPORT);

  const timedOut: unknown = await locks.lock({ ...REPORT, timeoutMS: 200 }).catch((error: unknown) => error);
  assert(timedOut instanceof LockTimeoutError);
  assert.equal(timedOut.code, 'LOCK_TIMEOUT');
  assert(timedOut.waitedMS >= 200);
  console.log(`timed out: ${timedOut.message}`); // it says who holds the lock, where that is known by then

  await assert.rejects(locks.lock({ ...REPORT, timeoutMS: 0 }), { code: 'LOCK_TIMEOUT' }); // does not wait at all

  const reason = new Error('the user closed the page');
  const controller = new AbortController();
  locks.once('waiting', () => controller.abort(reason)); // only once it is really queued
  const aborted: unknown = await locks.lock({ ...REPORT, signal: controller.signal }).catch((error: unknown) => error);
  assert.equal(aborted, reason);
  console.log(`aborted: ${reason.message}`);

  await holder.unlock(held);
  const lock = await locks.lock({ ...REPORT, timeoutMS: 5_000, signal: AbortSignal.timeout(5_000) });
  console.log('granted after both had left: neither limit has a say in how long it is held');
  await lock.unlock();

  await locks.close();
  await holder.close();
  assert.equal(await db.collection('dlocks').countDocuments({ key: { $exists: true } }), 0);
  console.log('no ticket is left in the queue');
});
