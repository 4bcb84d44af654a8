/** Waiting: how a wait ends (grant, time-out, abort), what the caller learns, and that nothing of it stays in the queue. */
import { getEventListeners } from 'node:events';
import os from 'node:os';
import { type Lock, LockClient, LockTimeoutError } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { given, itLeavesNothingBehind, SETTINGS, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };

/** Two clients, of which the first holds the lock. */
async function heldByAnother(): Promise<{ holder: TestClient; waiter: TestClient; lock: Lock }> {
  const holder = await database.connected({ label: 'the holder' });
  const waiter = await database.connected();
  return { holder, waiter, lock: await holder.locks.lock(pair) };
}

describe('a caller that waits', () => {
  it('gets the lock when the holder of another process unlocks it', async () => {
    const { waiter, lock } = await heldByAnother();
    const waiting = waiter.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    expect(await lock.unlock()).toBe(true);
    const next = await waiting;
    expect(next.held).toBe(true);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    expect(await next.unlock()).toBe(true);
  });

  it('gets the lock when a holder of the same client unlocks it', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(pair);
    const waiting = locks.lock(pair);
    await database.untilWaiting(pair, 1);
    expect(await lock.unlock()).toBe(true);
    expect(await (await waiting).unlock()).toBe(true);
  });

  it('is served in the order in which the calls were made, over three processes (INV-03)', async () => {
    const { waiter, lock } = await heldByAnother();
    const others = [waiter, await database.connected(), waiter, await database.connected(), waiter, waiter];
    const order: number[] = [];
    const served = [];
    for (const [index, { locks }] of others.entries()) {
      served.push(locks.exec({ ...pair, fn: () => order.push(index) }));
      await database.untilWaiting(pair, index + 1);
    }
    await lock.unlock();
    await Promise.all(served);
    expect(order).toEqual(others.map((_, index) => index));
  });

  it('emits that it waits, and for whom, with its label', async () => {
    const { waiter, holder, lock } = await heldByAnother();
    const waiting = waiter.locks.lock({ ...pair, label: 'job 5' });
    await database.untilWaiting(pair, 1);
    expect(waiter.seen('waiting')).toEqual([
      { ...pair, label: 'job 5', holder: expect.objectContaining({ session: holder.session }) },
    ]);
    await lock.unlock();
    await (await waiting).unlock();
    expect(waiter.seen('granted')).toEqual([expect.objectContaining({ ...pair, label: 'job 5' })]);
  });
});

