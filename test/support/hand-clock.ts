/** A clock that a test moves: time passes when it says so, and the timers that are due by then are called in their order. */
import type { Clock, Timer } from '#core/base/clock.js';

interface Due {
  readonly atMS: number;
  readonly callback: () => void;
}

export class HandClock implements Clock {
  atMS = 5_000_000;
  readonly #timers = new Set<Due>();

  /** How many timers have not been called yet. */
  get timersCount(): number {
    return this.#timers.size;
  }

  nowMS(): number {
    return this.atMS;
  }

  setTimer(callback: () => void, delayMS: number): Timer {
    const due = { atMS: this.atMS + delayMS, callback };
    this.#timers.add(due);
    return { cancel: () => void this.#timers.delete(due) };
  }

  async nextTurn(): Promise<void> {}

  advance(byMS: number): void {
    const untilMS = this.atMS + byMS;
    for (;;) {
      const [next] = [...this.#timers].filter(({ atMS }) => atMS <= untilMS).sort((a, b) => a.atMS - b.atMS);
      if (next === undefined) break;
      this.#timers.delete(next);
      this.atMS = next.atMS;
      next.callback();
    }
    this.atMS = untilMS;
  }
}
