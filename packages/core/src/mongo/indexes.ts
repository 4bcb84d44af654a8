/**
 * The indexes, and making sure of them. Where the database user may not create indexes, those that exist will do; where
 * they are missing, the error says what an administrator has to run. Called by `prepare.ts`.
 */
import { type LockError, LockMissingPrivilegesError } from '../errors.js';
import { type CollectionNames, type Command, MAJORITY } from './commands.js';
import { type Connection, cursorOf } from './connection.js';
import { QUEUE_ORDER } from './queue-commands.js';

/** How long a vacant lock document, and a session document after its lease, is kept. */
const IDLE_TTL_SECONDS = 3_600;

interface Index {
  readonly name: string;
  readonly key: Command;
  readonly partialFilterExpression?: Command;
  readonly expireAfterSeconds?: number;
}

/** The indexes of the collection of locks and tickets. */
const LOCK_INDEXES: readonly Index[] = [
  {
    name: 'tickets_in_order',
    key: { key: 1, ...QUEUE_ORDER },
    // An array in any of these fields, in any document, would end the use of this index for sorting: few others write timestamps.
    partialFilterExpression: { key: { $exists: true }, at: { $type: 'timestamp' } },
  },
  { name: 'grants', key: { grant: 1, _id: 1 }, partialFilterExpression: { grant: { $type: 'string' } } },
  {
    name: 'vacant_since',
    key: { vacantAt: 1 },
    // Every grant clears the field, and what is no date never expires.
    partialFilterExpression: { vacantAt: { $exists: true } },
    expireAfterSeconds: IDLE_TTL_SECONDS,
  },
];

/** The indexes of the collection of sessions. */
const SESSION_INDEXES: readonly Index[] = [{ name: 'until', key: { until: 1 }, expireAfterSeconds: IDLE_TTL_SECONDS }];

interface Wanted {
  readonly collection: string;
  readonly indexes: readonly Index[];
}

/** Creates what is missing, or finds that nothing is. */
export async function ensureIndexes(connection: Connection, names: CollectionNames): Promise<void> {
  const wanted = [
    { collection: names.locks, indexes: LOCK_INDEXES },
    { collection: names.sessions, indexes: SESSION_INDEXES },
  ];
  for (const each of wanted) {
    try {
      await createIndexes(connection, each);
    } catch (error) {
      await acceptExisting(connection, { each, wanted, error: error as LockError });
    }
  }
}

async function createIndexes(connection: Connection, { collection, indexes }: Wanted): Promise<void> {
  await connection.write({ createIndexes: collection, indexes, writeConcern: MAJORITY });
}

/**
 * The command is refused even where the indexes exist, if the user may not create any. It is also refused where an
 * operator made one under another name, or changed how long idle locks are kept: then only the others are created.
 */
async function acceptExisting(
  connection: Connection,
  { each, wanted, error }: { each: Wanted; wanted: readonly Wanted[]; error: LockError },
): Promise<void> {
  if (error.retryable) throw error;
  const missing = await missingIndexes(connection, each);
  if (missing.length === 0) return;
  if (error.code !== 'LOCK_MISSING_PRIVILEGES') return createIndexes(connection, { ...each, indexes: missing });
  const { db } = await connection.open();
  throw new LockMissingPrivilegesError(privilegesMessage(db.databaseName, wanted), { cause: error.cause });
}

async function missingIndexes(connection: Connection, { collection, indexes }: Wanted): Promise<readonly Index[]> {
  const listed = await connection.ask({ listIndexes: collection }).catch(() => null);
  if (listed !== null) {
    const existing = cursorOf(listed).documents.map(definitionOf);
    return indexes.filter((index) => !existing.includes(definitionOf(index)));
  }
  const missing: Index[] = [];
  for (const index of indexes) {
    if (!(await canBeHinted(connection, { collection, index }))) missing.push(index);
  }
  return missing;
}

/** What must agree; names and how long documents are kept may differ. */
function definitionOf({ key, partialFilterExpression, expireAfterSeconds }: Partial<Index>): string {
  return JSON.stringify([key, partialFilterExpression ?? null, expireAfterSeconds !== undefined]);
}

/** Explained, because a plain find with a hint also succeeds where there is no collection at all. */
async function canBeHinted(
  connection: Connection,
  { collection, index }: { collection: string; index: Index },
): Promise<boolean> {
  const find = { find: collection, filter: index.partialFilterExpression ?? {}, hint: index.key };
  const plan = await connection.ask({ explain: find, verbosity: 'queryPlanner' }).catch(() => null);
  return plan !== null && JSON.stringify(plan).includes('IXSCAN');
}

const ACTIONS = ['find', 'insert', 'update', 'remove', 'changeStream', 'createIndex'];

function privilegesMessage(database: string, wanted: readonly Wanted[]): string {
  const inDatabase = `db.getSiblingDB(${JSON.stringify(database)})`;
  const privileges = wanted.map(({ collection }) => ({ resource: { db: database, collection }, actions: ACTIONS }));
  const role = JSON.stringify({ role: 'distributedLocks', privileges, roles: [] });
  const creations = wanted.map(
    ({ collection, indexes }) => `${inDatabase}.runCommand(${JSON.stringify({ createIndexes: collection, indexes })})`,
  );
  return (
    'The indexes of the locks are missing, and the database user may not create them. ' +
    `Either give it this role: ${inDatabase}.createRole(${role}); or have these run once: ${creations.join('; ')}.`
  );
}
