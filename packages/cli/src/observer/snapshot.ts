/**
 * Everything that is held or awaited, as of one moment of the server: pages of one snapshot, and the time it was taken at,
 * from which the change stream can go on without a gap and without saying anything twice. `observer.ts` calls it.
 */
import type { Db } from 'mongodb';
import { type CollectionNames, type Raw, readQueueDocument, readSessionDocument } from './changes.js';
import { type Reply, send } from './send.js';
import { LOCKS_MAX, SESSIONS_MAX, TICKETS_MAX, Tracker } from './tracker.js';

const PAGE_COUNT = 1_000;
const PAGE_LIMIT_MS = 30_000;
/** The snapshot is from before a collection was made or changed: a later one will do. */
const SNAPSHOT_UNAVAILABLE = 246;
const ATTEMPTS_MAX = 20;
const ATTEMPT_PAUSE_MS = 100;

/** What was read. */
export interface Snapshot {
  readonly tracker: Tracker;
  /** The server's Timestamp of all of it. */
  readonly time: unknown;
  /** The server's clock less `performance.now()`, in milliseconds. */
  readonly clockOffsetMS: number;
}

/** One collection's documents of one kind. */
interface Part {
  readonly collection: string;
  readonly filter: Raw;
  readonly max: number;
  readonly load: (raw: Raw) => void;
}

/** Reads everything. Rejects with what the driver throws. */
export async function readSnapshot(db: Db, names: CollectionNames): Promise<Snapshot> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const clockOffsetMS = await readClock(db);
      const tracker = new Tracker();
      return { tracker, time: await readParts(db, partsOf(names, tracker)), clockOffsetMS };
    } catch (error) {
      if ((error as { code?: unknown }).code !== SNAPSHOT_UNAVAILABLE || attempt >= ATTEMPTS_MAX) throw error;
      await new Promise((resolve) => setTimeout(resolve, ATTEMPT_PAUSE_MS));
    }
  }
}

/** Sessions before those who wait and hold, and locks last: a ticket that is being served is then known for one. */
function partsOf(names: CollectionNames, tracker: Tracker): Part[] {
  const load = (read: typeof readQueueDocument | typeof readSessionDocument) => (raw: Raw) => {
    const document = read(raw);
    if (document !== null) tracker.load(document);
  };
  const queue = { collection: names.locks, load: load(readQueueDocument) };
  return [
    { collection: names.sessions, filter: {}, max: SESSIONS_MAX, load: load(readSessionDocument) },
    { ...queue, filter: { key: { $type: 'string' } }, max: TICKETS_MAX },
    { ...queue, filter: { grant: { $type: 'string' } }, max: LOCKS_MAX },
  ];
}

/** Returns the time of the snapshot. */
async function readParts(db: Db, parts: readonly Part[]): Promise<unknown> {
  let time: unknown;
  for (const { collection, filter, max, load } of parts) {
    let after = '';
    // One page beyond the limit, so that it is seen to be exceeded.
    for (let count = 0; count <= max; count += PAGE_COUNT) {
      const readConcern = { level: 'snapshot', ...(time !== undefined && { atClusterTime: time }) };
      const find = { find: collection, filter: { ...filter, _id: { $gt: after } }, sort: { _id: 1 } };
      const command = { ...find, limit: PAGE_COUNT, singleBatch: true, readConcern };
      const reply = await send(db, command, { limitMS: PAGE_LIMIT_MS });
      time ??= timeOf(reply);
      const documents = (reply.cursor as { firstBatch: Raw[] }).firstBatch;
      for (const document of documents) load(document);
      if (documents.length < PAGE_COUNT) break;
      after = String(documents.at(-1)?._id);
    }
  }
  return time;
}

function timeOf(reply: Reply): unknown {
  return (reply.cursor as Raw).atClusterTime ?? reply.operationTime;
}

async function readClock(db: Db): Promise<number> {
  const from = performance.now();
  const { localTime } = await send(db, { hello: 1 }, { limitMS: PAGE_LIMIT_MS });
  const middle = (from + performance.now()) / 2;
  return (localTime instanceof Date ? localTime.getTime() : Date.now()) - middle;
}
