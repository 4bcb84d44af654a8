/**
 * Tells holders that somebody waits for their locks, where they ask: what this process knows is told at once, what
 * others do is looked up once a patrol's interval, by one read for all locks that are asked about. Nobody who does not
 * ask pays for it.
 */
import type { Timer } from '../base/clock.js';
import type { AwaitedView, LockStore } from '../ports.js';
import { chunk } from '../protocol/transitions.js';
import { type AttemptContext, SessionGone, untilAcknowledged } from './attempt.js';
import type { Hold } from './hold.js';
import type { ResourceQueue } from './resource-queue.js';

export interface ContentionHost {
  readonly store: LockStore;
  readonly attempts: AttemptContext;
  readonly patrolIntervalMS: number;
  queue(key: string): ResourceQueue | undefined;
  /** Somebody waits behind this hold. */
  onContended(hold: Hold): void;
}

interface Question {
  readonly hold: Hold;
  readonly answer: (contended: boolean) => void;
}

/** How many keys one read asks for. */
const KEYS_MAX = 200;
/** Tickets of the head of a queue: those of the holder's own process are known here, one of another is enough. */
const HEAD_LIMIT = 64;

export class Contention {
  readonly #host: ContentionHost;
  #questions: readonly Question[] = [];
  #timer: Timer | null = null;
  #looking = false;
  #lookAgain = false;

  constructor(host: ContentionHost) {
    this.#host = host;
  }

  /** Resolves with true when somebody waits behind it, with false when it has ended before. Never rejects. */
  ask(hold: Hold): Promise<boolean> {
    return new Promise((answer) => {
      this.#questions = [...this.#questions, { hold, answer }];
      this.look();
    });
  }

  /** Something has changed here: a hold has ended, or somebody came. Also what the timer does. */
  look(): void {
    if (this.#questions.length === 0) return;
    this.#lookAgain = true;
    if (this.#looking) return;
    this.#looking = true;
    this.#timer?.cancel();
    this.#timer = null;
    void this.#lookUntilSeen().finally(() => {
      this.#looking = false;
      this.#schedule();
    });
  }

  async #lookUntilSeen(): Promise<void> {
    while (this.#lookAgain) {
      this.#lookAgain = false;
      await this.#lookOnce();
    }
  }

  #schedule(): void {
    if (this.#questions.length === 0 || this.#timer !== null) return;
    this.#timer = this.#host.attempts.clock.setTimer(() => this.look(), this.#host.patrolIntervalMS);
  }

  async #lookOnce(): Promise<void> {
    await this.#settle(async (hold) => (await this.#host.queue(hold.request.key)?.contended()) ?? false);
    const keys = [...new Set(this.#questions.map(({ hold }) => hold.request.key))];
    for (const some of chunk(keys, KEYS_MAX)) {
      const view = await this.#read(some);
      if (view !== null) await this.#settle((hold) => othersWait(view, hold));
    }
  }

  /** Answers those of whom it is known. */
  async #settle(isContended: (hold: Hold) => boolean | Promise<boolean>): Promise<void> {
    for (const question of this.#questions) {
      const { hold, answer } = question;
      const contended = hold.held && (await isContended(hold));
      if (hold.held && !contended) continue;
      this.#questions = this.#questions.filter((other) => other !== question);
      if (contended && hold.held) this.#host.onContended(hold);
      answer(contended && hold.held);
    }
  }

  /** null: the server cannot be reached, and is asked again later. */
  async #read(keys: readonly string[]): Promise<AwaitedView | null> {
    const session = this.#questions.find(({ hold }) => hold.held)?.hold.session;
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
