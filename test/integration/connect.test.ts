/** The ways to the database, and what is made sure of before the first lock: on the server all tests share. */
import { MongoClient, type MongoClientOptions } from 'mongodb';
import mongoose from 'mongoose';
import { describe, expect, it } from 'vitest';
import { systemClock } from '#core/base/clock.js';
import { sourceProblems } from '#core/mongo/connect.js';
import { createMongoPorts } from '#core/mongo/ports.js';
import type { LockSource } from '#core/options.js';
import type { LockStore } from '#core/ports.js';
import { CommandLog } from '../support/command-log.js';
import { eventually, rejection } from '../support/eventually.js';
import { connectionsCount } from '../support/leaks.js';
import { isLong, usePortsDatabase } from '../support/mongo-ports.js';
import { sharedUri } from '../support/mongod.js';
import { SeenFeed } from '../support/seen-feed.js';

const database = usePortsDatabase(import.meta.url);

const ONE = { n: 1, callers: 1 };
const NOWHERE = 'mongodb://user:geheim@127.0.0.1:1/?serverSelectionTimeoutMS=100';

/** The shared server's address with parameters of a test's own, and this file's database in it. */
function uriWith(parameters: Record<string, string> = {}): string {
  const uri = new URL(sharedUri());
  uri.pathname = `/${database.name}`;
  for (const [name, value] of Object.entries(parameters)) uri.searchParams.set(name, value);
  return String(uri);
}

async function usable(store: LockStore): Promise<string> {
  const key = database.key();
  await store.prepare();
  await store.tryGrant({ key, session: 'me', ticket: ONE });
  return key;
}

async function storedIn(dbName: string, key: string): Promise<boolean> {
  return (await database.client.db(dbName).collection<{ _id: string }>('dlocks').countDocuments({ _id: key })) === 1;
}

describe('a database', () => {
  it('is given as a Db, whose client need not be connected', async () => {
    const client = new MongoClient(sharedUri());
    const { store } = database.portsOf({ kind: 'db', db: client.db(database.name) as never });
    expect(await storedIn(database.name, await usable(store))).toBe(true);
    await client.close();
  });

  it('is given as a client and a name, or the name in its connection string', async () => {
    const client = new MongoClient(uriWith());
    const named = database.portsOf({ kind: 'client', client, dbName: `${database.name}_2` }).store;
    const unnamed = database.portsOf({ kind: 'client', client }).store;
    expect(await storedIn(`${database.name}_2`, await usable(named))).toBe(true);
    expect(await storedIn(database.name, await usable(unnamed))).toBe(true);
    await client.db(`${database.name}_2`).dropDatabase();
    await client.close();
  });

  it('is given as a connection string: the client is ours, closed on demand and opened on demand', async () => {
    const appName = `${database.name}_own`;
    const { store } = database.portsOf({ kind: 'uri', uri: uriWith({ appName }) });
    expect(await connectionsCount(database.client, appName)).toBe(0);
    expect(await storedIn(database.name, await usable(store))).toBe(true);
    for (let round = 0; round < 2; round += 1) {
      await store.close();
      await eventually(async () => (await connectionsCount(database.client, appName)) === 0);
      // What is left over from before does not open it again.
      expect(await rejection(store.readGrantsOf({ session: 'me' }))).toMatchObject({ code: 'LOCK_CLOSED' });
      await store.prepare();
      await store.tryGrant({ key: database.key(), session: 'me', ticket: ONE });
      expect(await connectionsCount(database.client, appName)).toBeGreaterThan(0);
    }
    await store.close();
  });

  it('is given as a mongoose connection, before it is open, and after it was closed and opened again', async () => {
    const connection = mongoose.createConnection();
    const { store } = database.portsOf({ kind: 'connection', connection });
    expect(await rejection(store.prepare())).toMatchObject({
      code: 'LOCK_UNAVAILABLE',
      message: expect.stringContaining('mongoose'),
    });
    void connection.openUri(uriWith());
    expect(await storedIn(database.name, await usable(store))).toBe(true);
    await connection.close();
    expect(await rejection(store.readGrantsOf({ session: 'me' }))).toMatchObject({ code: 'LOCK_UNAVAILABLE' });
    await connection.openUri(uriWith());
    await store.tryGrant({ key: database.key(), session: 'me', ticket: ONE });
    await connection.close();
  });

  it('is refused when it is used, if it is given as a Db of a driver so old that it does not tell its client', async () => {
    const { store } = database.portsOf({
      kind: 'db',
      db: { databaseName: 'x', command: async () => ({ ok: 1 }) } as never,
    });
    expect(await rejection(store.prepare())).toMatchObject({
      code: 'LOCK_INVALID_OPTION',
      message: expect.stringContaining('mongodb 6.20'),
    });
  });

  it('is sent nothing before it is used', async () => {
    const client = new MongoClient(sharedUri(), { monitorCommands: true });
    const commands = new CommandLog(client);
    const { store } = createMongoPorts({
      source: { kind: 'client', client },
      options: { collectionName: 'dlocks' },
      clock: systemClock,
    });
    createMongoPorts({
      source: { kind: 'uri', uri: NOWHERE },
      options: { collectionName: 'dlocks' },
      clock: systemClock,
    });
    await store.close();
    expect(commands.all).toEqual([]);
    await client.close();
  });
});

