/**
 * Calls and holds that end in every way but the ordinary one: aborted, timed out, closed, released twice, thrown out of. Rows P7, P8, P9 and P11
 * of the failure table, on the real server, with the interleavings arranged at the ports. Leases are long: what is passed on within a test was
 * passed on by its own client, and not by somebody who found it dead.
 */

import { LockClosedError, LockLostError, type LockSettings } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { type StoreMethod, useWires, type WiredClient } from '../../support/wrapped-ports.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
/** Nothing is found dead, and no patrol comes round, within a test. */
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };

const connectWired = useWires(database);
const wired = (settings: LockSettings = SLOW): Promise<WiredClient> => connectWired(settings);

/** A waiter whose wait the test can end. */
function ending(
  client: TestClient,
  how: 'abort' | 'timeout' | 'close',
): { ended: Promise<unknown>; end: () => Promise<void> } {
  const controller = new AbortController();
  const timeoutMS = how === 'timeout' ? 400 : Number.POSITIVE_INFINITY;
  const ended = rejection(client.locks.lock({ ...PAIR, signal: controller.signal, timeoutMS }));
  const end = async (): Promise<void> => {
    if (how === 'abort') controller.abort(new Error('no longer wanted'));
    if (how === 'close') void client.locks.close();
    await ended;
  };
  return { ended, end };
}

const REASONS = { abort: 'no longer wanted', timeout: 'not granted within 400 ms', close: 'was closed' };
const ENDINGS = ['abort', 'timeout', 'close'] as const;

describe('P7: a wait that ends', () => {
  describe.each(ENDINGS)('by %s', (how) => {
    it.each(['holdRequest', 'holdReply'] as const)(
      'while its arrival is in flight (%s) leaves no ticket',
      async (hold) => {
        const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
        const { wire, client } = await wired();
        const arrival = wire[hold]({ method: 'arrive' });
        const { ended, end } = ending(client, how);
        await arrival.reached();
        await end();
        expect(String(await ended)).toContain(REASONS[how]);
        arrival.letGo();
        await eventually(
          async () => wire.callsOf('deleteTickets').length > 0 && (await database.waitersCount(PAIR)) === 0,
        );
        // The holder read the queue while it was empty: its release names the arrival, behind which nobody is any more.
        expect(await holder.unlock()).toBe(true);
        const next = await (await database.connected(SLOW)).locks.lock(PAIR);
        expect(client.seen('granted')).toEqual([]);
        await next.unlock();
      },
    );

    it.each(['holdRequest', 'holdReply'] as const)(
      'while its first try is in flight (%s) holds nothing',
      async (hold) => {
        const { wire, client } = await wired();
        const first = wire[hold]({ method: 'tryGrant' });
        const { ended, end } = ending(client, how);
        await first.reached();
        await end();
        expect(String(await ended)).toContain(REASONS[how]);
        first.letGo();
        await eventually(async () => wire.callsOf('vacate').some(({ state }) => state === 'answered'));
        expect(await database.holder(PAIR)).toBeNull();
        expect(client.seen('granted')).toEqual([]);
      },
    );

    it('between its grant and the delivery of it passes the lock on at once', async () => {
      const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
      const { wire, client } = await wired();
      const delivery = wire.holdFact();
      const { ended, end } = ending(client, how);
      await wire.untilArrived();
      const behind = (await database.connected(SLOW)).locks.lock(PAIR);
      await database.untilWaiting(PAIR, 2);
      await holder.unlock();
      await delivery.reached();
      await end();
      delivery.letGo();
      expect(String(await ended)).toContain(REASONS[how]);
      const next = await behind;
      expect(next.fencingToken).toBeGreaterThan(holder.fencingToken + 1);
      expect(client.seen('granted')).toEqual([]);
      await next.unlock();
    });

    it('before its grant is delivered, and it never is, passes the lock on all the same', async () => {
      const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
      const { wire, client } = await wired();
      const delivery = wire.dropFact();
      const { end } = ending(client, how);
      await wire.untilArrived();
      await holder.unlock();
      await delivery.reached();
      const behind = (await database.connected(SLOW)).locks.lock(PAIR);
      await database.untilWaiting(PAIR, 2);
      await end();
      const next = await behind;
      expect(next.fencingToken).toBeGreaterThan(holder.fencingToken + 1);
      await next.unlock();
    });
  });

  it('by abort in the very turn its grant is delivered gives a lock or a rejection, never both, never neither', async () => {
    const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
    const { wire, client } = await wired();
    const early = new AbortController();
    const late = new AbortController();
    const rejected = rejection(client.locks.lock({ ...PAIR, signal: early.signal }));
    const granted = client.locks.lock({ ...PAIR, signal: late.signal });
    await wire.untilArrived();
    wire.replaceFact({}, (_, tell) => {
      early.abort(new Error('just before'));
      tell();
      late.abort(new Error('just after'));
    });
    await holder.unlock();
    expect(String(await rejected)).toContain('just before');
    const lock = await granted;
    expect(lock.held).toBe(true);
    expect(client.seen('granted')).toHaveLength(1);
    expect(await lock.unlock()).toBe(true);
    expect(await database.holder(PAIR)).toBeNull();
  });
});

