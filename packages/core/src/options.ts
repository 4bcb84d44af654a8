/**
 * The options: one table with unit, default, range and reason, the public types, and `checkOptions`, which reports every
 * problem at once and throws nothing. It knows neither driver nor engine: what a `db`, `client` or `connection` says
 * about itself is checked by `mongo/connect`. Called by the api when a client is made.
 */
import { consoleLogger, type Logger, type SafeLogger, safeLogger } from './base/logger.js';

/** What is needed of the driver's `Db`. */
export interface DatabaseLike {
  readonly databaseName: string;
  command(command: never, options?: never): Promise<unknown>;
  collection(name: string): unknown;
}

/** What is needed of the driver's `MongoClient`. */
export interface MongoClientLike {
  db(name?: string): unknown;
  connect(): Promise<unknown>;
}

/** What is needed of a mongoose connection; a connection that is still connecting will do. */
export interface MongooseConnectionLike {
  readonly readyState: number;
  readonly name: string;
  asPromise(): Promise<unknown>;
  getClient(): unknown;
}

/** A database of a driver you connected: `mongodb` 6.20 or later, or 7. You close its client, after `close()`. */
export interface DbSource {
  /** Where the lock documents live. */
  readonly db: DatabaseLike;
  readonly client?: undefined;
  readonly uri?: undefined;
  readonly connection?: undefined;
  readonly dbName?: undefined;
}

/** A `MongoClient` of yours; it is connected when it is not yet. You close it, after `close()`. */
export interface ClientSource {
  /** The client to go through. */
  readonly client: MongoClientLike;
  /** The database. Default: the one in the client's connection string. */
  readonly dbName?: string | undefined;
  readonly db?: undefined;
  readonly uri?: undefined;
  readonly connection?: undefined;
}

/** A connection string: the client is the library's own, closed after `idleMS` of nothing and opened again on demand. */
export interface UriSource {
  /** Passed on to the driver unchanged; shown in no message. */
  readonly uri: string;
  /** The database. Default: the one in `uri`. */
  readonly dbName?: string | undefined;
  readonly db?: undefined;
  readonly client?: undefined;
  readonly connection?: undefined;
}

/** A connection of mongoose 8 or later, such as `mongoose.connection`; its own database is used. You close it. */
export interface ConnectionSource {
  /** The connection, connected or not yet. */
  readonly connection: MongooseConnectionLike;
  readonly db?: undefined;
  readonly client?: undefined;
  readonly uri?: undefined;
  readonly dbName?: undefined;
}

/** When a client passes on a lock that it has lost. */
export type LostLockRelease = 'at-once' | 'on-unlock';