describe('the user’s client', () => {
  it('is not closed with the store', async () => {
    const client = new MongoClient(uriWith());
    const { store } = database.portsOf({ kind: 'client', client });
    await store.prepare();
    await store.close();
    expect(await client.db().command({ ping: 1 })).toMatchObject({ ok: 1 });
    await client.close();
  });

  it('when its owner has closed it, is named as the cause and left closed, and works again once it is connected', async () => {
    const appName = `${database.name}_closed`;
    const client = new MongoClient(uriWith({ appName }));
    const { store } = database.portsOf({ kind: 'client', client });
    await store.prepare();
    await client.close();
    // A server is slow to notice what is gone; what is opened is there at once.
    await eventually(async () => (await connectionsCount(database.client, appName)) === 0);
    const request = { key: database.key(), session: 'me', ticket: ONE };
    const error = await rejection(store.tryGrant(request));
    expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', message: expect.stringContaining('client.connect()') });
    expect(await connectionsCount(database.client, appName)).toBe(0);
    await client.connect();
    expect(await store.tryGrant(request)).toMatchObject({ arrivals: 0 });
    await client.close();
  });

  it.each([
    ['no write concern', { writeConcern: { w: 0 } }],
    ['another read preference', { readPreference: 'secondaryPreferred' }],
    ['another read concern', { readConcern: { level: 'local' } }],
    ['raw replies', { raw: true }],
    ['values left as they are', { promoteValues: false, promoteLongs: false, promoteBuffers: true }],
    ['big integers', { useBigInt64: true }],
    ['the strict server API', { serverApi: { version: '1', strict: true, deprecationErrors: true } }],
    ['no retries', { retryWrites: false, retryReads: false }],
    ['undefined ignored, and keys checked', { ignoreUndefined: true, checkKeys: true, serializeFunctions: true }],
    ['a small pool', { maxPoolSize: 2 }],
  ] satisfies [string, MongoClientOptions][])('may have any defaults, without effect: %s', async (_, options) => {
    const client = new MongoClient(uriWith(), { ...options, monitorCommands: true } as MongoClientOptions);
    const commands = new CommandLog(client);
    const { store, feed } = database.portsOf({ kind: 'client', client });
    await store.prepare();
    commands.clear();
    const session = `hostile${database.key().split('/')[1]}`;
    const seen = new SeenFeed(feed, session);
    await eventually(() => seen.openedCount === 1);
    const key = await everyCommand(store, session);
    await eventually(() => seen.facts.some((fact) => fact.key === key));
    expect((await database.stored(key))?.fence).toSatisfy(isLong);
    for (const { name, command } of commands.sent) {
      if (name === 'update' || name === 'findAndModify' || name === 'delete')
        expect(command.writeConcern).toEqual({ w: 'majority', j: true });
      else expect(command).toMatchObject({ readConcern: { level: 'majority' } });
      expect(JSON.stringify(command.$readPreference ?? 'primary')).toContain('primary');
    }
    await seen.close();
    await client.close();
  });

  /** Sends every command once, checks what they answer, and gives the key of a lock that the session holds. */
  async function everyCommand(store: LockStore, session: string): Promise<string> {
    const key = database.key();
    const draft = { session, leaseMS: 9_000, host: 'h', pid: 1 };
    expect(await store.openSession(draft)).toMatchObject({ remainingMS: 9_000, beats: 0, pid: 1 });
    expect(await store.renewSession(draft)).toMatchObject({ beats: 1 });
    expect(await store.reapSession({ ...draft, clockSkewMS: 0, unchangedBeats: 1 })).toMatchObject({ state: 'alive' });
    expect(await store.readSessions({ sessions: [session] })).toMatchObject([{ leaseMS: 9_000 }]);
    const lock = await store.tryGrant({ key, session: 'other', ticket: ONE });
    expect(lock.fence).toBe(lock.born);
    await store.arrive({ key, session, tickets: [{ n: 7, callers: 2 }] });
    const view = await store.readQueue({ key, withoutTickets: [], withoutSessions: [], limit: 2 });
    expect(view).toMatchObject({ lock: { arrivals: 1 }, head: [{ session, n: 7, callers: 2 }] });
    const awaited = await store.readAwaited({ keys: [key], ticketIds: [`${session}/7`], headLimit: 1 });
    expect([...awaited.tickets]).toEqual([`${session}/7`]);
    const next = `${session}/${lock.fence + 1}/7:2`;
    expect(await store.handoff({ key, grant: String(lock.grant), next, fence: lock.fence + 2 })).toBe(true);
    expect(await store.readGrantsOf({ session })).toEqual([{ key, grant: next }]);
    expect(await store.rescue({ key, fence: lock.fence, session: 'x', tickets: [ONE] })).toBe(false);
    expect(await store.rescue({ key, fence: null, session: 'x', tickets: [ONE] })).toBe(false);
    await store.deleteTickets({ ids: [`${session}/7`] });
    await store.deleteTicketsOf({ session });
    expect(await store.vacate({ key, grant: next, arrivals: 1, withoutSessions: [] })).toMatchObject({
      grant: null,
      fence: lock.fence + 2,
    });
    expect(await store.rescue({ key, fence: lock.fence + 2, session, tickets: [ONE] })).toBe(true);
    await store.condemnSession({ session });
    await store.endSession({ session });
    return key;
  }
});