describe('P8: a release', () => {
  it('made twice, at once and later, has the effect of one and never touches the next hold', async () => {
    const a = await database.connected(SLOW);
    const lock = await a.locks.lock(PAIR);
    const next = (await database.connected(SLOW)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    expect(await Promise.all([lock.unlock(), a.locks.unlock(lock)])).toEqual([true, false]);
    const held = await next;
    const stored = await database.stored(PAIR);
    expect(await Promise.all([lock.unlock(), a.locks.unlock(lock)])).toEqual([false, false]);
    expect(await database.stored(PAIR)).toEqual(stored);
    expect(held.held).toBe(true);
    await held.unlock();
  });

  it('called after the loss gives false and never touches the next hold', async () => {
    const { wire, client } = await wired({ ...SLOW, leaseDurationMS: 1_500, patrolIntervalMS: 500 });
    const lock = await client.locks.lock(PAIR);
    const next = (await database.connected({ ...SLOW, patrolIntervalMS: 200 })).locks.lock(PAIR);
    wire.holdRequest({ method: 'renewSession', times: Number.POSITIVE_INFINITY });
    const held = await next;
    const stored = await database.stored(PAIR);
    expect(lock.held).toBe(false);
    expect(lock.signal.aborted).toBe(true);
    expect(await lock.unlock()).toBe(false);
    expect(await database.stored(PAIR)).toEqual(stored);
    expect(held.held).toBe(true);
    await held.unlock();
  });

  it.each(['vacate', 'handoff'] as const)(
    'that reaches the server after the loss (%s) is refused there',
    async (method) => {
      const { wire, client } = await wired({ ...SLOW, leaseDurationMS: 1_500, patrolIntervalMS: 500 });
      const patient = await database.connected({ ...SLOW, patrolIntervalMS: 200 });
      const before = await (await database.connected(SLOW)).locks.lock(PAIR);
      const holding = client.locks.lock(PAIR);
      await database.untilWaiting(PAIR, 1);
      let next = method === 'handoff' ? patient.locks.lock(PAIR) : null;
      if (next !== null) await database.untilWaiting(PAIR, 2);
      await before.unlock();
      const lock = await holding;
      wire.holdRequest({ method: 'renewSession', times: Number.POSITIVE_INFINITY });
      // Whatever of the old session would clean up behind it must not be what refuses the release.
      wire.holdRequest({ method: 'condemnSession', times: Number.POSITIVE_INFINITY });
      const late = wire.holdRequest({ method, times: Number.POSITIVE_INFINITY });
      const released = lock.unlock();
      await late.reached();
      client.expectsErrors = true;
      next ??= patient.locks.lock(PAIR);
      const held = await next;
      const stored = await database.stored(PAIR);
      late.letGo();
      expect(await released).toBe(false);
      await eventually(() => late.taken.every(({ state }) => state === 'answered'));
      expect(await database.stored(PAIR)).toEqual(stored);
      expect(held.held).toBe(true);
      await held.unlock();
    },
  );

  it('is sent when its ticket is gone, and not before: nobody finds it in the queue', async () => {
    const before = await (await database.connected(SLOW)).locks.lock(PAIR);
    const { wire, client } = await wired();
    const deletion = wire.holdRequest({ method: 'deleteTickets' });
    const waiting = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await before.unlock();
    const lock = await waiting;
    const released = lock.unlock();
    await deletion.reached();
    expect(lock.held).toBe(false);
    expect(wire.callsOf('vacate')).toEqual([]);
    deletion.letGo();
    expect(await released).toBe(true);
    expect(await database.waitersCount(PAIR)).toBe(0);
  });

  it.each(['holdRequest', 'holdReply'] as const)('does not wait for a renewal under way (%s)', async (hold) => {
    const { wire, client } = await wired({ ...SLOW, leaseDurationMS: 1_500, patrolIntervalMS: 500 });
    const lock = await client.locks.lock(PAIR);
    const renewal = wire[hold]({ method: 'renewSession' });
    await renewal.reached();
    expect(await lock.unlock()).toBe(true);
    renewal.letGo();
    expect(await database.holder(PAIR)).toBeNull();
    expect(client.seen('lost')).toEqual([]);
  });
});

describe('P9: closing the client', () => {
  it('while waiting rejects every waiter with LOCK_CLOSED and removes its ticket', async () => {
    const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
    const client = await database.connected(SLOW);
    const waiters = [rejection(client.locks.lock(PAIR)), rejection(client.locks.exec({ ...PAIR, fn: () => 1 }))];
    await database.untilWaiting(PAIR, 2);
    await client.locks.close();
    for (const error of await Promise.all(waiters)) expect(error).toMatchObject({ code: 'LOCK_CLOSED' });
    expect(await database.waitersCount(PAIR)).toBe(0);
    expect(holder.held).toBe(true);
    await holder.unlock();
    // The release named the first who had arrived: whoever comes next finds that session dead, and waits for no lease.
    await (await (await database.connected(SLOW)).locks.lock(PAIR)).unlock();
  });

  it('while holding tells the holder first and hands the lock to the next', async () => {
    const { wire, client } = await wired();
    const lock = await client.locks.lock(PAIR);
    const next = (await database.connected(SLOW)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const release = wire.holdRequest({ method: 'vacate' });
    const closed = client.locks.close();
    await release.reached();
    expect(lock.held).toBe(false);
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(lock.signal.reason.cause).toBeInstanceOf(LockClosedError);
    release.letGo();
    await closed;
    await (await next).unlock();
    expect(client.seen('lost')).toHaveLength(1);
  });

  it.each(['renewSession', 'readGrantsOf', 'readAwaited'] satisfies StoreMethod[])(
    'does not wait for a heartbeat or patrol under way (%s)',
    async (method) => {
      const { wire, client } = await wired({ ...SLOW, leaseDurationMS: 1_500, patrolIntervalMS: 300 });
      const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
      await client.locks.lock({ ...PAIR, id: 'other' });
      const waiter = rejection(client.locks.lock(PAIR));
      await database.untilWaiting(PAIR, 1);
      const underWay = wire.holdReply({ method });
      await underWay.reached();
      const closed = client.locks.close();
      expect(await waiter).toMatchObject({ code: 'LOCK_CLOSED' });
      // A read of its own grants is part of closing: that one is sent again when it is not answered in time.
      await closed;
      underWay.letGo();
      expect(await database.waitersCount(PAIR)).toBe(0);
      await holder.unlock();
      await (await (await database.connected(SLOW)).locks.lock(PAIR)).unlock();
    },
  );
});

describe('P11: the callback of exec', () => {
  it('that throws, or rejects, gives the lock back before its error is passed on', async () => {
    const { locks } = await database.connected(SLOW);
    const thrown = new Error('thrown');
    const throwing = (): never => {
      throw thrown;
    };
    expect(await rejection(locks.exec({ ...PAIR, fn: throwing }))).toBe(thrown);
    expect(await database.holder(PAIR)).toBeNull();
    expect(await rejection(locks.exec({ ...PAIR, fn: () => Promise.reject(thrown) }))).toBe(thrown);
    expect(await database.holder(PAIR)).toBeNull();
  });

  it('that never settles holds for as long as its process lives, and the error of who waits names the holder', async () => {
    const { wire, client } = await wired({ ...SLOW, leaseDurationMS: 1_000, patrolIntervalMS: 300 });
    void client.locks.exec({ ...PAIR, fn: () => new Promise(() => {}) });
    await eventually(() => database.holder(PAIR));
    const stored = await database.stored(PAIR);
    await eventually(() => wire.callsOf('renewSession').filter(({ state }) => state === 'answered').length >= 6);
    expect(await database.stored(PAIR)).toEqual(stored);
    const error = await rejection((await database.connected()).locks.lock({ ...PAIR, timeoutMS: 200 }));
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', holder: { session: client.session, pid: process.pid } });
    expect(client.seen('lost')).toEqual([]);
    await client.locks.close();
    await eventually(async () => (await database.holder(PAIR)) === null);
  });
});

itLeavesNothingBehind(database);
