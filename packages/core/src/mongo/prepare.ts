/**
 * Everything that is made sure of once, before the first lock: a primary is reached, it is a server we can work with,
 * the collections are ordinary ones, and the indexes exist. Called by `store.ts`, and again by `feed.ts` after the
 * collection was dropped.
 */
import type { CollectionNames } from './commands.js';
import type { Connection } from './connection.js';
import { ensureIndexes } from './indexes.js';
import { checkChangeStreams, checkCollections, checkServer } from './topology.js';

/** The state of being prepared: in flight at most once, and kept once it has succeeded. */
export class Preparation {
  readonly #connection: Connection;
  readonly #names: CollectionNames;
  #done: Promise<void> | null = null;

  constructor(connection: Connection, names: CollectionNames) {
    this.#connection = connection;
    this.#names = names;
  }

  /** Prepares, unless that was done. What failed is tried again by the next call. */
  ensure(): Promise<void> {
    if (this.#done === null) {
      const attempt = this.#prepare();
      this.#done = attempt;
      attempt.catch(() => {
        if (this.#done === attempt) this.#done = null;
      });
    }
    return this.#done;
  }

  /** What was made sure of may hold no more. */
  forget(): void {
    this.#done = null;
  }

  async #prepare(): Promise<void> {
    await checkServer(this.#connection);
    await checkCollections(this.#connection, this.#names);
    await ensureIndexes(this.#connection, this.#names);
    await checkChangeStreams(this.#connection, this.#names);
  }
}
