/**
 * What the locks of the suite guard: one document for each key, read, kept in mind over the critical section, and
 * written back whole, so that a write in between would be lost and missed. What keeps a late write out is the workload's
 * guard: `guards.ts`. Processes write it; the harness makes the documents and reads them in the end.
 */
import type { Collection, Db } from 'mongodb';
import { type Begun, GUARDS, type Guarded, type GuardedWrite } from './guards.js';

const COLLECTION = 'guarded_documents';
const DURABLE = { w: 'majority', j: true } as const;

export class GuardedDocuments {
  readonly #documents: Collection<Guarded>;

  constructor(db: Db) {
    this.#documents = db.collection(COLLECTION, {
      writeConcern: DURABLE,
      readConcern: { level: 'linearizable' },
      readPreference: 'primary',
    });
  }

  static get collectionName(): string {
    return COLLECTION;
  }

  async create(keys: readonly string[]): Promise<void> {
    await this.#documents.insertMany(keys.map((_id) => ({ _id, token: 0, count: 0, by: 0, elements: [] })));
  }

  /** null: a higher token was here before. */
  async begin(write: GuardedWrite): Promise<Begun | null> {
    const seen = await GUARDS[write.guard].begin(this.#documents, write);
    return seen && { write, seen };
  }

  /** Whether it was applied; false: it was refused. */
  end(begun: Begun): Promise<boolean> {
    return GUARDS[begun.write.guard].end(this.#documents, begun);
  }

  read(keys: readonly string[]): Promise<Guarded[]> {
    return this.#documents.find({ _id: { $in: [...keys] } }, { readConcern: { level: 'majority' } }).toArray();
  }
}
