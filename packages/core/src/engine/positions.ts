/**
 * Where the callers of one resource stand in its queue: as the patrol's look found them, and moved on by the fencing
 * tokens that the watch tells since, each of which is one caller served. One who leaves the queue in between is found by
 * the next look. The resource queue asks it, where somebody wants to know.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { AwaitedLock } from '../ports.js';
import { parseGrant } from '../protocol/grant.js';
import { Pace } from './pace.js';
import type { Ticket } from './ticket.js';
import type { Waiter } from './waiter.js';

export interface PositionsHost {
  readonly clock: Clock;
  /** How many callers are before this one and itself, and how long they are expected to take; null: nothing is known. */
  tell(waiter: Waiter, position: number, estimatedWaitMS: number | null): void;
}

/** Up to which place callers are told where they stand. */
const POSITIONS_MAX = 1_000;
/** How often a caller is told where it stands, after the first time: the queue may move thousands of times a second. */
const TOLD_EVERY_MS = 1_000;

/** A ticket of ours, and how many callers were before it when that was read. */
interface Place {
  readonly ticket: Ticket;
  readonly ahead: number;
}

export class Positions {
  readonly #host: PositionsHost;
  readonly #pace = new Pace();
  #places: readonly Place[] = [];
  /** The document that was read, and its last token then. */
  #born = 0;
  #fenceRead = 0;
  /** The last token now. */
  #fence = 0;
  readonly #told = new WeakSet<Waiter>();
  #toldAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | null = null;

  constructor(host: PositionsHost) {
    this.#host = host;
  }

  /** What the patrol read. `ours` gives the tickets of this process. */
  read({ lock, head }: AwaitedLock, ours: (ticket: { session: string; n: number }) => Ticket | undefined): void {
    const granted = parseGrant(lock.grant);
    const places: Place[] = [];
    let ahead = 0;
    for (const { session, n, callers } of head) {
      if (ahead > POSITIONS_MAX) break;
      if (session === granted?.session && granted.tickets.some((served) => served.n === n)) continue;
      const ticket = ours({ session, n });
      if (ticket !== undefined) places.push({ ticket, ahead });
      ahead += callers;
    }
    this.#places = places;
    this.#fenceRead = lock.fence;
    // The answer may have been overtaken by what the watch told.
    this.#fence = lock.born === this.#born ? Math.max(this.#fence, lock.fence) : lock.fence;
    this.#born = lock.born;
    const isUntold = (waiter: Waiter): boolean => waiter.phase === 'waiting' && !this.#told.has(waiter);
    const untold = places.some(({ ticket }) => ticket.waiters.some(isUntold));
    if (untold) this.#tell();
    else this.#tellSoon();
  }

  /** The lock has been granted up to this token. false: the document was made anew, and has to be read. */
  moved({ fence = 0, born = this.#born }: { readonly fence?: number; readonly born?: number }): boolean {
    if (born !== this.#born) {
      this.forget();
      return false;
    }
    if (fence <= this.#fence || this.#places.length === 0) return true;
    this.#fence = fence;
    this.#tellSoon();
    return true;
  }

  /** Nobody stands there any more. */
  forget(): void {
    this.#places = [];
    this.#timer?.cancel();
    this.#timer = null;
  }

  #tellSoon(): void {
    const waitMS = this.#toldAt + TOLD_EVERY_MS - this.#host.clock.nowMS();
    if (waitMS <= 0) this.#tell();
    else this.#timer ??= this.#host.clock.setTimer(() => this.#tell(), waitMS);
  }

  #tell(): void {
    this.#timer?.cancel();
    this.#timer = null;
    this.#toldAt = this.#host.clock.nowMS();
    const eachMS = this.#pace.note({ fence: this.#fence, born: this.#born }, this.#toldAt);
    const served = this.#fence - this.#fenceRead;
    this.#places = this.#places.filter(({ ticket }) => ticket.open);
    for (const { ticket, ahead } of this.#places) {
      ticket.waiters.forEach((waiter, index) => {
        if (waiter.phase !== 'waiting') return;
        this.#told.add(waiter);
        const position = Math.max(ahead + index + 1 - served, 1);
        this.#host.tell(waiter, position, eachMS === null ? null : position * eachMS);
      });
    }
  }
}
