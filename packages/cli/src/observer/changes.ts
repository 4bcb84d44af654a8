/**
 * Change events as what they say of our three kinds of documents; null for what says nothing. Pure; `stream.ts` reads the
 * events and `tracker.ts` knows what follows.
 *
 * An update whose difference is larger than the document arrives as a replacement with the whole document: inserts, updates
 * and replacements are read alike, and whoever gets a change must bear that nothing in it is new. Deletions carry the `_id` alone.
 */
import { parseForced } from 'mongo-distributed-locks/stored-format';

/** The collections of one set of locks. */
export interface CollectionNames {
  readonly locks: string;
  readonly sessions: string;
}

/** A document, or the part of it that an event carries. */
export type Raw = Readonly<Record<string, unknown>>;

/** A lock document, as far as it says who holds it. */
export interface LockChange {
  readonly kind: 'lock';
  readonly key: string;
  readonly grant: string | null;
  readonly grantedAt: Date | null;
  readonly forced: NonNullable<ReturnType<typeof parseForced>> | null;
}

/** A ticket document. `at` has seconds and a count, in the order of the queue. */
export interface TicketChange {
  readonly kind: 'ticket';
  readonly key: string;
  readonly session: string;
  readonly n: number;
  readonly callersCount: number;
  readonly labels: readonly string[];
  readonly at: { readonly seconds: number; readonly count: number };
}

/** What of a session document is known from this event; a renewal tells little. */
export interface SessionChange {
  readonly kind: 'session';
  readonly session: string;
  readonly state?: 'alive' | 'dead';
  readonly until?: Date;
  readonly leaseMS?: number;
  readonly host?: string;
  readonly pid?: number;
  readonly label?: string;
}

/** What was stored under an `_id` is gone: a lock's, a ticket's or a session's. */
export interface DeletedChange {
  readonly kind: 'deleted';
  readonly what: 'lock' | 'ticket' | 'session';
  readonly id: string;
}

/** A collection was dropped or renamed: only reading anew says what there is. */
export interface DroppedChange {
  readonly kind: 'dropped';
}

export type StoredDocument = LockChange | TicketChange | SessionChange;
export type Change = StoredDocument | DeletedChange | DroppedChange;

/** A label is 256 bytes at most, and a ticket may have thousands of callers. */
const LABELS_MAX = 20;
const LOCK_PREFIX = 'lock:';
const WRITES: ReadonlySet<unknown> = new Set(['insert', 'update', 'replace']);
const DROPS: ReadonlySet<unknown> = new Set(['drop', 'rename', 'dropDatabase', 'invalidate']);

/** The stages of the stream: what neither tells who holds nor who waits (arrival marks among it) is left out by the server. */
export function streamStages(names: CollectionNames, position: Raw): Raw[] {
  const collections = [names.locks, names.sessions];
  const told = [
    { 'ns.coll': names.sessions },
    { operationType: { $ne: 'update' } },
    { 'updateDescription.updatedFields.grant': { $exists: true } },
  ];
  return [
    { $changeStream: position },
    {
      $match: {
        $or: [
          { 'ns.coll': { $in: collections }, $or: told },
          { operationType: { $in: ['dropDatabase', 'invalidate'] } },
          // Another collection takes the place of one of ours.
          { 'to.coll': { $in: collections } },
        ],
      },
    },
  ];
}

/** What one event says. */
export function readChange(event: Raw, names: CollectionNames): Change | null {
  const { operationType } = event;
  if (DROPS.has(operationType)) return { kind: 'dropped' };
  const id = (event.documentKey as Raw | undefined)?._id;
  if (typeof id !== 'string') return null;
  const isSession = (event.ns as Raw | undefined)?.coll === names.sessions;
  if (operationType === 'delete') return { kind: 'deleted', what: isSession ? 'session' : kindOf(id), id };
  if (!WRITES.has(operationType)) return null;
  const updated = (event.updateDescription as Raw | undefined)?.updatedFields as Raw | undefined;
  const fields = { _id: id, ...(updated ?? (event.fullDocument as Raw)) };
  if (isSession) return readSessionDocument(fields);
  // Without it an update says nothing of the holder, a whole document that there is none.
  return updated !== undefined && !('grant' in updated) ? null : readQueueDocument(fields);
}

/** A document of the collection of locks and tickets. */
export function readQueueDocument(raw: Raw): LockChange | TicketChange | null {
  return kindOf(String(raw._id)) === 'lock' ? readLock(raw) : readTicket(raw);
}

/** A document of the collection of sessions. */
export function readSessionDocument(raw: Raw): SessionChange | null {
  const { _id: session, state, until, leaseMS, host, pid, label } = raw;
  if (typeof session !== 'string') return null;
  return {
    kind: 'session',
    session,
    ...((state === 'alive' || state === 'dead') && { state }),
    ...(until instanceof Date && { until }),
    ...(isCount(leaseMS) && { leaseMS }),
    ...(typeof host === 'string' && { host }),
    ...(typeof pid === 'number' && { pid }),
    ...(typeof label === 'string' && { label }),
  };
}

function kindOf(id: string): 'lock' | 'ticket' {
  return id.startsWith(LOCK_PREFIX) ? 'lock' : 'ticket';
}

function readLock(raw: Raw): LockChange | null {
  const { _id: key, grant = null, grantedAt, forced } = raw;
  if (grant !== null && typeof grant !== 'string') return null;
  return {
    kind: 'lock',
    key: String(key),
    grant,
    grantedAt: grantedAt instanceof Date ? grantedAt : null,
    forced: parseForced(forced),
  };
}

function readTicket(raw: Raw): TicketChange | null {
  const { key, session, n, callers, labels, at } = raw;
  if (typeof key !== 'string' || typeof session !== 'string' || !isCount(n) || !isCount(callers)) return null;
  if (raw._id !== `${session}/${n}` || !isTimestamp(at)) return null;
  const texts = Array.isArray(labels) ? labels.filter((label): label is string => typeof label === 'string') : [];
  const moment = { seconds: at.getHighBitsUnsigned(), count: at.getLowBitsUnsigned() };
  return { kind: 'ticket', key, session, n, callersCount: callers, labels: texts.slice(0, LABELS_MAX), at: moment };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

interface Timestamp {
  getHighBitsUnsigned(): number;
  getLowBitsUnsigned(): number;
}

function isTimestamp(value: unknown): value is Timestamp {
  return typeof value === 'object' && value !== null && (value as Raw)._bsontype === 'Timestamp';
}
