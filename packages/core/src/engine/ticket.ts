/**
 * The ticket as this process knows it: a number that stands for some waiters in one TRY or one ARRIVE. It is open from
 * before it is sent until none of its waiters waits for it any more.
 */
import type { ArrivingTicket } from '../ports.js';
import type { TicketRef } from '../protocol/grant.js';
import type { Waiter } from './waiter.js';

/** How many labels a ticket shows. */
const LABELS_MAX = 16;

export class Ticket {
  readonly n: number;
  /** Frozen when it is first sent: tokens are counted by it. */
  readonly waiters: readonly Waiter[];
  /** A `try` ticket has no document. */
  readonly kind: 'try' | 'arrive';
  /** `born` of the lock document, as known from a reply before it was sent; null: not known. */
  born: number | null;
  /** When its arrival was acknowledged, in the client's order of reads; null: not yet. */
  arrivedOrder: number | null = null;

  constructor(n: number, waiters: readonly Waiter[], kind: 'try' | 'arrive', born: number | null) {
    this.n = n;
    this.waiters = waiters;
    this.kind = kind;
    this.born = born;
  }

  get ref(): TicketRef {
    return { n: this.n, callers: this.waiters.length };
  }

  /** As it is written. */
  get arriving(): ArrivingTicket {
    const labels = this.waiters.flatMap(({ request }) => request.label ?? []).slice(0, LABELS_MAX);
    return labels.length === 0 ? this.ref : { ...this.ref, labels };
  }

  /** Whether a grant to it would be a delivery. */
  get open(): boolean {
    return this.waiters.some((waiter) => waiter.phase === 'waiting');
  }
}