describe('timeoutMS', () => {
  it('ends a wait with LOCK_TIMEOUT, which says how long it waited and who holds the lock', async () => {
    const { waiter, holder, lock } = await heldByAnother();
    const error = await rejection(waiter.locks.lock({ ...pair, timeoutMS: 800 }));
    expect(error).toBeInstanceOf(LockTimeoutError);
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', retryable: true, ...pair });
    expect((error as LockTimeoutError).waitedMS).toBeGreaterThanOrEqual(800);
    expect((error as LockTimeoutError).holder).toEqual({
      session: holder.session,
      fencingToken: lock.fencingToken,
      host: os.hostname(),
      pid: process.pid,
      label: 'the holder',
    });
    expect((error as Error).message).toContain('the holder');
    await lock.unlock();
  });

  it('of 0 does not wait, writes no ticket, and says who holds the lock', async () => {
    const { waiter, holder, lock } = await heldByAnother();
    const error = await rejection(waiter.locks.lock({ ...pair, timeoutMS: 0 }));
    expect(error).toMatchObject({ code: 'LOCK_TIMEOUT', holder: { session: holder.session } });
    expect(waiter.commands.names.filter((name) => name !== 'aggregate')).toEqual(['findAndModify']);
    await lock.unlock();
  });

  it('leaves no ticket, and those behind keep their places (INV-08)', async () => {
    const { waiter, lock } = await heldByAnother();
    const third = await database.connected();
    const leaving = rejection(waiter.locks.lock({ ...pair, timeoutMS: 1_500 }));
    await database.untilWaiting(pair, 1);
    const staying = third.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    expect(await leaving).toMatchObject({ code: 'LOCK_TIMEOUT' });
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    const next = await staying;
    expect(next.held).toBe(true);
    await next.unlock();
  });

  it('bounds the wait and not the hold', async () => {
    const { waiter, lock } = await heldByAnother();
    const waiting = waiter.locks.lock({ ...pair, timeoutMS: 1_500 });
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    const next = await waiting;
    const endAt = performance.now() + 1_600;
    await eventually(() => performance.now() > endAt);
    expect(next.held).toBe(true);
    expect(next.signal.aborted).toBe(false);
    await next.unlock();
  });

  it.each([2 ** 31, 2 ** 53, Number.POSITIVE_INFINITY])('of %d waits, and does not fire at once', async (timeoutMS) => {
    const { waiter, lock } = await heldByAnother();
    const waiting = waiter.locks.lock({ ...pair, timeoutMS });
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    expect(await (await waiting).unlock()).toBe(true);
  });

  it('ends a wait for a lock of its own caller, and names that caller: locks are not re-entrant (Q9)', async () => {
    const { locks, session } = await database.connected();
    const lock = await locks.lock(pair);
    const error = await rejection(locks.lock({ ...pair, timeoutMS: 100 }));
    expect(error).toMatchObject({
      code: 'LOCK_TIMEOUT',
      holder: { session, fencingToken: lock.fencingToken, pid: process.pid },
    });
    await lock.unlock();
  });

  it('ends an exec without calling fn', async () => {
    const { waiter, lock } = await heldByAnother();
    let calls = 0;
    const fn = (): void => {
      calls += 1;
    };
    expect(await rejection(waiter.locks.exec({ ...pair, timeoutMS: 100, fn }))).toMatchObject({ code: 'LOCK_TIMEOUT' });
    await lock.unlock();
    const next = await waiter.locks.lock(pair);
    expect(calls).toBe(0);
    await next.unlock();
  });
});

describe('a signal', () => {
  it.each([
    ['an error', new Error('enough')],
    ['a text', 'enough'],
    ['null', null],
  ])('ends a wait with its own reason, here %s', async (_what, reason) => {
    const { waiter, lock } = await heldByAnother();
    const controller = new AbortController();
    const waiting = rejection(waiter.locks.lock({ ...pair, signal: controller.signal }));
    await database.untilWaiting(pair, 1);
    controller.abort(reason);
    expect(await waiting).toBe(reason);
    await database.untilWaiting(pair, 0);
    await lock.unlock();
  });

  it('of AbortSignal.timeout ends a wait with its TimeoutError', async () => {
    const { waiter, lock } = await heldByAnother();
    const signal = AbortSignal.timeout(100);
    expect(await rejection(waiter.locks.lock({ ...pair, signal }))).toBe(signal.reason);
    expect(signal.reason).toMatchObject({ name: 'TimeoutError' });
    await lock.unlock();
  });

  it('that is aborted already rejects the call before anything is sent, also where the lock is free', async () => {
    const { locks, commands } = await database.connected();
    const signal = AbortSignal.abort('before');
    expect(await rejection(locks.lock({ ...pair, signal }))).toBe('before');
    expect(await rejection(locks.exec({ ...pair, signal, fn: () => 1 }))).toBe('before');
    expect(commands.all).toEqual([]);
  });

  it('has no effect after the grant', async () => {
    const { locks } = await database.connected();
    const controller = new AbortController();
    const lock = await locks.lock({ ...pair, signal: controller.signal });
    controller.abort();
    expect(lock.held).toBe(true);
    expect(lock.signal.aborted).toBe(false);
    expect(await locks.tryLock(pair)).toBeNull();
    expect(await lock.unlock()).toBe(true);
  });

  it('of a caller that leaves the queue costs nobody else his place (INV-08)', async () => {
    const { waiter, lock } = await heldByAnother();
    const third = await database.connected();
    const controller = new AbortController();
    const leaving = rejection(waiter.locks.lock({ ...pair, signal: controller.signal }));
    await database.untilWaiting(pair, 1);
    const staying = third.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    controller.abort('gone');
    await leaving;
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    expect(await (await staying).unlock()).toBe(true);
  });

  it('shared by 1,000 calls has one listener, none after they have settled, and prints no warning', async () => {
    const { waiter, lock } = await heldByAnother();
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on('warning', onWarning);
    const controller = new AbortController();
    const { signal } = controller;
    const calls = Array.from({ length: 1_000 }, (_, index) => {
      return rejection(waiter.locks.lock({ ...pair, signal, ...(index % 2 === 0 && { timeoutMS: 1_000_000 }) }));
    });
    await database.untilWaiting(pair, 1_000);
    expect(getEventListeners(signal, 'abort')).toHaveLength(1);
    controller.abort('all of you');
    expect(new Set(await Promise.all(calls))).toEqual(new Set(['all of you']));
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
    await database.untilWaiting(pair, 0);
    await lock.unlock();
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });

  it('that lives on has no listener left of 1,000 calls that were granted', async () => {
    const { locks } = await database.connected();
    const { signal } = new AbortController();
    const calls = Array.from({ length: 1_000 }, () => locks.exec({ ...pair, signal, fn: () => 1 }));
    expect(await Promise.all(calls)).toHaveLength(1_000);
    expect(getEventListeners(signal, 'abort')).toHaveLength(0);
  });
});

