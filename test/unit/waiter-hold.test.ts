/**
 * The two smallest parts of the engine alone, where what they leave behind or say late would show nowhere else: a wait that
 * has ended holds on to nothing of its caller, and a hold that is over says so to whoever asks afterwards.
 */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import type { Clock } from '#core/base/clock.js';
import { Hold } from '#core/engine/hold.js';
import type { AcquireRequest } from '#core/engine/request.js';
import type { Session } from '#core/engine/session.js';
import { Waiter } from '#core/engine/waiter.js';
import { LockLostError, LockTimeoutError } from '#core/errors.js';

const REQUEST: AcquireRequest = { key: 'lock:r/i', resource: 'r', id: 'i', timeoutMS: 1_000 };

/** A clock whose timers fire when told. */
function handClock(): Clock & { fire(): void; readonly pending: number } {
  const timers = new Set<() => void>();
  return {
    nowMS: () => 0,
    nextTurn: () => Promise.resolve(),
    setTimer: (callback) => {
      timers.add(callback);
      return { cancel: () => void timers.delete(callback) };
    },
    fire: () => {
      for (const callback of timers) callback();
    },
    get pending() {
      return timers.size;
    },
  };
}

function waiterOf(request: AcquireRequest): { waiter: Waiter; clock: ReturnType<typeof handClock> } {
  const clock = handClock();
  const describeTimeout = (): LockTimeoutError => new LockTimeoutError('late', { resource: 'r', id: 'i', waitedMS: 1 });
  return { clock, waiter: new Waiter(request, 'wait', 1, { clock, onSettled: () => {}, describeTimeout }) };
}

describe('a wait that has ended', () => {
  it.each([
    ['granted', (waiter: Waiter) => waiter.grant({} as Hold)],
    ['refused', (waiter: Waiter) => waiter.refuse()],
    ['left', (waiter: Waiter) => waiter.leave(new Error('gone'))],
  ])('keeps no timer and no listener: %s', async (phase, end) => {
    const { signal } = new AbortController();
    const { waiter, clock } = waiterOf({ ...REQUEST, signal });
    expect([clock.pending, getEventListeners(signal, 'abort').length]).toEqual([1, 1]);
    end(waiter);
    await waiter.outcome.catch(() => {});
    expect(waiter.phase).toBe(phase);
    expect([clock.pending, getEventListeners(signal, 'abort').length]).toEqual([0, 0]);
  });

  it('times out also while its turn in a run is to come', async () => {
    const { waiter, clock } = waiterOf(REQUEST);
    waiter.enterRun();
    clock.fire();
    await expect(waiter.outcome).rejects.toBeInstanceOf(LockTimeoutError);
  });
});

describe('a hold that is over', () => {
  const owner = { releaseHold: () => Promise.resolve(true), grantOf: () => null, doubt: () => {} };

  it('has its signal aborted for whoever asks for it afterwards', () => {
    const hold = new Hold(REQUEST, 1, 0, { check: () => true } as unknown as Session, owner);
    const error = hold.lose('a test says so');
    expect(error).toBeInstanceOf(LockLostError);
    expect([hold.signal.aborted, hold.signal.reason]).toEqual([true, error]);
  });

  it('is not released when its session turns out to be lost at that moment', async () => {
    const session = { check: () => hold.lose('its lease has ended') !== null } as unknown as Session;
    const hold: Hold = new Hold(REQUEST, 1, 0, session, owner);
    expect(await hold.release()).toBe(false);
    expect([hold.phase, hold.signal.aborted]).toEqual(['lost', true]);
  });
});
