/**
 * Everything that is made sure of before the first lock: a primary is reached, it is a server we can work with, the
 * collections are ordinary ones, and the indexes exist. Called by `store.ts`, and by `feed.ts` before each stream.
 */
import type { Clock } from '../base/clock.js';
import type { CollectionNames } from './commands.js';
import type { Connection } from './connection.js';
import { ensureIndexes } from './indexes.js';
import { checkChangeStreams, checkCollections, checkServer } from './topology.js';

/** The state of being prepared: in flight at most once, and kept once it has succeeded. */
export class Preparation {
  readonly #connection: Connection;
  readonly #names: CollectionNames;
  readonly #clock: Clock;
  #done: Promise<void> | null = null;
  #doneAtMS = 0;

  constructor(connection: Connection, { names, clock }: { names: CollectionNames; clock: Clock }) {
    this.#connection = connection;
    this.#names = names;
    this.#clock = clock;
  }

  /** Prepares, unless that was done, and opens what was closed. What failed is tried again by the next call. */
  ensure(): Promise<void> {
    this.#connection.reopen();
    if (this.#done === null) {
      const attempt = this.#prepare();
      this.#done = attempt;
      attempt.catch(() => {
        if (this.#done === attempt) this.#done = null;
      });
    }
    return this.#done;
  }

  /** Prepares, unless that was done within `ageMS`: a collection that was dropped while nobody watched took its indexes along. */
  ensureWithin(ageMS: number): Promise<void> {
    if (this.#doneAtMS > 0 && this.#clock.nowMS() - this.#doneAtMS > ageMS) this.forget();
    return this.ensure();
  }

  /** What was made sure of may hold no more. */
  forget(): void {
    this.#done = null;
    this.#doneAtMS = 0;
  }

  async #prepare(): Promise<void> {
    await checkServer(this.#connection);
    await checkCollections(this.#connection, this.#names);
    await ensureIndexes(this.#connection, this.#names);
    await checkChangeStreams(this.#connection, this.#names);
    this.#doneAtMS = this.#clock.nowMS();
  }
}