describe('a server that cannot be reached', () => {
  it('is LOCK_UNAVAILABLE with the driver’s error as cause, and shows no connection string', async () => {
    const { store } = database.portsOf({ kind: 'uri', uri: NOWHERE });
    for (const attempt of [
      store.prepare(),
      store.readGrantsOf({ session: 'me' }),
      store.endSession({ session: 'me' }),
    ]) {
      const error = await rejection(attempt);
      expect(error).toMatchObject({
        code: 'LOCK_UNAVAILABLE',
        retryable: true,
        cause: { name: 'MongoServerSelectionError' },
      });
      expect(everythingOf(error)).not.toContain('geheim');
    }
  });

  it('at first, is reached by the next attempt: a client is not left dead', async () => {
    const client = new MongoClient(NOWHERE);
    const { store } = database.portsOf({ kind: 'client', client });
    for (let attempt = 0; attempt < 2; attempt += 1) {
      const error = await rejection(store.prepare());
      // Not "Topology is closed", which is what a client says for ever after an implicit first connect has failed.
      expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', cause: { name: 'MongoServerSelectionError' } });
    }
    await client.close();
  });

  /** As a logger might print it, hidden properties and causes included. */
  function everythingOf(error: unknown): string {
    if (typeof error !== 'object' || error === null) return String(error);
    const own = Object.getOwnPropertyNames(error).map((name) => String((error as Record<string, unknown>)[name]));
    return [String(error), ...own, everythingOf((error as { cause?: unknown }).cause)].join('\n');
  }
});

