/**
 * One simulated process: its clock (which may run fast or slow, and goes on while the process is stopped), its timers,
 * and what waits for it while it is stopped. The engine inside knows of none of this.
 */
import type { Clock, Timer } from '#core/base/clock.js';
import type { Chance } from './chance.js';
import type { World } from './world.js';

/** The longest that a turn of the event loop takes: other work may be in it. */
const TURN_MAX_MS = 20;

interface SimTimer extends Timer {
  readonly dueAt: number;
  live: boolean;
}

export class SimProcess {
  readonly name: string;
  readonly clock: Clock;
  state: 'running' | 'stopped' | 'dead' = 'running';
  /** The latest operation time of a reply: where a stream may start. */
  seenPosition = 0;
  readonly traceLines: string[] | null;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #rate: number;
  readonly #offsetMS: number;
  readonly #timerLateMS: number;
  readonly #timers = new Set<SimTimer>();
  #waiting: { readonly what: string; readonly run: () => void; readonly timer: boolean }[] = [];
  /** Called before and after each delivery: aborts are arranged around them. */
  onDelivery: ((when: 'before' | 'after') => void) | null = null;

  constructor(given: {
    name: string;
    world: World;
    chance: Chance;
    rate: number;
    timerLateMS: number;
    traceLines: string[] | null;
  }) {
    this.name = given.name;
    this.#world = given.world;
    this.#chance = given.chance;
    this.#rate = given.rate;
    this.#timerLateMS = given.timerLateMS;
    this.traceLines = given.traceLines;
    this.#offsetMS = Math.floor(given.chance.between(0, 1e6));
    this.clock = {
      nowMS: () => this.nowMS,
      setTimer: (callback, delayMS) => this.#setTimer(callback, delayMS),
      nextTurn: () => this.#nextTurn(),
    };
  }

  get nowMS(): number {
    return this.#offsetMS + this.#world.nowMS * this.#rate;
  }

  /** Timers that have not fired and were not cancelled. */
  get timersCount(): number {
    return this.#timers.size;
  }

  trace(what: string): void {
    this.traceLines?.push(`${this.#world.nowMS.toFixed(2).padStart(10)} ${this.name} ${what}`);
  }

  /** Something reaches the process: now, or when it runs again, or never. */
  deliver(what: string, run: () => void): void {
    this.#arrive({ what, run, timer: false });
  }

  stop(): void {
    if (this.state === 'running') this.state = 'stopped';
    this.trace('--- stopped');
  }

  /** What waited comes in an order of its own: timers first, as a loop that wakes up does, or what came over the network. */
  resume(): void {
    if (this.state !== 'stopped') return;
    this.state = 'running';
    this.trace('--- runs again');
    const waiting = this.#waiting;
    this.#waiting = [];
    const timersFirst = this.#chance.hit(0.7);
    const rank = ({ timer }: { readonly timer: boolean }): number => Number(timer !== timersFirst);
    waiting.sort((a, b) => rank(a) - rank(b));
    for (const item of waiting) this.#world.in(0, () => this.#arrive(item));
  }

  kill(): void {
    this.trace('--- killed');
    this.state = 'dead';
    this.#waiting = [];
    this.#timers.clear();
  }

  #arrive(item: { what: string; run: () => void; timer: boolean }): void {
    if (this.state === 'dead') return;
    if (this.state === 'stopped') {
      this.#waiting.push(item);
      return;
    }
    this.#world.touch();
    this.onDelivery?.('before');
    item.run();
    this.onDelivery?.('after');
  }

  #nextTurn(): Promise<void> {
    return new Promise((resolve) => {
      const turnMS = this.#chance.between(0, TURN_MAX_MS);
      this.#world.in(turnMS, () => this.#arrive({ what: 'turn', run: resolve, timer: true }));
    });
  }

  #setTimer(callback: () => void, delayMS: number): Timer {
    const dueAt = this.nowMS + delayMS;
    const timer: SimTimer = {
      dueAt,
      live: delayMS !== Number.POSITIVE_INFINITY,
      cancel: () => {
        timer.live = false;
        this.#timers.delete(timer);
      },
    };
    if (!timer.live) return timer;
    this.#timers.add(timer);
    const fire = (): void => {
      if (!timer.live) return;
      timer.cancel();
      callback();
    };
    // A hair later than due, so that rounding never lets the clock be before it.
    const atMS = (dueAt - this.#offsetMS) / this.#rate + 1e-6 + this.#chance.between(0, this.#timerLateMS);
    this.#world.at(atMS, () => {
      if (timer.live) this.#arrive({ what: 'timer', run: fire, timer: true });
    });
    return timer;
  }
}
