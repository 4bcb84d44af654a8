/**
 * A hold that cannot be relied on any more: `lock.signal` aborts with a `LockLostError`. Here it is lost twice: its
 * session is declared dead on the server, as others do with a process that has fallen silent; and this process stands
 * still for longer than its lease. The default lease is 30 seconds; one second keeps the example short.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { LockClient, LockLostError } from 'mongo-distributed-locks';
import { withDatabase } from './support/database.js';

const JOB = { resource: 'jobs', id: 'import' };
const LEASE_MS = 1_000;

await withDatabase(async ({ db }) => {
  const locks = new LockClient({ db, leaseDurationMS: LEASE_MS });
  const sessions = db.collection('dlocks.sessions');

  const outcome: unknown = await locks
    .exec({
      ...JOB,
      fn: async ({ signal }) => {
        await sessions.updateMany({ state: 'alive' }, { $set: { state: 'dead', until: new Date(0) } });
        await once(signal, 'abort'); // real work hands the signal on, and stops by it
        return 'half an import';
      },
    })
    .catch((error: unknown) => error);
  assert(outcome instanceof LockLostError);
  assert.equal(outcome.result, 'half an import'); // what was done is not hidden, and not taken for a success
  console.log(`exec rejects: ${outcome.message}`);

  const lock = await locks.lock(JOB);
  const { signal } = lock;
  assert(lock.held && !signal.aborted);
  standStill(LEASE_MS + 200);
  assert.equal(lock.held, false); // false at once: it is compared with the clock, no timer had a chance to run
  if (!signal.aborted) await once(signal, 'abort');
  assert.equal((signal.reason as LockLostError).code, 'LOCK_LOST');
  assert.equal(await lock.unlock(), false); // the lock was not ours to give back
  console.log(`after standing still: ${(signal.reason as LockLostError).message}`);

  const again = await locks.lock(JOB);
  assert(again.held && again.fencingToken > lock.fencingToken);
  console.log('and the same client locks again, with a higher fencing token');
  await again.unlock();
  await locks.close();
});

/** What a long synchronous loop, a swapping machine or a suspended container do to a process. */
function standStill(durationMS: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, durationMS);
}
