/**
 * A holder that writes what its lock guards, and waits at one place on the way, so that its process can be stopped there
 * and go on when another has long taken over. `contender.ts` makes one for each write.
 */
import { type Lock, LockError } from 'mongo-distributed-locks';
import type { ClientSession, Collection, MongoClient } from 'mongodb';
import type { WriteGate, WriteHow, Written } from './messages.js';

/** What is guarded: who has written, in order. Also made by the test, one for each writer, under the writer's name. */
export interface Page {
  readonly _id: string;
  readonly by: readonly string[];
}

export function pagesOf(mongo: MongoClient): Collection<Page> {
  return mongo.db().collection<Page>('pages', { writeConcern: { w: 'majority', journal: true } });
}

export class LateWriter {
  readonly #caller: string;
  readonly #gate: WriteGate;
  readonly #onGate: () => void;
  readonly #open: Promise<void>;
  #letGo!: () => void;
  #held = false;
  #triesCount = 0;

  constructor(caller: string, gate: WriteGate, onGate: () => void) {
    this.#caller = caller;
    this.#gate = gate;
    this.#onGate = onGate;
    this.#open = new Promise((resolve) => {
      this.#letGo = resolve;
    });
  }

  goOn(): void {
    this.#letGo();
  }

  async write(lock: Lock, mongo: MongoClient, how: WriteHow): Promise<Written> {
    const ways = {
      transaction: () => lock.withTransaction((session) => this.#body(lock, mongo, session)),
      fence: () => this.#fenced(lock, mongo),
      nothing: () => mongo.withSession((session) => session.withTransaction(() => this.#body(lock, mongo, session))),
    };
    await this.#pass('before all', lock);
    const outcome = await ways[how]().then(
      (refused) => (refused === 'refused' ? refused : 'written'),
      (error: unknown) => (error instanceof LockError ? error.code : String(error)),
    );
    return { outcome, held: this.#held, triesCount: this.#triesCount };
  }

  async #body(lock: Lock, mongo: MongoClient, session: ClientSession): Promise<unknown> {
    this.#triesCount += 1;
    const pages = pagesOf(mongo);
    await this.#pass('inside', lock);
    // From then on it sees the data as of now; and what it writes is no document of the others', who would conflict.
    const early = this.#gate === 'after a read';
    if (early) await pages.findOne({ _id: this.#caller }, { session });
    await this.#pass('after a read', lock);
    const _id = early ? `${this.#caller}, late` : this.#caller;
    await pages.updateOne({ _id }, { $push: { by: this.#caller } }, { session, upsert: true });
    await this.#pass('after the write', lock);
    if (this.#triesCount === 1) this.#waitBeforeCommit(session, lock);
    return undefined;
  }

  #waitBeforeCommit(session: ClientSession, lock: Lock): void {
    const commit = session.commitTransaction.bind(session);
    session.commitTransaction = async () => {
      await this.#pass('before the commit', lock);
      await commit();
    };
  }

  /** A read that raises the token the document has seen, then the write. */
  async #fenced(lock: Lock, mongo: MongoClient): Promise<string> {
    const pages = pagesOf(mongo);
    if (this.#gate === 'after a read') {
      const { filter, update } = lock.fence({ _id: this.#caller }, {});
      await pages.findOneAndUpdate(filter, update);
    }
    await this.#pass('after a read', lock);
    const { filter, update } = lock.fence({ _id: this.#caller }, { $push: { by: this.#caller } });
    const { matchedCount } = await pages.updateOne(filter, update);
    return matchedCount === 1 ? 'written' : 'refused';
  }

  async #pass(gate: WriteGate, lock: Lock): Promise<void> {
    if (gate !== this.#gate || this.#triesCount > 1) return;
    this.#onGate();
    await this.#open;
    this.#held = lock.held;
  }
}