/** How a client behaves, whatever it is connected by. Every one has a default. */
export interface LockSettings {
  /**
   * For how long a process that has fallen silent keeps its locks. Milliseconds, whole, from 1,000 to a day; default
   * 30,000. A holder that cannot renew gives its locks up a tenth of this earlier, so no two believe they hold one.
   * Shorter frees the locks of a crashed process sooner; longer bears longer elections and pauses. Clients of one
   * collection may differ.
   */
  readonly leaseDurationMS?: number | undefined;
  /**
   * How often the lease is renewed while anything is held or awaited. Milliseconds, from 100 to a third of
   * `leaseDurationMS`; default that third, so that one renewal may fail, and one more be late.
   */
  readonly heartbeatIntervalMS?: number | undefined;
  /**
   * How often a client that waits reads what it waits for, in case an event was lost or a holder died. Milliseconds,
   * from 50 to `leaseDurationMS`; default 5,000, or a third of `leaseDurationMS` where that is less.
   */
  readonly patrolIntervalMS?: number | undefined;
  /**
   * By how much the clocks of the *servers* may differ or step: added to a lease before it counts as lapsed.
   * Milliseconds, whole, from 0 to a day; default 10,000. It must be the same in all clients of a collection. The
   * clocks of clients do not matter.
   */
  readonly clockSkewMS?: number | undefined;
  /**
   * For how long nothing must be held or awaited before the session is ended, the change stream closed, and a client
   * made of `uri` disconnected. Milliseconds, from 500 to a day; default 10,000. The next call starts them again.
   */
  readonly idleMS?: number | undefined;
  /**
   * How many callers of one process, waiting in a row, may be served by one grant, and thus by one write. From 1 to
   * 10,000; default 1,024. Order is kept whatever it is; a larger run costs a longer look-up when its process dies.
   */
  readonly runMaxCount?: number | undefined;
  /**
   * How many calls of this client may wait at once; one more is refused with `LOCK_LIMIT`. From 1 to 10,000,000;
   * default 100,000, some hundred megabytes.
   */
  readonly waitersMaxCount?: number | undefined;
  /**
   * When this client passes on the locks that it has lost with its session, or by `close`. Default `'at-once'`. With
   * `'at-once'` that is as soon as it reaches the server, since every holder in this process has been notified by its
   * `signal`. With `'on-unlock'` it waits until their holders have called `unlock`, or `fn` of their `exec` has
   * settled; others get them when the lease has lapsed at the latest, like those of a process that has died. It is for
   * holders that guard something outside this process, such as a command, and need a moment to stop it. They must call
   * `unlock` after a loss too.
   */
  readonly releaseLostLocks?: LostLockRelease | undefined;
  /**
   * The collection of locks and tickets; that of sessions is called the same with `.sessions` behind it. Up to 180
   * bytes; default `dlocks`. Views, capped and time-series collections are refused when the client connects.
   */
  readonly collectionName?: string | undefined;
  /** A name for this process, shown to those who wait for its locks. Up to 256 bytes; default none. */
  readonly label?: string | undefined;
  /**
   * Where messages go: `console`, a logger of pino, or three functions. Default: errors to `console.error`, the rest
   * nowhere. With one given nothing else is printed.
   */
  readonly logger?: Logger | undefined;
}

/** What a `LockClient` is made of: exactly one of `db`, `client`, `uri` and `connection`, and any settings. */
export type LockClientOptions = LockSettings & (DbSource | ClientSource | UriSource | ConnectionSource);

/** What the client is connected by, as it was when the client was made. */
export type LockSource =
  | { readonly kind: 'db'; readonly db: DatabaseLike }
  | { readonly kind: 'client'; readonly client: MongoClientLike; readonly dbName?: string }
  | { readonly kind: 'uri'; readonly uri: string; readonly dbName?: string }
  | { readonly kind: 'connection'; readonly connection: MongooseConnectionLike };

/** The settings with every default in place. Frozen. */
export interface ResolvedOptions {
  readonly leaseDurationMS: number;
  readonly heartbeatIntervalMS: number;
  readonly patrolIntervalMS: number;
  readonly clockSkewMS: number;
  readonly idleMS: number;
  readonly runMaxCount: number;
  readonly waitersMaxCount: number;
  readonly releaseLostLocks: LostLockRelease;
  readonly collectionName: string;
  readonly label?: string;
  readonly logger: SafeLogger;
  /** By how much a hold's local deadline comes before the end of the lease: a tenth of it. Not an option. */
  readonly deadlineMarginMS: number;
}

/** What `checkOptions` found: both values, or at least one problem. */
export type CheckedOptions =
  | { readonly options: ResolvedOptions; readonly source: LockSource; readonly problems: readonly [] }
  | { readonly options: null; readonly source: null; readonly problems: readonly string[] };

type NumberName =
  | 'leaseDurationMS'
  | 'heartbeatIntervalMS'
  | 'patrolIntervalMS'
  | 'clockSkewMS'
  | 'idleMS'
  | 'runMaxCount'
  | 'waitersMaxCount';

/** A limit that is a number, or follows the lease in force. */
type Limit = number | ((leaseMS: number) => number);

interface NumberRow {
  readonly unit: 'ms' | 'count';
  readonly fallback: Limit;
  readonly min: number;
  readonly max: Limit;
  /** Where the maximum comes from, for the message. */
  readonly maxName?: string;
  /** Values that are stored, or count something. */
  readonly whole: boolean;
  readonly reason: string;
}

