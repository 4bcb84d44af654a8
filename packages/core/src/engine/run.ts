/**
 * The run as this process holds it: the grant that stands, the waiters it serves one after the other, and what was
 * read of the queue behind it. The resource queue moves it; it does nothing by itself.
 */
import { type Grant, lastToken } from '../protocol/grant.js';
import { formatTrace, isTraceparent } from '../protocol/trace.js';
import type { Run } from '../protocol/transitions.js';
import type { Hold } from './hold.js';
import type { AcquireRequest } from './request.js';
import type { Session } from './session.js';
import type { Waiter } from './waiter.js';

/** How a run moves: serving → finished (nobody left to serve) → over (released, or not ours any more). */
export type RunPhase = 'serving' | 'finished' | 'over';

/** One waiter of a run and the fencing token that is its own. */
export interface Slot {
  readonly waiter: Waiter;
  readonly token: number;
}

/** What was read of the queue behind a run. */
export interface Successors {
  /** `arrivals` as of the read: VACATE is conditional on it. */
  readonly arrivals: number;
  /** null: nobody waits. */
  readonly next: Run | null;
  readonly readAt: number;
}

/** What a run begins with. */
interface HeldRunFacts {
  readonly session: Session;
  /** The stored text. */
  readonly text: string;
  readonly grant: Grant;
  /** Changed as it is served. */
  readonly slots: (Slot | null)[];
  readonly order: number;
  /** By which span the lock was held before; null: nobody said so. */
  readonly previousTraceparent: string | null;
}

export class HeldRun {
  readonly session: Session;
  /** The stored text: conditions compare it whole. */
  readonly text: string;
  readonly grant: Grant;
  /** The last token of the run. */
  readonly fence: number;
  /** When it began, in the order in which this client's reads and grants happen: tells which audits can judge it. */
  readonly order: number;
  /** Whether somebody waits behind it, when the queue was last read. */
  isFollowed = false;
  phase: RunPhase = 'serving';
  current: Hold | null = null;
  /** Of the caller that was served last. */
  #lastServed: AcquireRequest | null = null;
  /** By which span the lock was held before this run; null: nobody said so, or a hold of the run was told. */
  #previousTraceparent: string | null;
  /**
   * Whether its release waits until its tickets are deleted: it serves nobody. Two processes that cannot delete their
   * tickets would pass the lock to and fro.
   */
  readonly deletesFirst: boolean;
  /** Asked for as soon as the run starts; null when it must be read (again). */
  successors: Promise<Successors> | Successors | null = null;
  /** Those that were served are let go of: a run may last. */
  readonly #slots: (Slot | null)[];
  #served = 0;
  #outcome: boolean | null = null;
  #settle: ((released: boolean) => void) | null = null;

  constructor({ session, text, grant, slots, order, previousTraceparent }: HeldRunFacts) {
    this.session = session;
    this.text = text;
    this.grant = grant;
    this.fence = lastToken(grant);
    this.order = order;
    this.#previousTraceparent = previousTraceparent;
    this.#slots = slots;
    this.deletesFirst = slots.length === 0;
  }

  /** Resolves when it has ended: whether it was released, true also when the release found the grant gone. Asked for once. */
  untilReleased(): Promise<boolean> {
    return new Promise((resolve) => {
      if (this.#outcome !== null) resolve(this.#outcome);
      else this.#settle = resolve;
    });
  }

  /** The next waiter that still waits for its turn. */
  nextSlot(): Slot | null {
    for (;;) {
      const slot = this.#slots[this.#served];
      if (slot === undefined) return null;
      this.#slots[this.#served] = null;
      this.#served += 1;
      if (slot?.waiter.phase === 'running') return slot;
    }
  }

  /** A hold begins. The result is by which span the lock was held before this run, for the first one only. */
  serve(hold: Hold): string | null {
    const previous = this.#previousTraceparent;
    this.current = hold;
    this.#lastServed = hold.request;
    this.#previousTraceparent = null;
    return previous;
  }

  /**
   * What its release leaves for whoever holds the lock next; undefined: nobody follows who held it last. A run that has served nobody hands
   * on what it was left.
   */
  get trace(): string | undefined {
    const served = this.#lastServed;
    const traceparent = served === null ? this.#previousTraceparent : traceparentOf(served);
    return isTraceparent(traceparent) ? formatTrace({ fencingToken: this.fence, traceparent }) : undefined;
  }

  /** The waiters whose turn has not come. */
  unserved(): Waiter[] {
    return this.#slots.flatMap((slot) => (slot?.waiter.phase === 'running' ? [slot.waiter] : []));
  }

  /** Nobody is to wait for its release any more, which goes on. */
  giveUpWaiting(): void {
    this.#conclude(false);
  }

  end(released: boolean): void {
    this.phase = 'over';
    this.#conclude(released);
  }

  #conclude(released: boolean): void {
    this.#outcome ??= released;
    this.#settle?.(this.#outcome);
  }
}

/** A subscriber's own value: what it throws when it is read must not keep the lock from being released. */
function traceparentOf({ acquisition }: AcquireRequest): unknown {
  try {
    return acquisition?.traceparent;
  } catch {
    return undefined;
  }
}
