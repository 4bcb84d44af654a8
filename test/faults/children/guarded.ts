/** A number in the database that nothing guards but the lock, and a document that guards itself by the fencing token. */
import type { MongoClient } from 'mongodb';

const DURABLE = { writeConcern: { w: 'majority', journal: true } } as const;

export interface GuardedNumber {
  /** Reads it, and writes one more: two at once lose one. */
  countUp(): Promise<void>;
  read(): Promise<number>;
  /** Writes where no higher token has written; how many documents that matched. */
  writeWith(token: number): Promise<number>;
}

export function guardedNumber(mongo: MongoClient): GuardedNumber {
  const all = mongo.db().collection<{ _id: string; value?: number; token?: number }>('guarded', {
    readConcern: { level: 'majority' },
    readPreference: 'primary',
  });
  const read = async (): Promise<number> => (await all.findOne({ _id: 'number' }))?.value ?? 0;
  return {
    read,
    countUp: async () => {
      const value = (await read()) + 1;
      await all.updateOne({ _id: 'number' }, { $set: { value } }, { upsert: true, ...DURABLE });
    },
    writeWith: async (token) => {
      await all.updateOne({ _id: 'fenced' }, { $setOnInsert: { token: 0 } }, { upsert: true, ...DURABLE });
      const { matchedCount } = await all.updateOne(
        { _id: 'fenced', token: { $lte: token } },
        { $set: { token } },
        DURABLE,
      );
      return matchedCount;
    },
  };
}