const DAY_MS = 86_400_000;
const UNIT_REASON = 'Longer than a day is most likely another unit.';

/** The table of the numbers. The lease comes first: others follow it. */
export const NUMBER_OPTIONS: Readonly<Record<NumberName, NumberRow>> = {
  leaseDurationMS: {
    unit: 'ms',
    fallback: 30_000,
    min: 1_000,
    max: DAY_MS,
    whole: true,
    reason: `A shorter lease is lost to one slow election. ${UNIT_REASON}`,
  },
  heartbeatIntervalMS: {
    unit: 'ms',
    fallback: (leaseMS) => leaseMS / 3,
    min: 100,
    max: (leaseMS) => leaseMS / 3,
    maxName: 'a third of leaseDurationMS',
    whole: false,
    reason: 'A lease must bear one renewal that fails and one that is late.',
  },
  patrolIntervalMS: {
    unit: 'ms',
    fallback: (leaseMS) => Math.min(5_000, leaseMS / 3),
    min: 50,
    max: (leaseMS) => leaseMS,
    maxName: 'leaseDurationMS',
    whole: false,
    reason: 'A patrol is two reads; a rare one leaves a lock idle for as long when an event is lost.',
  },
  clockSkewMS: {
    unit: 'ms',
    fallback: 10_000,
    min: 0,
    max: DAY_MS,
    whole: true,
    reason: `It must be the same in all clients of a collection. ${UNIT_REASON}`,
  },
  idleMS: {
    unit: 'ms',
    fallback: 10_000,
    min: 500,
    max: DAY_MS,
    whole: false,
    reason: `Shorter would open and close the session all the time. ${UNIT_REASON}`,
  },
  runMaxCount: {
    unit: 'count',
    fallback: 1_024,
    min: 1,
    max: 10_000,
    whole: true,
    reason: 'The tickets of a run are one string in the lock document.',
  },
  waitersMaxCount: {
    unit: 'count',
    fallback: 100_000,
    min: 1,
    max: 10_000_000,
    whole: true,
    reason: 'Every caller that waits takes memory.',
  },
};

const SOURCES = ['db', 'client', 'uri', 'connection'] as const;
const NUMBERS = Object.keys(NUMBER_OPTIONS) as NumberName[];
const KNOWN: readonly string[] = [
  ...SOURCES,
  'dbName',
  ...NUMBERS,
  'releaseLostLocks',
  'collectionName',
  'label',
  'logger',
];
const LOST_LOCK_RELEASES: readonly unknown[] = ['at-once', 'on-unlock'] satisfies LostLockRelease[];

const COLLECTION_DEFAULT = 'dlocks';
/** A namespace is at most 255 bytes: 63 of a database's name, two dots, and `sessions` are taken off. */
const COLLECTION_MAX_BYTES = 180;
const DATABASE_MAX_BYTES = 63;
/** How long a label may be, of a client and of a call. */
const LABEL_MAX_BYTES = 256;

type Given = Readonly<Record<string, unknown>>;

/** Checks everything that can be checked without the driver, and fills in what is not given. */
export function checkOptions(value: unknown): CheckedOptions {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return { options: null, source: null, problems: ['The options must be an object.'] };
  }
  const given: Given = { ...value };
  const problems: string[] = [];
  checkNames(given, problems);
  const source = checkSource(given, problems);
  const numbers = checkNumbers(given, problems);
  const collectionName = checkCollectionName(given.collectionName, problems);
  checkLostLockRelease(given.releaseLostLocks, problems);
  checkLabel(given.label, problems);
  checkLogger(given.logger, problems);
  if (problems.length > 0 || source === null) return { options: null, source: null, problems };
  const options: ResolvedOptions = Object.freeze({
    ...numbers,
    releaseLostLocks: (given.releaseLostLocks as LostLockRelease | undefined) ?? 'at-once',
    collectionName,
    logger: safeLogger((given.logger as Logger | undefined) ?? consoleLogger),
    deadlineMarginMS: numbers.leaseDurationMS / 10,
    ...(given.label !== undefined && { label: given.label as string }),
  });
  return { options, source, problems: [] };
}