describe('a call that still connects', () => {
  /** Nobody listens there, and the driver would look for a server for half a minute. */
  const uri = 'mongodb://127.0.0.1:9/app?serverSelectionTimeoutMS=30000';
  const logger = { error: () => {} };

  it('is ended by timeoutMS, by its signal and by close, and close waits for nothing', async () => {
    const locks = new LockClient({ uri, logger, ...SETTINGS });
    const controller = new AbortController();
    const timedOut = rejection(locks.lock({ ...pair, timeoutMS: 100 }));
    const aborted = rejection(locks.lock({ ...pair, signal: controller.signal }));
    const closed = [locks.lock(pair), locks.tryLock({ resource: 'account', id: 8 }), locks.connect()].map((call) =>
      rejection(call),
    );
    expect(await timedOut).toMatchObject({ code: 'LOCK_TIMEOUT', ...pair });
    controller.abort('enough');
    expect(await aborted).toBe('enough');
    await locks.close();
    for (const error of await Promise.all(closed)) expect(error).toMatchObject({ code: 'LOCK_CLOSED' });
  });

  it('by a MongoClient that was given is ended by close as well, and that client is left alone', async () => {
    const mongo = new MongoClient(uri);
    const locks = new LockClient({ client: mongo, logger, ...SETTINGS });
    const waiting = rejection(locks.lock(pair));
    await locks.close();
    expect(await waiting).toMatchObject({ code: 'LOCK_CLOSED' });
    await mongo.close();
  });
});

