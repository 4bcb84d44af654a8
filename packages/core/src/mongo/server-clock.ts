/**
 * The server's clock as seen from here: what it said with the last heartbeat, against this process's own clock. Good for
 * saying by how much something comes late, and for nothing that decides: `feed.ts` asks, `store.ts` feeds it.
 */
import type { Clock } from '../base/clock.js';
import type { Reply } from './connection.js';

/** By how much an event came late. */
export interface Lag {
  /** Milliseconds, 0 or more. */
  readonly lagMS: number;
  /** Milliseconds either way. */
  readonly uncertaintyMS: number;
}

export class ServerClock {
  readonly #clock: Clock;
  /** The server's time less ours, and by how much that may be wrong. */
  #ahead: { readonly aheadMS: number; readonly uncertaintyMS: number } | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Sends a command whose reply has `serverNow`, and compares the clocks by it: the server's was read in between. */
  async compare(send: () => Promise<Reply>): Promise<Reply> {
    const startedAt = this.#clock.nowMS();
    const reply = await send();
    const serverMS = timeOf((reply.value as { readonly serverNow?: unknown } | null | undefined)?.serverNow);
    const uncertaintyMS = (this.#clock.nowMS() - startedAt) / 2;
    if (serverMS !== null) this.#ahead = { aheadMS: serverMS - startedAt - uncertaintyMS, uncertaintyMS };
    return reply;
  }

  /** By how much what the server wrote then comes late now; null where it cannot be told. */
  lagOf(writtenAt: unknown): Lag | null {
    const writtenMS = timeOf(writtenAt);
    if (writtenMS === null || this.#ahead === null) return null;
    const { aheadMS, uncertaintyMS } = this.#ahead;
    return { lagMS: Math.max(0, this.#clock.nowMS() + aheadMS - writtenMS), uncertaintyMS };
  }
}

/** By its shape: it was made by whatever copy of the driver there is. */
function timeOf(value: unknown): number | null {
  const { getTime } = (value ?? {}) as Partial<Date>;
  const timeMS = typeof getTime === 'function' ? (getTime.call(value) as number) : Number.NaN;
  return Number.isFinite(timeMS) ? timeMS : null;
}