function checkNames(given: Given, problems: string[]): void {
  for (const name of Object.keys(given)) {
    if (KNOWN.includes(name)) continue;
    const near = nearestName(name);
    problems.push(
      near === null ? `There is no option "${name}".` : `There is no option "${name}"; did you mean "${near}"?`,
    );
  }
}

function checkNumbers(given: Given, problems: string[]): Record<NumberName, number> {
  const values = {} as Record<NumberName, number>;
  for (const name of NUMBERS) {
    const row = NUMBER_OPTIONS[name];
    const leaseMS = values.leaseDurationMS ?? 0; // the first row does not ask
    const value = given[name];
    const wrong = value === undefined ? null : problemOf({ name, row, value, leaseMS });
    if (wrong !== null) problems.push(wrong);
    // After a problem the default goes on, so that those who follow the lease are not blamed for it as well.
    values[name] = value === undefined || wrong !== null ? limitOf(row.fallback, leaseMS) : (value as number);
  }
  return values;
}

interface NumberCheck {
  readonly name: NumberName;
  readonly row: NumberRow;
  readonly value: unknown;
  readonly leaseMS: number;
}

function problemOf({ name, row, value, leaseMS }: NumberCheck): string | null {
  const { min, unit, maxName, whole, reason } = row;
  const max = limitOf(row.max, leaseMS);
  const fits = typeof value === 'number' && value >= min && value <= max && (!whole || Number.isInteger(value));
  if (fits) return null;
  const kind = whole ? 'a whole number' : 'a number';
  const limit = maxName === undefined ? String(max) : `${maxName} (${max})`;
  return `"${name}" must be ${kind}${unit === 'ms' ? ' of milliseconds' : ''} from ${min} to ${limit}; got ${show(value)}. ${reason}`;
}

function limitOf(limit: Limit, leaseMS: number): number {
  return typeof limit === 'number' ? limit : limit(leaseMS);
}

function checkCollectionName(name: unknown, problems: string[]): string {
  if (name === undefined) return COLLECTION_DEFAULT;
  const wrong = textProblem(name, COLLECTION_MAX_BYTES) ?? collectionNameProblem(name as string);
  if (wrong !== null) problems.push(`"collectionName" ${wrong}.`);
  return name as string;
}

function collectionNameProblem(name: string): string | null {
  if (/[$\0]/.test(name)) return 'must not contain "$" or a null character';
  if (name.startsWith('system.')) return 'must not start with "system.", which is the server\'s';
  if (/^\.|\.\.|\.$/.test(name)) return 'must not start or end with a dot, or have two in a row';
  return name.endsWith('.sessions') ? 'must not end with ".sessions", where sessions are stored' : null;
}

function checkLostLockRelease(value: unknown, problems: string[]): void {
  if (value === undefined || LOST_LOCK_RELEASES.includes(value)) return;
  problems.push(`"releaseLostLocks" must be "at-once" or "on-unlock"; got ${show(value)}.`);
}

function checkLabel(label: unknown, problems: string[]): void {
  const wrong = labelProblem(label);
  if (wrong !== null) problems.push(`"label" ${wrong}.`);
}

/** What is wrong with a label, of a client or of a call, to follow its name; null: nothing. */
export function labelProblem(label: unknown): string | null {
  return label === undefined ? null : textProblem(label, LABEL_MAX_BYTES);
}

function checkLogger(logger: unknown, problems: string[]): void {
  if (logger === undefined) return;
  const methods = typeof logger === 'object' && logger !== null ? (logger as Given) : null;
  if (typeof methods?.error !== 'function') problems.push('"logger" must be an object with a function "error".');
  for (const name of ['warn', 'debug']) {
    const method = methods?.[name];
    if (method !== undefined && typeof method !== 'function') problems.push(`"logger.${name}" must be a function.`);
  }
}

