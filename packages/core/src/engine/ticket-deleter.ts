/**
 * Deletes tickets of the current session: what is asked for in one turn goes in one command.
 */
import type { LockStore } from '../ports.js';
import { ticketId } from '../protocol/grant.js';
import { type AttemptContext, untilAcknowledged } from './attempt.js';
import type { Session } from './session.js';

interface Batch {
  readonly session: Session;
  readonly numbers: Set<number>;
  /** Of those, by key, the ones whose callers have left: they may be noted as first arrivals. */
  readonly left: Map<string, number[]>;
  readonly done: Promise<void>;
}

/** How many commands are under way at most: what thousands of waiters leave one after the other goes in few. */
const DELETIONS_AT_ONCE = 16;

export class TicketDeleter {
  readonly #store: LockStore;
  readonly #attempts: AttemptContext;
  readonly #onRest: () => void;
  #batch: Batch | null = null;
  #underWayCount = 0;
  readonly #sent = new Set<Promise<void>>();

  constructor(store: LockStore, attempts: AttemptContext, onRest: () => void) {
    this.#store = store;
    this.#attempts = attempts;
    this.#onRest = onRest;
  }

  /** Whether nothing is under way. */
  get quiet(): boolean {
    return this.#underWayCount === 0;
  }

  /** Resolves when acknowledged, or the session is gone: then others remove them. Never rejects. */
  delete(session: Session, numbers: readonly number[]): Promise<void> {
    if (this.#batch === null || this.#batch.session !== session) this.#batch = this.#open(session);
    for (const n of numbers) this.#batch.numbers.add(n);
    return this.#batch.done;
  }

  /** The same for tickets whose callers have left before they were granted. */
  leave(session: Session, key: string, numbers: readonly number[]): Promise<void> {
    const done = this.delete(session, numbers);
    const left = this.#batch?.left;
    const some = left?.get(key);
    if (some === undefined) left?.set(key, [...numbers]);
    else some.push(...numbers);
    return done;
  }

  #open(session: Session): Batch {
    const what = { numbers: new Set<number>(), left: new Map<string, number[]>() };
    this.#underWayCount += 1;
    return { session, ...what, done: this.#sendInTurn(session, what) };
  }

  /** What is asked for until it is sent goes along. */
  async #sendInTurn(session: Session, what: Pick<Batch, 'numbers' | 'left'>): Promise<void> {
    await null;
    while (this.#sent.size >= DELETIONS_AT_ONCE) await Promise.race(this.#sent);
    if (this.#batch?.numbers === what.numbers) this.#batch = null;
    const sent = this.#send(session, what);
    this.#sent.add(sent);
    await sent;
    this.#sent.delete(sent);
    this.#underWayCount -= 1;
    if (this.quiet) this.#onRest();
  }

  async #send(session: Session, { numbers, left }: Pick<Batch, 'numbers' | 'left'>): Promise<void> {
    const ids = [...numbers].map((n) => ticketId(session.id, n));
    const arrivals = [...left].map(([key, some]) => ({ key, numbers: some }));
    const until = (send: () => Promise<void>): Promise<void> => {
      return untilAcknowledged(this.#attempts, session, send, () => false);
    };
    try {
      if (arrivals.length > 0) await until(() => this.#store.clearArrivals({ session: session.id, arrivals }));
      await until(() => this.#store.deleteTickets({ ids }));
    } catch {
      // The session is gone: whoever meets its tickets removes them.
    }
  }
}
