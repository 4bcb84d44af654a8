/**
 * The indexes, and making sure of them. Where the database user may not create indexes, those that exist will do; where
 * they are missing, the error says which commands an administrator runs. Called by `prepare.ts`.
 */
import { type CollectionNames, type Command, MAJORITY } from './commands.js';
import type { Connection } from './connection.js';
import { QUEUE_ORDER } from './queue-commands.js';

/** How long a vacant lock document, and a session document after its lease, is kept. */
export const IDLE_TTL_SECONDS = 3_600;

/** The indexes of the collection of locks and tickets. */
export const LOCK_INDEXES: readonly Command[] = [
  { name: 'tickets_in_order', key: { key: 1, ...QUEUE_ORDER }, partialFilterExpression: { key: { $exists: true } } },
  { name: 'grants', key: { grant: 1, _id: 1 }, partialFilterExpression: { grant: { $type: 'string' } } },
  {
    name: 'vacant_since',
    key: { vacantAt: 1 },
    // Every grant removes the field, so that a held lock is never among these.
    partialFilterExpression: { vacantAt: { $exists: true } },
    expireAfterSeconds: IDLE_TTL_SECONDS,
  },
];

/** The indexes of the collection of sessions. */
export const SESSION_INDEXES: readonly Command[] = [
  { name: 'until', key: { until: 1 }, expireAfterSeconds: IDLE_TTL_SECONDS },
];

/** Creates what is missing. */
export async function ensureIndexes(connection: Connection, names: CollectionNames): Promise<void> {
  await connection.write({ createIndexes: names.locks, indexes: LOCK_INDEXES, writeConcern: MAJORITY });
  await connection.write({ createIndexes: names.sessions, indexes: SESSION_INDEXES, writeConcern: MAJORITY });
}
