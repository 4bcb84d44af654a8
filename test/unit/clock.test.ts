/** The clock: never back, never early, suspension counted, out of reach of fake timers. */

import { afterEach, describe, expect, it, vi } from 'vitest';
import { monotonicMS, systemClock, type TimeSources } from '#core/base/clock.js';

const realSetTimeout = globalThis.setTimeout;
const realNow = performance.now.bind(performance);

/** A machine whose clocks are moved by hand, all in milliseconds. */
class Machine {
  runningMS = 1_000;
  suspendedMS = 0;
  wallErrorMS = 0;
  uptimeReadsCount = 0;
  readonly roundingMS: number;
  readonly read: () => number;

  constructor(roundingMS: number) {
    this.roundingMS = roundingMS;
    this.read = monotonicMS(this.sources());
  }

  private sources(): TimeSources {
    return {
      hrtime: () => BigInt(Math.round(this.runningMS * 1e6)),
      uptime: () => {
        this.uptimeReadsCount += 1;
        return (Math.floor((this.runningMS + this.suspendedMS) / this.roundingMS) * this.roundingMS) / 1000;
      },
      wallMS: () => Math.floor(this.runningMS + this.suspendedMS + this.wallErrorMS),
      uptimeRoundingMS: this.roundingMS,
    };
  }
}

describe('monotonicMS', () => {
  it('counts from when it was made', () => {
    const machine = new Machine(10);
    machine.runningMS += 1_234.5;
    expect(machine.read()).toBeCloseTo(1_234.5, 6);
  });

  it.each([10, 1_000])(
    'counts a suspension at the first read after it, short by two roundings of %i ms at most',
    (roundingMS) => {
      const machine = new Machine(roundingMS);
      machine.runningMS += 77.7;
      machine.read();
      machine.suspendedMS += 60_000;
      machine.runningMS += 0.01;
      const passedMS = machine.read();
      expect(passedMS).toBeLessThanOrEqual(60_077.71 + 1e-6);
      expect(passedMS).toBeGreaterThanOrEqual(60_077.71 - 2 * roundingMS);
    },
  );

  it('loses no more to rounding over a thousand suspensions than over one', () => {
    const machine = new Machine(10);
    for (let i = 0; i < 1_000; i += 1) {
      machine.suspendedMS += 123.4;
      machine.runningMS += 6.7;
      machine.read();
    }
    const trueMS = 1_000 * (123.4 + 6.7);
    expect(machine.read()).toBeGreaterThanOrEqual(trueMS - 20);
    expect(machine.read()).toBeLessThanOrEqual(trueMS + 1e-3);
  });

  it.each([10, 1_000])('makes no time where nothing was suspended, with uptimes rounded to %i ms', (roundingMS) => {
    const machine = new Machine(roundingMS);
    for (let i = 0; i < 2_000; i += 1) {
      machine.runningMS += 3.37;
      expect(machine.read()).toBeCloseTo(machine.runningMS - 1_000, 3);
    }
  });

  it('is not moved by a wall clock that steps by hours, either way', () => {
    const machine = new Machine(10);
    for (const errorMS of [3_600_000, -7_200_000, 0]) {
      machine.wallErrorMS = errorMS;
      machine.runningMS += 1;
      expect(machine.read()).toBeCloseTo(machine.runningMS - 1_000, 3);
    }
  });

  it('finds a suspension that the wall clock hides after 5 ms of running time', () => {
    const machine = new Machine(10);
    machine.read();
    machine.suspendedMS += 60_000;
    machine.wallErrorMS -= 60_000;
    machine.runningMS += 5;
    expect(machine.read()).toBeGreaterThanOrEqual(59_980);
  });

  it('never goes back', () => {
    const machine = new Machine(10);
    let last = machine.read();
    for (let i = 0; i < 500; i += 1) {
      machine.runningMS += i % 7;
      if (i % 50 === 0) machine.suspendedMS += 500;
      machine.wallErrorMS = i % 3 === 0 ? -90_000 : 90_000;
      const now = machine.read();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });

  it('reads the uptime once for many reads of the time', () => {
    const machine = new Machine(10);
    const before = machine.uptimeReadsCount;
    for (let i = 0; i < 400; i += 1) {
      machine.runningMS += 0.01;
      machine.read();
    }
    expect(machine.uptimeReadsCount - before).toBe(0);
  });
});

describe('systemClock', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('advances with the machine', async () => {
    const [clockFrom, machineFrom] = [systemClock.nowMS(), realNow()];
    await new Promise((resolve) => realSetTimeout(resolve, 30));
    const differenceMS = systemClock.nowMS() - clockFrom - (realNow() - machineFrom);
    expect(Math.abs(differenceMS)).toBeLessThan(5);
  });

  it('fires no timer before its time by its own reading', async () => {
    const delays = [0, 0.2, 1, 1.5, 2, 3.7, 5, 10.1, 20];
    const early = await Promise.all(
      delays.map((delayMS) => {
        const dueMS = systemClock.nowMS() + delayMS;
        return new Promise<boolean>((resolve) =>
          systemClock.setTimer(() => resolve(systemClock.nowMS() < dueMS), delayMS),
        );
      }),
    );
    expect(early).toEqual(delays.map(() => false));
  });

  it('has its next turn when all that can run without waiting has run, however long that goes on', async () => {
    const order: string[] = [];
    const next = systemClock.nextTurn().then(() => order.push('next turn'));
    for (let turn = 0; turn < 100; turn += 1) await Promise.resolve();
    order.push('reactions');
    await next;
    expect(order).toEqual(['reactions', 'next turn']);
  });

  it('does not fire a timer that was cancelled, and cancelling again is fine', async () => {
    let firedCount = 0;
    const timer = systemClock.setTimer(() => {
      firedCount += 1;
    }, 1);
    timer.cancel();
    timer.cancel();
    await new Promise<void>((resolve) => systemClock.setTimer(resolve, 10));
    expect(firedCount).toBe(0);
  });

  it.each([2 ** 31, 2 ** 40, Number.MAX_SAFE_INTEGER, Number.POSITIVE_INFINITY])(
    'does not fire a timer of %d ms at once',
    async (delayMS) => {
      const warnings: string[] = [];
      const onWarning = (warning: Error): number => warnings.push(warning.name);
      process.on('warning', onWarning);
      let fired = false;
      const timer = systemClock.setTimer(() => {
        fired = true;
      }, delayMS);
      await new Promise<void>((resolve) => systemClock.setTimer(resolve, 20));
      timer.cancel();
      process.off('warning', onWarning);
      expect({ fired, warnings }).toEqual({ fired: false, warnings: [] });
    },
  );

  it('holds no timer that keeps the process alive', () => {
    const referenced = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
    const before = referenced();
    const timer = systemClock.setTimer(() => {}, 60_000);
    const after = referenced();
    timer.cancel();
    expect(after).toBe(before);
  });

  it('goes on under fake timers', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'hrtime', 'performance'] });
    const before = systemClock.nowMS();
    await new Promise<void>((resolve) => systemClock.setTimer(resolve, 15));
    expect(systemClock.nowMS() - before).toBeGreaterThanOrEqual(15);
  });
});
