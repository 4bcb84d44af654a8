/**
 * Where the database comes from: a `Db`, a `MongoClient`, a connection string or a mongoose connection, all turned into
 * one thing that opens and closes. Sending, retrying and understanding failures is `connection.ts`; what server is
 * behind it is checked by `topology.ts`.
 *
 * Making one sends nothing. `connect()` is always called explicitly: an implicit first connect that fails leaves a
 * client dead for good, and one that was closed by its owner is not brought back behind their back.
 */
import { type Db, MongoClient } from 'mongodb';
import { LockInvalidOptionError, LockUnavailableError } from '../errors.js';
import type { LockSource, MongooseConnectionLike } from '../options.js';
import { acceptedStringProblems, connectionStringProblems, isHostName } from './connection-string.js';
import { orElse } from './driver-errors.js';
import { failureOf } from './failures.js';

/** An open database. `client` changes when it was closed and opened anew: what it delivered before is then void. */
export interface OpenDatabase {
  readonly client: MongoClient;
  readonly db: Db;
}

/** A way to the database. */
export interface DatabaseSource {
  /** Connects if need be; cheap once connected. Rejects with a public error. */
  open(): Promise<OpenDatabase>;
  /** Closes the client if it is ours. Idempotent; `open` may follow. */
  close(): Promise<void>;
}

const MONGOOSE_MAJOR = 8;
const DRIVER_NEEDED = 'mongodb 6.20 or later is needed';

/** What is wrong with a source as far as it can be seen without sending anything: one sentence for each problem. */
export function sourceProblems(source: LockSource): string[] {
  if (source.kind === 'connection') return connectionProblems(source.connection);
  if (source.kind === 'uri') return uriProblems(source.uri, source.dbName).map((problem) => `"uri": ${problem}`);
  if (source.kind === 'db') return clientProblems((source.db as unknown as Partial<Db>).client);
  return [...clientProblems(source.client), ...databaseProblems(source.client, source.dbName)];
}

/** The way to the database that a source stands for. */
export function databaseSource(source: LockSource): DatabaseSource {
  if (source.kind === 'uri') return new OwnClient(source.uri, source.dbName);
  if (source.kind === 'connection') return new MongooseConnection(source.connection);
  if (source.kind === 'client') {
    const client = source.client as unknown as MongoClient;
    return new GivenClient(client, () => client.db(source.dbName));
  }
  const db = source.db as unknown as Db;
  return new GivenClient(db.client, () => db);
}

/** The user's own client: connected when it is not yet, never closed. */
class GivenClient implements DatabaseSource {
  /** A `Db` of an old driver has none. */
  readonly #client: MongoClient | undefined;
  readonly #database: () => Db;
  #opened: OpenDatabase | null = null;

  constructor(client: MongoClient | undefined, database: () => Db) {
    this.#client = client;
    this.#database = database;
  }

  async open(): Promise<OpenDatabase> {
    if (this.#opened !== null) return this.#opened;
    const client = this.#client;
    if (client === undefined) throw new LockInvalidOptionError([`"db" is of an old driver: ${DRIVER_NEEDED}.`]);
    await client.connect().catch((error: unknown) => {
      throw failureOf(error, 'read', client);
    });
    this.#opened = { client, db: this.#database() };
    return this.#opened;
  }

  /** Nothing is ours. It stays opened: a client that its owner closes is not to be connected again from here. */
  async close(): Promise<void> {}
}

/** A client of our own. */
class OwnClient implements DatabaseSource {
  readonly #uri: string;
  readonly #dbName: string | undefined;
  #client: MongoClient | null = null;
  #opening: Promise<OpenDatabase> | null = null;

  constructor(uri: string, dbName: string | undefined) {
    this.#uri = uri;
    this.#dbName = dbName;
  }

