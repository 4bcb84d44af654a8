/**
 * What keeps a late write out of a guarded document, by the name that a workload gives it: nothing, the fencing token in
 * the document, the pairs of `lock.fence`, a fenced transaction; and two that only look like one, which the checker must
 * find out. `guarded.ts` calls them.
 */
import { type Lock, LockError } from 'mongo-distributed-locks';
import type { ClientSession, Collection, Filter } from 'mongodb';
import type { Guard } from '../facts.js';

/** The guarded document of a key. */
export interface Guarded {
  readonly _id: string;
  /** The highest token that was seen, where the guard looks at tokens. */
  readonly token: number;
  /** How many writes there were. */
  readonly count: number;
  /** Who wrote last: the token. */
  readonly by: number;
  readonly elements: readonly string[];
}

export interface GuardedWrite {
  readonly key: string;
  readonly lock: Pick<Lock, 'fencingToken' | 'fence' | 'withTransaction'>;
  readonly element: string;
  readonly guard: Guard;
  readonly keepsElements: boolean;
  /** What the function of a transaction does before it writes. */
  readonly inside: () => Promise<void>;
  /** Whether it reads before that, so that the transaction sees the data as of then. */
  readonly readsInside: boolean;
}

/** A write that was begun with its read. */
export interface Begun {
  readonly write: GuardedWrite;
  readonly seen: Guarded;
}

interface Way {
  /** What is read at the beginning; null: a higher token was here before. */
  begin(documents: Collection<Guarded>, write: GuardedWrite): Promise<Guarded | null>;
  /** Whether it was written. */
  end(documents: Collection<Guarded>, begun: Begun): Promise<boolean>;
}

type Body = (session: ClientSession) => Promise<void>;

const read: Way['begin'] = (documents, { key }) => documents.findOne({ _id: key });

/** What is written, whatever there is by now. */
function set({ write, seen }: Begun): Partial<Guarded> {
  const { lock, element, keepsElements } = write;
  const elements = keepsElements && { elements: [...seen.elements, element] };
  return { count: seen.count + 1, by: lock.fencingToken, ...elements };
}

async function update(documents: Collection<Guarded>, filter: Filter<Guarded>, begun: Begun): Promise<boolean> {
  const { matchedCount } = await documents.updateOne(filter, { $set: set(begun) });
  return matchedCount === 1;
}

const nothing: Way = {
  begin: read,
  end: (documents, begun) => update(documents, { _id: begun.write.key }, begun),
};

/** The read raises the token that the document has seen, and the write is conditional on that token. */
const token: Way = {
  begin: (documents, { key, lock: { fencingToken: own } }) =>
    documents.findOneAndUpdate({ _id: key, token: { $lte: own } }, { $set: { token: own } }),
  end: (documents, begun) => {
    const { key, lock } = begun.write;
    return update(documents, { _id: key, token: lock.fencingToken }, begun);
  },
};

const FIELD = { field: 'token' };

const fence: Way = {
  begin: (documents, { key, lock }) => {
    const pair = lock.fence({ _id: key }, {}, FIELD);
    return documents.findOneAndUpdate(pair.filter, pair.update);
  },
  end: async (documents, begun) => {
    const { key, lock } = begun.write;
    const pair = lock.fence({ _id: key }, { $set: set(begun) }, FIELD);
    const { matchedCount } = await documents.updateOne(pair.filter, pair.update);
    return matchedCount === 1;
  },
};

/** Read outside, so that nothing but the lock document tells the server of a write in between. */
function inTransaction(
  run: (documents: Collection<Guarded>, write: GuardedWrite, body: Body) => Promise<void>,
  writes: 'inside' | 'around' = 'inside',
): Way {
  return {
    begin: read,
    end: async (documents, begun) => {
      const { key, readsInside, inside } = begun.write;
      const body: Body = async (session) => {
        if (readsInside) await documents.findOne({ _id: key }, { session });
        await inside();
        const options = writes === 'inside' ? { session } : {};
        await documents.updateOne({ _id: key }, { $set: set(begun) }, options);
      };
      return run(documents, begun.write, body).then(() => true, refused);
    },
  };
}

/** Only a lost lock means that nothing was written. */
function refused(error: unknown): false {
  if (error instanceof LockError && error.code === 'LOCK_LOST') return false;
  throw error;
}

export const GUARDS: Readonly<Record<Guard, Way>> = {
  nothing,
  token,
  fence,
  transaction: inTransaction((_, { lock }, body) => lock.withTransaction(body)),
  'a transaction that leaves the lock alone': inTransaction((documents, _, body) =>
    documents.db.client.withSession((session) => session.withTransaction(() => body(session))),
  ),
  'a transaction that is written around': inTransaction((_, { lock }, body) => lock.withTransaction(body), 'around'),
};
