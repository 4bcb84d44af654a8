/**
 * Tells holders that somebody waits for their locks, where they ask: what this process knows is told at once, what
 * others do is looked up when the watch says that somebody came, and once a patrol's interval, by one read for all locks
 * that are asked about. Nobody who does not ask pays for it.
 */
import type { Timer } from '../base/clock.js';
import type { AwaitedView, LockStore } from '../ports.js';
import { chunk, HEAD_LIMIT } from '../protocol/transitions.js';
import { type AttemptContext, SessionGone, untilAcknowledged } from './attempt.js';
import type { Hold } from './hold.js';
import type { ResourceQueue } from './resource-queue.js';

export interface ContentionHost {
  readonly store: LockStore;
  readonly attempts: AttemptContext;
  readonly patrolIntervalMS: number;
  queue(key: string): ResourceQueue | undefined;
  /** Somebody wants to know who comes. */
  watchSoon(): void;
  /** Somebody waits behind this hold. */
  onContended(hold: Hold): void;
}

interface Question {
  readonly answered: Promise<boolean>;
  readonly answer: (contended: boolean) => void;
}

/** How many keys one read asks for. */
const KEYS_MAX = 200;

export class Contention {
  readonly #host: ContentionHost;
  /** One for each hold, however often it is asked. */
  readonly #questions = new Map<Hold, Question>();
  #timer: Timer | null = null;
  #reading = false;
  /** Somebody came since the read that is on its way was sent. */
  #readAgain = false;

  constructor(host: ContentionHost) {
    this.#host = host;
  }

  /** Resolves with true when somebody waits behind it, with false when it has ended before. Never rejects. */
  ask(hold: Hold): Promise<boolean> {
    const asked = this.#questions.get(hold);
    if (asked !== undefined) return asked.answered;
    let answer!: (contended: boolean) => void;
    const answered = new Promise<boolean>((resolve) => {
      answer = resolve;
    });
    this.#questions.set(hold, { answered, answer });
    this.look();
    // Those that are asked about in one turn are read together.
    if (this.#questions.has(hold)) {
      this.#readIn(0);
      this.#host.watchSoon();
    }
    return answered;
  }

  /** The keys that are asked about. */
  get keys(): ReadonlySet<string> {
    return new Set([...this.#questions.keys()].map(({ request }) => request.key));
  }

  /** Somebody has come for one of these keys, or may have: not of this process, whose own are known at once. */
  arrived(keys: Iterable<string>): void {
    const asked = this.keys;
    if ([...keys].some((key) => asked.has(key))) this.#readIn(0);
  }

  /** Something has changed here: a hold has ended, or somebody came. Sends nothing. */
  look(): void {
    if (this.#questions.size > 0) this.#settle(() => false);
  }

  #readIn(delayMS: number): void {
    if (this.#reading) {
      this.#readAgain = true;
      return;
    }
    this.#timer?.cancel();
    this.#timer = this.#host.attempts.clock.setTimer(() => void this.#read(), delayMS);
  }

  async #read(): Promise<void> {
    this.#timer = null;
    this.look();
    this.#reading = true;
    this.#readAgain = false;
    for (const some of chunk([...this.keys], KEYS_MAX)) {
      const view = await this.#readSome(some);
      if (view !== null) this.#settle((hold) => othersWait(view, hold));
    }
    this.#reading = false;
    if (this.#questions.size > 0) this.#readIn(this.#readAgain ? 0 : this.#host.patrolIntervalMS);
  }

  /** Answers those of whom it is known. */
  #settle(isContended: (hold: Hold) => boolean): void {
    for (const [hold, { answer }] of [...this.#questions]) {
      const contended = hold.held && (this.#host.queue(hold.request.key)?.contended === true || isContended(hold));
      if (hold.held && !contended) continue;
      this.#questions.delete(hold);
      if (contended) this.#host.onContended(hold);
      answer(contended);
    }
    if (this.#questions.size > 0) return;
    this.#timer?.cancel();
    this.#timer = null;
  }

  /** null: the server cannot be reached, and is asked again later. */
  async #readSome(keys: readonly string[]): Promise<AwaitedView | null> {
    const session = [...this.#questions.keys()].find(({ held }) => held)?.session;
    if (session === undefined) return null;
    const request = { keys, ticketIds: [], headLimit: HEAD_LIMIT };
    try {
      return await untilAcknowledged(this.#host.attempts, session, () => this.#host.store.readAwaited(request));
    } catch (error) {
      if (!(error instanceof SessionGone)) this.#host.attempts.onFailure(error);
      return null;
    }
  }
}

/** Of this process only tickets are left that are being deleted, where nobody was found to wait in it. */
function othersWait(view: AwaitedView, { request, session }: Hold): boolean {
  const head = view.locks.get(request.key)?.head ?? [];
  return head.some((ticket) => ticket.session !== session.id);
}