  open(): Promise<OpenDatabase> {
    if (this.#opening === null) {
      const client = clientOf(this.#uri);
      if (client === null) return Promise.reject(new LockInvalidOptionError(uriProblems(this.#uri, this.#dbName)));
      this.#client = client;
      this.#opening = this.#connect(client);
    }
    return this.#opening;
  }

  /** Also while it is still connecting, which then fails at once. */
  async close(): Promise<void> {
    const client = this.#client;
    this.#client = null;
    this.#opening = null;
    await client?.close();
  }

  async #connect(client: MongoClient): Promise<OpenDatabase> {
    try {
      await client.connect();
      return { client, db: client.db(this.#dbName) };
    } catch (error) {
      if (this.#client === client) this.#opening = null;
      await client.close().catch(() => {});
      throw failureOf(error, 'read', client);
    }
  }
}

/** The user's own mongoose connection. After `close()` and `openUri()` its client is another one, so it is asked each time. */
class MongooseConnection implements DatabaseSource {
  readonly #connection: MongooseConnectionLike;
  #opened: OpenDatabase | null = null;

  constructor(connection: MongooseConnectionLike) {
    this.#connection = connection;
  }

  async open(): Promise<OpenDatabase> {
    const connection = this.#connection;
    if (connection.readyState !== CONNECTED) await this.#untilConnected();
    const client = connection.getClient() as MongoClient | undefined;
    if (client === undefined || connection.readyState !== CONNECTED) throw new LockUnavailableError(MONGOOSE_CLOSED);
    if (this.#opened?.client === client) return this.#opened;
    const problems = clientProblems(client);
    if (problems.length > 0) throw new LockInvalidOptionError(problems);
    this.#opened = { client, db: client.db(connection.name) };
    return this.#opened;
  }

  async close(): Promise<void> {}

  async #untilConnected(): Promise<void> {
    const connection = this.#connection;
    try {
      await connection.asPromise();
    } catch (error) {
      throw failureOf(
        error,
        'read',
        orElse(undefined, () => connection.getClient()),
      );
    }
  }
}

const CONNECTED = 1;
const MONGOOSE_CLOSED = 'The mongoose connection is not open. Open it with mongoose.connect() or connection.openUri().';

/**
 * Says what is wrong with a connection string, as far as it can be seen without sending anything.
 *
 * @param uri The connection string.
 * @param dbName The database that is used instead of the one it names, if any.
 * @returns One sentence for each problem, with no piece of the string in any of them: parts are called by what they are and
 * by their place. Empty: nothing is wrong.
 */
export function uriProblems(uri: string, dbName?: string): string[] {
  const client = clientOf(uri);
  if (client !== null) {
    return [...acceptedStringProblems(uri), ...clientProblems(client), ...databaseProblems(client, dbName)];
  }
  // The driver's message repeats what it could not read, which may be a password.
  return connectionStringProblems(uri, (other) => clientOf(other) !== null);
}

function clientOf(uri: string): MongoClient | null {
  return orElse(null, () => new MongoClient(uri));
}

function connectionProblems(connection: MongooseConnectionLike): string[] {
  const version = (connection as { base?: { version?: unknown } }).base?.version;
  if (typeof version !== 'string' || Number.parseInt(version, 10) >= MONGOOSE_MAJOR) return [];
  return [
    `"connection" is of mongoose ${version}, and mongoose ${MONGOOSE_MAJOR} or later is needed. ` +
      'Give "uri" instead: the locks then connect by themselves.',
  ];
}

/** What is needed of a driver's client to judge it; others than the driver's may lack any of it. */
interface ClientFacts {
  readonly options?: {
    readonly maxPoolSize?: number;
    readonly loadBalanced?: boolean;
    readonly hosts?: unknown;
    readonly dbName?: unknown;
    /** What the driver tells the server about itself. */
    readonly metadata?: { readonly driver?: { readonly version?: unknown } };
  };
}

function optionsOf(client: unknown): NonNullable<ClientFacts['options']> {
  return (client as ClientFacts | undefined)?.options ?? {};
}

/** How many connections the pool of a client has at most, as far as it says so; 0: no limit. */
export function maxPoolSizeOf(client: unknown): number {
  return optionsOf(client).maxPoolSize ?? 0;
}

function clientProblems(client: unknown): string[] {
  const { maxPoolSize, loadBalanced, metadata, hosts } = optionsOf(client);
  const version = metadata?.driver?.version;
  const [major = 0, minor = 0] = typeof version === 'string' ? version.split('.').map(Number) : [];
  const problems: string[] = [];
  if (major > 0 && (major < 6 || (major === 6 && minor < 20))) {
    problems.push(`The MongoClient is of driver ${major}.${minor}: ${DRIVER_NEEDED}.`);
  }
  if (maxPoolSize === 1) {
    problems.push(
      'The connection has maxPoolSize=1, and the change stream would keep that one connection: allow 2 or more.',
    );
  }
  if (loadBalanced === true) {
    problems.push(
      'The connection has loadBalanced=true, which the locks do not support: connect to the replica set itself.',
    );
  }
  return [...problems, ...hostsProblems(hosts)];
}

/**
 * The driver takes much for a host: nothing at all, or what follows an "@" in a password. It then looks it up, or fails
 * outside of every call with an error that no one can catch and that shows it.
 */
function hostsProblems(hosts: unknown): string[] {
  if (!Array.isArray(hosts)) return [];
  return hosts.flatMap((host: unknown, index) => {
    const isHost = orElse(true, () => isReachable(host));
    return isHost ? [] : [`Host ${index + 1} of the connection string is not a host name. ${MISPLACED}`];
  });
}

const MISPLACED =
  'A user name or a password may have ended too early: write the characters : / ? # [ ] @ % in it percent-encoded.';

function isReachable(address: unknown): boolean {
  const { host, socketPath } = address as { host?: unknown; socketPath?: unknown };
  if (typeof host === 'string') return isHostName(host);
  return typeof socketPath !== 'string' || !socketPath.includes('%');
}

/** The database that the connection string names, where it is to be used. */
function databaseProblems(client: unknown, dbName: string | undefined): string[] {
  const named = optionsOf(client).dbName;
  if (dbName !== undefined || typeof named !== 'string' || !/[/\\. "$\0]/.test(named)) return [];
  return [`The connection string names a database by a name that no database can have. ${MISPLACED}`];
}