function checkSource(given: Given, problems: string[]): LockSource | null {
  const kinds = SOURCES.filter((name) => given[name] !== undefined);
  const [kind] = kinds;
  if (kind === undefined) problems.push('Give one of "db", "client", "uri" and "connection".');
  if (kinds.length > 1) problems.push(`Give only one of ${kinds.map((name) => `"${name}"`).join(' and ')}.`);
  for (const name of kinds) {
    const wrong = SOURCE_PROBLEM[name](given[name]);
    if (wrong !== null) problems.push(`"${name}" ${wrong}.`);
  }
  checkDbName(given, problems);
  return kind === undefined ? null : sourceOf(kind, given);
}

function checkDbName({ dbName, client, uri }: Given, problems: string[]): void {
  if (dbName === undefined) return;
  if (client === undefined && uri === undefined) problems.push('"dbName" goes with "client" or "uri" only.');
  const wrong = textProblem(dbName, DATABASE_MAX_BYTES);
  if (wrong !== null) problems.push(`"dbName" ${wrong}.`);
  else if (/[/\\. "$*<>:|?\0]/.test(dbName as string))
    problems.push('"dbName" has a character no database name may have.');
}

const SOURCE_PROBLEM: Readonly<Record<(typeof SOURCES)[number], (value: unknown) => string | null>> = {
  db: (value) => {
    const fits = hasMethods(value, ['command', 'collection']) && typeof (value as Given).databaseName === 'string';
    return fits ? null : 'must be a Db of the mongodb driver, such as client.db()';
  },
  client: (value) => (hasMethods(value, ['db', 'connect']) ? null : 'must be a MongoClient of the mongodb driver'),
  uri: (value) => {
    const fits = typeof value === 'string' && /^mongodb(\+srv)?:\/\/./.test(value);
    return fits ? null : 'must be a string that starts with "mongodb://" or "mongodb+srv://"';
  },
  connection: (value) =>
    hasMethods(value, ['asPromise', 'getClient'])
      ? null
      : 'must be a connection of mongoose 8 or later, such as mongoose.connection; with an older mongoose give "uri"',
};

function sourceOf(kind: (typeof SOURCES)[number], given: Given): LockSource {
  const dbName = given.dbName === undefined ? {} : { dbName: given.dbName as string };
  if (kind === 'db') return { kind, db: given.db as DatabaseLike };
  if (kind === 'client') return { kind, client: given.client as MongoClientLike, ...dbName };
  if (kind === 'uri') return { kind, uri: given.uri as string, ...dbName };
  return { kind, connection: given.connection as MongooseConnectionLike };
}

function hasMethods(value: unknown, names: readonly string[]): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return names.every((name) => typeof (value as Given)[name] === 'function');
}

function textProblem(value: unknown, maxBytes: number): string | null {
  if (typeof value !== 'string' || value === '') return `must be a non-empty string; got ${show(value)}`;
  if (Buffer.byteLength(value) > maxBytes) return `must be at most ${maxBytes} bytes of UTF-8`;
  return /\p{Surrogate}/u.test(value) ? 'has half of a surrogate pair, which is no text' : null;
}

/** Kinds only, but for numbers: what was given may be a secret in the wrong place. */
function show(value: unknown): string {
  if (typeof value === 'number' || value === null || value === '') return value === '' ? 'an empty one' : String(value);
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`;
}

/** The known name that a misspelt one most likely means; null where none is near. */
function nearestName(name: string): string | null {
  const begun = name.length < 4 ? undefined : KNOWN.find((known) => known.toLowerCase().startsWith(name.toLowerCase()));
  if (begun !== undefined) return begun;
  const ranked = KNOWN.map((known) => ({ known, distance: editDistance(name.toLowerCase(), known.toLowerCase()) }));
  ranked.sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  return best !== undefined && best.distance <= Math.max(2, best.known.length / 3) ? best.known : null;
}

/** How many characters must be changed, put in or taken out, counted no further than names are long. */
function editDistance(from: string, to: string): number {
  if (from.length > 2 * to.length + 4) return from.length;
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (const [at, char] of [...from].entries()) {
    const next = [at + 1];
    for (let index = 1; index <= to.length; index += 1) {
      const replaced = (row[index - 1] ?? 0) + (char === to[index - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[index] ?? 0) + 1, (next[index - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
