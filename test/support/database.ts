/**
 * A database of a test file's own on the shared server, and lock clients on it that are watched: what they send, emit, log and leave open. After
 * each test every client is closed and nothing may be left of it; that is part of every test. Called at the top of a test file, by `useDatabase`.
 */

import {
  type Lock,
  LockClient,
  type LockEventName,
  type LockKeyPart,
  type LockSettings,
} from 'mongo-distributed-locks';
import { type Db, MongoClient, type MongoClientOptions } from 'mongodb';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { ClientInternals } from '#core/client.js';
import { type Grant, parseGrant } from '#core/protocol/grant.js';
import { decodeKey, readKey } from '#core/protocol/key.js';
import { CommandLog } from './command-log.js';
import { eventually } from './eventually.js';
import { grown, openCursors, processResources, storedLeftovers } from './leaks.js';
import { databaseName, sharedUri } from './mongod.js';
import { WatchedPorts } from './watched-ports.js';

/** Short enough to wait for, long enough for a busy machine. */
export const SETTINGS = { leaseDurationMS: 3_000, clockSkewMS: 500, idleMS: 500 } satisfies LockSettings;

/** The fields of a stored lock that is held, in the order of their names. */
export const GRANTED_FIELDS: readonly string[] = [
  '_id',
  'arrivals',
  'born',
  'fence',
  'firstArrival',
  'grant',
  'grantedAt',
  'v',
  'vacantAt',
];

export const EVENTS: readonly LockEventName[] = [
  'waiting',
  'granted',
  'released',
  'lost',
  'error',
  'session:opened',
  'session:lost',
  'session:ended',
  'session:reaped',
  'stream:opened',
  'stream:interrupted',
  'stream:closed',
];

/** An event as it came. */
export interface SeenEvent {
  readonly name: LockEventName;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** A lock client over a MongoClient of its own. */
export class TestClient {
  readonly locks: LockClient;
  readonly mongo: MongoClient;
  readonly commands: CommandLog;
  readonly ports: WatchedPorts;
  readonly events: SeenEvent[] = [];
  readonly logged: unknown[][] = [];
  /** Whether failures in the background are what the test is about. */
  expectsErrors = false;

  constructor(mongo: MongoClient, settings: LockSettings, internals: ClientInternals) {
    this.mongo = mongo;
    this.commands = new CommandLog(mongo);
    this.ports = new WatchedPorts(internals);
    const logger = { error: (...message: unknown[]) => void this.logged.push(message) };
    this.locks = new LockClient({ client: mongo, ...SETTINGS, logger, ...settings }, this.ports.internals);
    for (const name of EVENTS) this.locks.on(name, (payload) => this.events.push({ name, payload: { ...payload } }));
  }

  /** The payloads of one event, in order. */
  readonly seen = (name: LockEventName): SeenEvent['payload'][] =>
    this.events.filter((event) => event.name === name).map(({ payload }) => payload);

  /** What was logged although no failure was expected, and the other way round. */
  get surprises(): string[] {
    if (this.expectsErrors) return this.logged.length > 0 ? [] : ['nothing was logged, where failures were expected'];
    return this.logged.map((message) => `logged: ${message.map(String).join(' ')}`);
  }

  /** The id of the session that is open now. */
  get session(): string {
    return String(this.seen('session:opened').at(-1)?.session);
  }

  async close(): Promise<void> {
    await this.locks.close();
    await eventually(() => this.ports.open.length === 0).catch(() => {});
    await this.mongo.close();
  }
}

/** A pair that names a lock. */
export interface Pair {
  readonly resource: LockKeyPart;
  readonly id: LockKeyPart;
}

/** The database of one test file. */
export class TestDatabase {
  readonly name: string;
  /** Connection string with this database's name. */
  readonly uri: string;
  /** A client that only looks. */
  readonly observer: MongoClient;
  #clients: TestClient[] = [];

  /** `server`: the connection string of a server of the file's own, several hosts or one, with no database in it. */
  constructor(moduleUrl: string, server?: string) {
    this.name = databaseName(moduleUrl);
    this.uri = server?.replace('/?', `/${this.name}?`) ?? withDatabase(sharedUri(), this.name);
    this.observer = new MongoClient(this.uri);
  }

  get db(): Db {
    return this.observer.db();
  }

  /** A connected, watched MongoClient with a lock client on it; closed after the test. */
  client(settings: LockSettings = {}, internals: ClientInternals = {}, options: MongoClientOptions = {}): TestClient {
    const mongo = new MongoClient(this.uri, { monitorCommands: true, ...options });
    const client = new TestClient(mongo, settings, internals);
    this.#clients.push(client);
    return client;
  }

  /** The same, with topology, indexes and session made sure of, and what that sent forgotten. */
  async connected(
    settings: LockSettings = {},
    internals: ClientInternals = {},
    options: MongoClientOptions = {},
  ): Promise<TestClient> {
    const client = this.client(settings, internals, options);
    await client.locks.connect();
    client.commands.clear();
    return client;
  }

