/** `forceRelease`: which run it ends, who gets the lock then, what its holder is told and when, and what is on record. */
import type { LockLostError } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { Wire } from '../../support/wrapped-ports.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
/** Nothing here is found out by a patrol or a heartbeat of these. */
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };
const REASON = { reason: 'it hangs', by: 'the operator' };

describe('a forced release', () => {
  it('gives the lock to the next in the queue, and tells the holder by its stream at once', async () => {
    const holder = await database.connected(SLOW);
    // Somebody waits in this process, so that it has a stream.
    const gate = await holder.locks.lock({ ...PAIR, id: 'other' });
    const other = await database.connected(SLOW);
    const queued = holder.locks.lock({ ...PAIR, id: 'other' });
    const lock = await holder.locks.lock(PAIR);
    const waiting = other.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await eventually(() => holder.seen('stream:opened').length === 1);
    const operator = await database.connected(SLOW);
    expect(await operator.locks.forceRelease({ ...PAIR, fencingToken: lock.fencingToken, ...REASON })).toBe(true);
    const next = await waiting;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    await eventually(() => lock.signal.aborted);
    const lost = lock.signal.reason as LockLostError;
    expect(lost.code).toBe('LOCK_LOST');
    expect(lost.forced).toEqual({ fencingToken: lock.fencingToken, ...REASON });
    expect(lost.message).toContain('it hangs');
    expect(holder.seen('lost')).toMatchObject([{ fencingToken: lock.fencingToken }]);
    expect([lock.held, await lock.unlock()]).toEqual([false, false]);
    expect((await operator.locks.inspect(PAIR)).forced).toMatchObject({ fencingToken: lock.fencingToken, ...REASON });
    await next.unlock();
    await gate.unlock();
    await (await queued).unlock();
  });

  it('tells a holder without a stream with its next heartbeat, and why', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(PAIR);
    const operator = await database.connected();
    expect(await operator.locks.forceRelease({ ...PAIR, fencingToken: lock.fencingToken, ...REASON })).toBe(true);
    expect(await database.holder(PAIR)).toBeNull();
    await eventually(() => lock.signal.aborted);
    expect((lock.signal.reason as LockLostError).forced).toEqual({ fencingToken: lock.fencingToken, ...REASON });
  });

  it('tells a holder in the same process at once, and names the client where nobody is named', async () => {
    const { locks } = await database.connected({ ...SLOW, label: 'ops' });
    const lock = await locks.lock(PAIR);
    const { fencingToken } = lock;
    expect(await locks.forceRelease({ ...PAIR, fencingToken, reason: 'why not' })).toBe(true);
    expect(lock.signal.aborted).toBe(true);
    expect((lock.signal.reason as LockLostError).forced).toEqual({ fencingToken, reason: 'why not', by: 'ops' });
  });

  it('ends a whole run by any of its tokens, and its other callers queue again behind those who waited', async () => {
    const holder = await database.connected(SLOW);
    const first = await holder.locks.lock(PAIR);
    const runner = await database.connected(SLOW);
    const calls = [1, 2, 3].map(() => runner.locks.lock(PAIR));
    await database.untilWaiting(PAIR, 3);
    const behind = await database.connected(SLOW);
    const waiting = behind.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 4);
    await first.unlock();
    const one = await (calls[0] as (typeof calls)[0]);
    const operator = await database.connected(SLOW);
    const request = { ...PAIR, fencingToken: one.fencingToken + 2, ...REASON };
    expect(await operator.locks.forceRelease(request)).toBe(true);
    const next = await waiting;
    await eventually(() => one.signal.aborted);
    await next.unlock();
    for (const call of calls.slice(1)) {
      const again = await call;
      expect(again.fencingToken).toBeGreaterThan(next.fencingToken);
      await again.unlock();
    }
  });

  it('leaves another run alone: false', async () => {
    const { locks } = await database.connected();
    const request = { ...PAIR, ...REASON };
    expect(await locks.forceRelease({ ...request, fencingToken: 1 })).toBe(false);
    const lock = await locks.lock(PAIR);
    expect(await locks.forceRelease({ ...request, fencingToken: lock.fencingToken + 1 })).toBe(false);
    expect(await locks.forceRelease({ ...request, fencingToken: lock.fencingToken - 1 })).toBe(false);
    expect(lock.held).toBe(true);
    await lock.unlock();
    expect(await locks.forceRelease({ ...request, fencingToken: lock.fencingToken })).toBe(false);
  });

  it.each(['dropRequest', 'dropReply'] as const)(
    'of which the outcome is unknown (%s) is resolved by reading (INV-09)',
    async (drop) => {
      const holder = await database.connected(SLOW);
      const lock = await holder.locks.lock(PAIR);
      const wire = new Wire();
      const operator = await database.connected(SLOW, { wrapPorts: wire.wrap });
      operator.expectsErrors = true;
      wire[drop]({ method: 'vacate' });
      const { fencingToken } = lock;
      expect(await operator.locks.forceRelease({ ...PAIR, fencingToken, ...REASON })).toBe(true);
      expect(await database.holder(PAIR)).toBeNull();
      expect(await lock.unlock()).toBe(true);
    },
  );

  it.each([
    [{ fencingToken: 0 }, 'fencingToken'],
    [{ fencingToken: '5' }, 'fencingToken'],
    [{ reason: '' }, 'reason'],
    [{ reason: 'x'.repeat(257) }, 'reason'],
    [{ by: {} }, 'by'],
    [{ force: true }, 'force'],
  ])('refuses %j', async (wrong, argument) => {
    const { locks, commands } = await database.connected();
    const request = { ...PAIR, fencingToken: 5, ...REASON, ...wrong };
    const error = await rejection(locks.forceRelease(request as never));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument });
    expect(commands.names).toEqual([]);
  });
});

itLeavesNothingBehind(database);
