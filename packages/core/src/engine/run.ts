/**
 * The run as this process holds it: the grant that stands, the waiters it serves one after the other, and what was
 * read of the queue behind it. The resource queue moves it; it does nothing by itself.
 */
import type { Grant } from '../protocol/grant.js';
import type { Run } from '../protocol/transitions.js';
import type { Hold } from './hold.js';
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

  constructor(session: Session, text: string, grant: Grant, fence: number, slots: Slot[], order: number) {
    this.session = session;
    this.text = text;
    this.grant = grant;
    this.fence = fence;
    this.order = order;
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
