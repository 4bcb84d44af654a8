/**
 * What may be left behind, in the database and in this process. Test files compare before with after; nothing here ends anything.
 */
import type { Db, MongoClient } from 'mongodb';

/** Tickets, grants and sessions in a database, as words; empty where there is none. */
export async function storedLeftovers(db: Db, collectionName = 'dlocks'): Promise<string[]> {
  const locks = db.collection<{ _id: string; key?: string; grant?: string | null }>(collectionName);
  const [tickets, grants, sessions] = await Promise.all([
    locks.find({ key: { $exists: true } }).toArray(),
    locks.find({ grant: { $type: 'string' } }).toArray(),
    db.collection(`${collectionName}.sessions`).find({ state: 'alive' }).toArray(),
  ]);
  return [
    ...tickets.map(({ _id, key }) => `ticket ${_id} of ${key}`),
    ...grants.map(({ _id, grant }) => `grant ${grant} of ${_id}`),
    ...sessions.map(({ _id }) => `session ${_id}`),
  ];
}

/** Cursors that are open on a database: the server's own account, so a stream that was not ended shows. */
export async function openCursors(observer: MongoClient, database: string): Promise<string[]> {
  const open = await observer
    .db('admin')
    .aggregate([
      { $currentOp: { idleCursors: true, allUsers: true } },
      { $match: { ns: { $regex: `^${database}\\.` }, cursor: { $exists: true } } },
    ])
    .toArray();
  return open.map(({ type, ns, cursor }) => `${type} on ${ns}: ${JSON.stringify(cursor?.originatingCommand ?? {})}`);
}

/**
 * Ends the cursors on a database that are not being read. A client that was killed, or closed under its stream, cannot
 * end its own: the server would, some minutes later.
 */
export async function endOrphanedCursors(observer: MongoClient, database: string): Promise<void> {
  const idle = { type: 'idleCursor', ns: { $regex: `^${database}\\.` } };
  const found = observer.db('admin').aggregate([{ $currentOp: { idleCursors: true } }, { $match: idle }]);
  for (const { ns, cursor } of await found.toArray()) {
    const killCursors = String(ns).slice(database.length + 1);
    await observer.db(database).command({ killCursors, cursors: [cursor.cursorId] });
  }
}

/** How many connections to the server clients of this `appName` have, the driver's own monitoring left out. */
export async function connectionsCount(observer: MongoClient, appName: string): Promise<number> {
  const found = await observer
    .db('admin')
    .aggregate([
      { $currentOp: { idleConnections: true, allUsers: true } },
      // A stream's getMore and its connection are one entry; a connection that monitors awaits a hello.
      { $match: { appName, connectionId: { $exists: true }, 'command.hello': { $exists: false } } },
      { $group: { _id: '$connectionId' } },
    ])
    .toArray();
  return found.length;
}

/** What keeps this process alive, and who listens to it: counts by name. */
export function processResources(): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) counts[name] = (counts[name] ?? 0) + 1;
  for (const name of process.eventNames()) counts[`listener of ${String(name)}`] = process.listenerCount(name);
  return counts;
}

/** What `after` has more of than `before`, as words. */
export function grown(before: Record<string, number>, after: Record<string, number>): string[] {
  return Object.entries(after).flatMap(([name, count]) => {
    const more = count - (before[name] ?? 0);
    return more > 0 ? [`${more} ${name}`] : [];
  });
}
