/**
 * Notices when this process did not run: a tick that comes late says by how much. A process that was suspended, or had
 * to wait for a core, cannot tell its callers in time, and must not be blamed for it.
 */
import { nowMS } from '../../../../packages/examples/src/demo/clock.js';
import { LEASE_MS } from '../settings.js';

const TICK_MS = 20;

interface Stall {
  readonly at: number;
  readonly durationMS: number;
}

export class Stalls {
  #lastAt = nowMS();
  #stalls: Stall[] = [];

  constructor() {
    setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** The longest within the last lease, the one under way included. */
  get worstMS(): number {
    this.#tick();
    const since = nowMS() - LEASE_MS;
    this.#stalls = this.#stalls.filter(({ at }) => at >= since);
    return Math.round(Math.max(0, ...this.#stalls.map(({ durationMS }) => durationMS)));
  }

  #tick(): void {
    const at = nowMS();
    const durationMS = at - this.#lastAt - TICK_MS;
    this.#lastAt = at;
    if (durationMS > TICK_MS) this.#stalls.push({ at, durationMS });
    if (this.#stalls.length > 1_000) this.#stalls.shift();
  }
}