describe('an abort that races with the grant', () => {
  it('gives exactly one of a lock and a rejection, and the next caller gets the lock either way (P7)', async () => {
    const { holder, waiter, lock } = await heldByAnother();
    let current = lock;
    const outcomes: string[] = [];
    for (let round = 0; round < 40; round += 1) {
      const controller = new AbortController();
      const waiting = waiter.locks.lock({ ...pair, signal: controller.signal });
      const outcome = waiting.then(
        async (granted) => (await granted.unlock()) && 'granted',
        (reason: unknown) => reason,
      );
      await database.untilWaiting(pair, 1);
      const unlocking = current.unlock();
      if (round % 4 > 0) await new Promise((resolve) => setTimeout(resolve, round % 4));
      controller.abort('aborted');
      outcomes.push(String(await outcome));
      await unlocking;
      current = await holder.locks.lock({ ...pair, timeoutMS: 5_000 });
    }
    expect(new Set(outcomes).size).toBeGreaterThan(0);
    expect(outcomes.filter((outcome) => outcome !== 'granted' && outcome !== 'aborted')).toEqual([]);
    await current.unlock();
  });

  it('gives the lock back at once when it comes while the first attempt is on its way (P7)', async () => {
    const gate = new Gate();
    const answered = async <T>(send: () => Promise<T>): Promise<T> => {
      const answer = await send();
      await gate.pass();
      return answer;
    };
    const { locks } = await database.connected({}, hooked({ tryGrant: answered }));
    const controller = new AbortController();
    const waiting = rejection(locks.lock({ ...pair, signal: controller.signal }));
    await eventually(() => gate.arrivedCount === 1);
    expect(await database.holder(pair)).not.toBeNull();
    controller.abort('while it was on its way');
    expect(await waiting).toBe('while it was on its way');
    gate.open();
    await eventually(async () => (await database.holder(pair)) === null);
  });

  it('leaves no ticket when it comes while the arrival is on its way (P7)', async () => {
    const gate = new Gate();
    const answered = async <T>(send: () => Promise<T>): Promise<T> => {
      const answer = await send();
      await gate.pass();
      return answer;
    };
    const holder = await database.connected();
    const lock = await holder.locks.lock(pair);
    const { locks } = await database.connected({}, hooked({ arrive: answered }));
    const controller = new AbortController();
    const waiting = rejection(locks.lock({ ...pair, signal: controller.signal }));
    await eventually(() => gate.arrivedCount === 1);
    controller.abort('while it was on its way');
    expect(await waiting).toBe('while it was on its way');
    gate.open();
    await database.untilWaiting(pair, 0);
    await lock.unlock();
    // The release may still grant the arrival that was noted; whoever it belonged to passes it on at once.
    await eventually(async () => (await database.holder(pair)) === null, 1_000);
  });

  it('passes the lock on at once when it was granted and nobody had been told yet (P7, Q2)', async () => {
    const held: (() => void)[] = [];
    const { lock, holder } = await heldByAnother();
    const late = await database.connected({}, hooked({ fact: (deliver) => void held.push(deliver) }));
    const controller = new AbortController();
    const waiting = rejection(late.locks.lock({ ...pair, signal: controller.signal }));
    await database.untilWaiting(pair, 1);
    const third = await database.connected();
    const behind = third.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    await lock.unlock();
    expect(await database.holder(pair)).toBe(late.session);
    controller.abort('too late to be told');
    expect(await waiting).toBe('too late to be told');
    const next = await behind;
    for (const deliver of held) deliver();
    expect(next.held).toBe(true);
    expect(await holder.locks.tryLock(pair)).toBeNull();
    await next.unlock();
  });
});

describe('tryLock', () => {
  it('gives the lock where it is free, and null where it is held, without waiting', async () => {
    const { waiter, lock } = await heldByAnother();
    expect(await waiter.locks.tryLock(pair)).toBeNull();
    await lock.unlock();
    const mine = given(await waiter.locks.tryLock(pair));
    expect(mine.held).toBe(true);
    await mine.unlock();
    expect(waiter.seen('waiting')).toEqual([]);
  });

  it('gives null where others of this process wait, without asking the server (INV-04)', async () => {
    const { waiter, lock } = await heldByAnother();
    const waiting = waiter.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    waiter.commands.clear();
    expect(await waiter.locks.tryLock(pair)).toBeNull();
    expect(waiter.commands.names.filter((name) => name === 'findAndModify')).toEqual([]);
    await lock.unlock();
    await (await waiting).unlock();
  });

  it('never takes a lock that was released to somebody who waits (INV-04)', async () => {
    const { waiter, lock } = await heldByAnother();
    const third = await database.connected();
    const waiting = waiter.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    expect(await third.locks.tryLock(pair)).toBeNull();
    await (await waiting).unlock();
  });
});

itLeavesNothingBehind(database);
