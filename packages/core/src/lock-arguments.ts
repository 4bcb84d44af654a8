/**
 * What the methods of a lock are given: their public types, and their check. Also the pair that `lock.fence` makes.
 * Called by the lock and the client.
 */
import { isPlain, namesOf, readSignal, readTimeout, refused } from './checks.js';
import type { AcquireRequest } from './engine/request.js';
import type { TransactionSettings } from './mongo/fenced-transactions.js';

/** What may be chosen for `lock.withTransaction`. */
export interface LockTransactionOptions {
  /** What the transaction reads; default `snapshot`. Its write concern is always `majority`. */
  readonly readConcernLevel?: 'local' | 'majority' | 'snapshot' | undefined;
  /** How long the server may take for one commit, in milliseconds; no limit by default. */
  readonly maxCommitTimeMS?: number | undefined;
}

/** Where `lock.fence` has the token kept. */
export interface LockFenceOptions {
  /** A field name, dots allowed; default `fencingToken`. */
  readonly field?: string | undefined;
}

/** What `lock.fence` gives: for `updateOne` or `findOneAndUpdate`. */
export interface FencedUpdate {
  // biome-ignore lint/suspicious/noExplicitAny: the driver's types of filters and updates differ by the collection they are for.
  readonly filter: any;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  readonly update: any;
}

/** How long `lock.yield` waits. */
export interface LockYieldOptions {
  /** As of `lock`. */
  readonly timeoutMS?: number | undefined;
  /** As of `lock`. */
  readonly signal?: AbortSignal | undefined;
}

const READ_CONCERN_LEVELS = ['local', 'majority', 'snapshot'] as const;

/** Checks what `lock.withTransaction` is given. */
export function checkTransaction(fn: unknown, options: unknown = {}): TransactionSettings {
  if (typeof fn !== 'function') throw refused('fn', '"fn" must be a function.');
  const { readConcernLevel = 'snapshot', maxCommitTimeMS } = namesOf(options, ['readConcernLevel', 'maxCommitTimeMS']);
  const level = READ_CONCERN_LEVELS.find((each) => each === readConcernLevel);
  if (level === undefined)
    throw refused('readConcernLevel', '"readConcernLevel" must be "local", "majority" or "snapshot".');
  if (maxCommitTimeMS === undefined) return { readConcernLevel: level };
  if (Number.isSafeInteger(maxCommitTimeMS) && Number(maxCommitTimeMS) > 0)
    return { readConcernLevel: level, maxCommitTimeMS: Number(maxCommitTimeMS) };
  throw refused('maxCommitTimeMS', '"maxCommitTimeMS" must be a whole number of milliseconds, 1 or more.');
}

/** Checks what `lock.yield` is given. */
export function checkYield(options: unknown = {}): Pick<AcquireRequest, 'timeoutMS' | 'signal'> {
  const given = namesOf(options, ['timeoutMS', 'signal']);
  const signal = readSignal(given.signal);
  return { timeoutMS: readTimeout(given.timeoutMS), ...(signal && { signal }) };
}

/** What `lock.fence` gives. */
export function fencedUpdate(token: number, filter: unknown, update: unknown, options: unknown = {}): FencedUpdate {
  const { field = 'fencingToken' } = namesOf(options, ['field']);
  if (typeof field !== 'string' || !/^[^$.\0][^$\0]*$/.test(field) || field.endsWith('.') || field.includes('..'))
    throw refused('field', '"field" must be the name of a field.');
  if (!isPlain(filter)) throw refused('filter', '"filter" must be a filter document.');
  const isSeen = { $or: [{ [field]: { $exists: false } }, { [field]: null }, { [field]: { $lte: token } }] };
  return { filter: { $and: [filter, isSeen] }, update: withToken(update, field, token) };
}

function withToken(update: unknown, field: string, token: number): unknown {
  if (Array.isArray(update)) return [...update, { $set: { [field]: token } }];
  const isOperators = isPlain(update) && Object.keys(update).every((name) => name.startsWith('$'));
  if (!isOperators)
    throw refused(
      'update',
      '"update" must have update operators such as $set, or be a pipeline; a replacement would lose the token.',
    );
  const set = update.$set ?? {};
  if (!isPlain(set)) throw refused('update', '"update" has a $set that is no document.');
  return { ...update, $set: { ...set, [field]: token } };
}