  /** The stored lock document. */
  async stored(pair: Pair): Promise<Record<string, unknown> | null> {
    return this.db.collection<{ _id: string }>('dlocks').findOne({ _id: readKey(pair) });
  }

  /** Who holds a lock by the database: the session, or null. */
  async holder(pair: Pair): Promise<string | null> {
    const grant = (await this.stored(pair))?.grant;
    return typeof grant === 'string' ? (grant.split('/')[0] ?? null) : null;
  }

  /** How many callers wait for a lock by the tickets in the database, the holder's own ticket left out. */
  async waitersCount(pair: Pair): Promise<number> {
    // As the library reads: what a majority does not have yet, it does not see.
    const tickets = await this.db
      .collection('dlocks', { readConcern: { level: 'majority' } })
      .find({ key: readKey(pair) })
      .toArray();
    return tickets.reduce((sum, { callers }) => sum + Number(callers), 0);
  }

  /** Resolves when exactly so many callers wait, their arrivals complete. */
  async untilWaiting(pair: Pair, count: number): Promise<void> {
    await eventually(async () => (await this.waitersCount(pair)) === count && (await this.#marked(pair)));
  }

  /** Removes every document. */
  async empty(): Promise<void> {
    await Promise.all(['dlocks', 'dlocks.sessions'].map((name) => this.db.collection(name).deleteMany({})));
  }

  /** Closes the clients of a test, and says what is left of them. */
  async settle(): Promise<string[]> {
    const clients = this.#clients;
    this.#clients = [];
    await Promise.all(clients.map((client) => client.close()));
    await this.#takeUntold(clients);
    return [
      ...clients.flatMap(({ ports }) => ports.open.map((what) => `${what} at a port`)),
      ...clients.flatMap((client) => client.surprises),
      ...(await storedLeftovers(this.db)),
    ];
  }

  /**
   * A grant of which nobody was told may be left where a release had read the queue before a served ticket was deleted, and
   * was sent when its client had ended (docs/guarantees.md, "Not covered"). What is promised then is that whoever wants the lock has it at once.
   */
  async #takeUntold(clients: readonly TestClient[]): Promise<void> {
    const granted = clients.flatMap((client) => client.seen('granted'));
    const isTold = ({ session, firstToken }: Grant): boolean =>
      granted.some((event) => event.session === session && Number(event.fencingToken) >= firstToken);
    const held = this.db.collection<{ _id: string; grant: string }>('dlocks').find({ grant: { $type: 'string' } });
    for (const { _id: key, grant: text } of await held.toArray()) {
      const [grant, pair] = [parseGrant(text), decodeKey(key)];
      if (grant === null || pair === null || isTold(grant)) continue;
      const dead = { _id: grant.session as never, state: 'dead' };
      if ((await this.db.collection('dlocks.sessions').findOne(dead)) === null) continue;
      const taker = new LockClient({ client: this.observer, ...SETTINGS });
      await (await taker.lock({ ...pair, timeoutMS: SETTINGS.leaseDurationMS - 1_000 })).unlock();
      await taker.close();
    }
  }

  /** A ticket may be there before its mark is: a lock with tickets has a first arrival noted, or a grant of one. */
  async #marked(pair: Pair): Promise<boolean> {
    const lock = await this.stored(pair);
    return typeof lock?.firstArrival === 'string' || typeof lock?.grant === 'string';
  }
}

function withDatabase(server: string, name: string): string {
  const uri = new URL(server);
  uri.pathname = `/${name}`;
  return String(uri);
}

/** Gives a test file its database, and lets every test end with nothing left of it. */
export function useDatabase(moduleUrl: string): TestDatabase {
  const database = new TestDatabase(moduleUrl);
  const before = processResources();
  beforeAll(async () => {
    await database.observer.connect();
  });
  afterEach(async () => {
    const left = await database.settle();
    await database.empty();
    expect(left).toEqual([]);
  });
  afterAll(async () => {
    await database.db.dropDatabase();
    await database.observer.close();
  });
  leftoverChecks.set(database, before);
  return database;
}

const leftoverChecks = new WeakMap<TestDatabase, Record<string, number>>();

/** The last test of a file: nothing of what went before is left in this process or on the server. */
export function itLeavesNothingBehind(database: TestDatabase): void {
  it('leaves no ticket, grant, session, stream, socket, timer or process listener behind', async () => {
    expect(await storedLeftovers(database.db)).toEqual([]);
    await eventually(async () => (await openCursors(database.observer, database.name)).length === 0).catch(() => {});
    expect(await openCursors(database.observer, database.name)).toEqual([]);
    await database.observer.close();
    const before = leftoverChecks.get(database) ?? {};
    await eventually(() => grown(before, processResources()).length === 0).catch(() => {});
    expect(grown(before, processResources())).toEqual([]);
    await database.observer.connect();
  });
}

/** A lock that must have been given. */
export function given(lock: Lock | null): Lock {
  if (lock === null) throw new Error('The lock was not given.');
  return lock;
}