describe('what can be seen without sending anything', () => {
  const problemsOf = (source: LockSource) => sourceProblems(source).join(' ');
  const clientOf = (parameters: string) => new MongoClient(`mongodb://127.0.0.1:1/?${parameters}`);

  it('finds nothing wrong with an ordinary source of each kind', () => {
    const client = clientOf('replicaSet=rs0');
    expect(sourceProblems({ kind: 'client', client })).toEqual([]);
    expect(sourceProblems({ kind: 'db', db: client.db('x') as never })).toEqual([]);
    expect(sourceProblems({ kind: 'uri', uri: 'mongodb://127.0.0.1:1/x?replicaSet=rs0' })).toEqual([]);
    expect(sourceProblems({ kind: 'connection', connection: mongoose.createConnection() })).toEqual([]);
  });

  it.each([
    ['maxPoolSize=1', 'maxPoolSize'],
    ['loadBalanced=true', 'loadBalanced'],
  ])('refuses %s in a connection string, a client and a Db', (parameter, name) => {
    const client = clientOf(parameter);
    expect(problemsOf({ kind: 'uri', uri: `mongodb://127.0.0.1:1/?${parameter}` })).toContain(name);
    expect(problemsOf({ kind: 'client', client })).toContain(name);
    expect(problemsOf({ kind: 'db', db: client.db('x') as never })).toContain(name);
  });

  it('refuses a driver that is too old', () => {
    const old = (version: string) => ({
      ...clientOf(''),
      options: { metadata: { driver: { name: 'nodejs', version } } },
    });
    for (const version of ['3.7.4', '6.19.0'])
      expect(problemsOf({ kind: 'client', client: old(version) as never })).toContain('mongodb 6.20');
    for (const version of ['6.20.0', '6.20.0|8.24.10', '7.9.0'])
      expect(problemsOf({ kind: 'client', client: old(version) as never })).toBe('');
  });

  it('refuses a connection of mongoose before 8 by its version, with the way out', () => {
    const connection = { ...mongoose.createConnection(), base: { version: '5.13.23' } };
    const [problem, ...others] = sourceProblems({ kind: 'connection', connection: connection as never });
    expect(problem).toContain('mongoose 5.13.23');
    expect(problem).toContain('"uri"');
    expect(others).toEqual([]);
  });

  it.each([
    'mongodb://me:geheim@',
    'mongodb://me:geheim@host:notaport',
    'mongodb://me:geheim@host/?unknownOption=1',
    'mongodb://me:gehe im@host/?tls=maybe',
    'mongodb+srv://me:geheim@host:27017',
  ])('refuses a connection string the driver cannot read, without showing it (%#)', (uri) => {
    const [problem] = sourceProblems({ kind: 'uri', uri });
    expect(problem).toContain('"uri"');
    expect(problem).not.toMatch(/geheim|gehe im|me:/);
  });
});

describe('a mongoose connection that is open', () => {
  it('with maxPoolSize=1 is refused when it is used', async () => {
    const connection = mongoose.createConnection(uriWith({ maxPoolSize: '1' }));
    const { store } = database.portsOf({ kind: 'connection', connection });
    expect(await rejection(store.prepare())).toMatchObject({
      code: 'LOCK_INVALID_OPTION',
      message: expect.stringContaining('maxPoolSize'),
    });
    await connection.close();
  });
});

