/**
 * A clock that can be made to stand: a client with it does not notice that its process was stopped, as if it looked at
 * its lease just before. Nothing but the server can then refuse what it sends.
 */
import { type Clock, systemClock, type Timer } from '#core/base/clock.js';

export class StandingClock implements Clock {
  #standsAt: number | null = null;
  #due: (() => void)[] = [];

  /** No time passes from here on, and no timer fires. */
  stand(): void {
    this.#standsAt ??= systemClock.nowMS();
  }

  /** All the time that has passed passes at once. */
  goOn(): void {
    this.#standsAt = null;
    for (const callback of this.#due.splice(0)) callback();
  }

  nowMS(): number {
    return this.#standsAt ?? systemClock.nowMS();
  }

  setTimer(callback: () => void, delayMS: number): Timer {
    let cancelled = false;
    const fire = (): void => {
      if (cancelled) return;
      if (this.#standsAt === null) callback();
      else this.#due.push(fire);
    };
    const timer = systemClock.setTimer(fire, delayMS);
    return {
      cancel: () => {
        cancelled = true;
        timer.cancel();
      },
    };
  }

  nextTurn(): Promise<void> {
    return systemClock.nextTurn();
  }
}
