/**
 * What the locks of the suite guard: one document for each key, read, kept in mind over the critical section, and
 * written back whole, so that a write in between would be lost and missed. Fenced, the document refuses lower tokens: the
 * read raises the token it has seen, and the write is conditional on that token. Processes write it; the harness makes
 * the documents and reads them in the end.
 */
import type { Collection, Db } from 'mongodb';

/** The guarded document of a key. */
export interface Guarded {
  readonly _id: string;
  /** The highest token that was seen. */
  readonly token: number;
  /** How many writes there were. */
  readonly count: number;
  /** Who wrote last: the token. */
  readonly by: number;
  readonly elements: readonly string[];
}

export interface GuardedWrite {
  readonly key: string;
  readonly token: number;
  readonly element: string;
  readonly fenced: boolean;
  readonly keepsElements: boolean;
}

/** A write that was begun with its read. */
export interface Begun {
  readonly write: GuardedWrite;
  readonly seen: Guarded;
}

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
    const { key, token, fenced } = write;
    const seen = fenced
      ? await this.#documents.findOneAndUpdate({ _id: key, token: { $lte: token } }, { $set: { token } })
      : await this.#documents.findOne({ _id: key });
    return seen && { write, seen };
  }

  /** Whether it was applied; false: a higher token has been here since. */
  async end({ write, seen }: Begun): Promise<boolean> {
    const { key, token, element, fenced, keepsElements } = write;
    const set = {
      count: seen.count + 1,
      by: token,
      ...(keepsElements && { elements: [...seen.elements, element] }),
    };
    const condition = fenced ? { _id: key, token } : { _id: key };
    const { matchedCount } = await this.#documents.updateOne(condition, { $set: set });
    return matchedCount === 1;
  }

  read(keys: readonly string[]): Promise<Guarded[]> {
    return this.#documents.find({ _id: { $in: [...keys] } }, { readConcern: { level: 'majority' } }).toArray();
  }
}