describe('preparing', () => {
  it('makes the indexes, once however many ask, and sends nothing when it is done', async () => {
    const client = new MongoClient(uriWith(), { monitorCommands: true });
    const commands = new CommandLog(client);
    const { store } = database.portsOf({ kind: 'client', client }, 'prepared');
    await Promise.all([store.prepare(), store.prepare(), store.prepare()]);
    expect(commands.names.filter((name) => name.startsWith('createIndexes'))).toEqual([
      'createIndexes',
      'createIndexes.sessions',
    ]);
    commands.clear();
    await store.prepare();
    await store.close();
    await store.prepare();
    expect(commands.sent).toEqual([]);
    const indexes = await database.db.collection('prepared').indexes();
    expect(indexes).toMatchObject([
      { name: '_id_' },
      { key: { key: 1, at: 1, session: 1, n: 1 }, partialFilterExpression: { key: { $exists: true } } },
      { key: { grant: 1, _id: 1 }, partialFilterExpression: { grant: { $type: 'string' } } },
      { key: { vacantAt: 1 }, expireAfterSeconds: 3600 },
    ]);
    expect(await database.db.collection('prepared.sessions').indexes()).toMatchObject([
      { name: '_id_' },
      { key: { until: 1 }, expireAfterSeconds: 3600 },
    ]);
    await client.close();
  });

  it('works for 10 clients at once where there is no collection yet', async () => {
    const stores = Array.from({ length: 10 }, () => database.ports({ collectionName: 'rush' }).store);
    await Promise.all(stores.map((store) => store.prepare()));
    expect(await database.db.collection('rush').indexes()).toHaveLength(4);
  });

  it('accepts indexes that an operator made under other names, or with another time to live', async () => {
    await database.db
      .collection('operated')
      .createIndex(
        { vacantAt: 1 },
        { name: 'mine', expireAfterSeconds: 7_200, partialFilterExpression: { vacantAt: { $exists: true } } },
      );
    await database.db
      .collection('operated')
      .createIndex({ grant: 1, _id: 1 }, { name: 'theirs', partialFilterExpression: { grant: { $type: 'string' } } });
    const { store } = database.ports({ collectionName: 'operated' });
    await store.prepare();
    expect((await database.db.collection('operated').indexes()).map(({ name }) => name).sort()).toEqual([
      '_id_',
      'mine',
      'theirs',
      'tickets_in_order',
    ]);
  });

  it('refuses an index of ours that is defined otherwise', async () => {
    await database.db.collection('odd').createIndex({ grant: 1, _id: 1 }, { name: 'grants', unique: true });
    expect(await rejection(database.ports({ collectionName: 'odd' }).store.prepare())).toMatchObject({
      code: 'LOCK_INVALID_OPTION',
    });
  });

  it.each([
    ['a view', 'aView', () => database.db.createCollection('aView', { viewOn: 'other', pipeline: [] }), 'view'],
    [
      'a capped collection',
      'aCapped',
      () => database.db.createCollection('aCapped', { capped: true, size: 4096 }),
      'capped',
    ],
    [
      'a time-series collection',
      'aSeries',
      () => database.db.createCollection('aSeries', { timeseries: { timeField: 't' } }),
      'time-series',
    ],
    [
      'a collection with a collation',
      'aCollated',
      () => database.db.createCollection('aCollated', { collation: { locale: 'en', strength: 2 } }),
      'collation',
    ],
    [
      'sessions in a view',
      'ofView',
      () => database.db.createCollection('ofView.sessions', { viewOn: 'other', pipeline: [] }),
      'ofView.sessions',
    ],
    [
      'sessions with a collation',
      'ofCollated',
      () => database.db.createCollection('ofCollated.sessions', { collation: { locale: 'de' } }),
      'ofCollated.sessions',
    ],
  ])('refuses %s, by name, and creates nothing', async (_, collectionName, create, word) => {
    await create();
    const before = await database.db.listCollections({}, { nameOnly: true }).toArray();
    const error = await rejection(database.ports({ collectionName }).store.prepare());
    expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION', message: expect.stringContaining(word) });
    expect(await database.db.listCollections({}, { nameOnly: true }).toArray()).toHaveLength(before.length);
  });

  it('that failed is tried again', async () => {
    const { store } = database.ports({ collectionName: 'obstructed' });
    await database.db.createCollection('obstructed', { capped: true, size: 4096 });
    expect(await rejection(store.prepare())).toMatchObject({ code: 'LOCK_INVALID_OPTION' });
    await database.db.dropCollection('obstructed');
    await store.prepare();
    expect(await database.db.collection('obstructed').indexes()).toHaveLength(4);
  });
});
