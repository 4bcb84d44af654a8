/** Options on a real connection: what is refused and when, where the documents go, and that what the connection says counts for nothing. */
import { LockClient } from 'mongo-distributed-locks';
import { MongoClient, type MongoClientOptions } from 'mongodb';
import mongoose from 'mongoose';
import { describe, expect, it } from 'vitest';
import { given, itLeavesNothingBehind, SETTINGS, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { connectionsCount, storedLeftovers } from '../../support/leaks.js';
import { WatchedPorts } from '../../support/watched-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };

function problemsOf(options: unknown): readonly string[] {
  try {
    new LockClient(options as never);
  } catch (error) {
    expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION', retryable: false });
    return (error as { problems: readonly string[] }).problems;
  }
  return [];
}

describe('making a client', () => {
  it('throws at once, with every problem, and has sent nothing', async () => {
    const client = new MongoClient(database.uri, { monitorCommands: true });
    let sent = 0;
    client.on('commandStarted', () => (sent += 1));
    const problems = problemsOf({
      client,
      uri: database.uri,
      leaseDurationMS: 10,
      clockSkewMS: -1,
      idleMS: 499,
      waitersMaxCount: 0,
      collectionName: 'a$b',
      label: '',
      logger: {},
      leaseDurationMs: 3_000,
    });
    expect(problems).toHaveLength(9);
    await client.connect();
    await client.close();
    expect(sent).toBe(0);
  });

  it.each([
    ['leaseDurationMS', { leaseDurationMS: 999 }],
    ['heartbeatIntervalMS', { leaseDurationMS: 3_000, heartbeatIntervalMS: 1_001 }],
    ['heartbeatIntervalMS', { heartbeatIntervalMS: 10_001 }],
    ['patrolIntervalMS', { leaseDurationMS: 3_000, patrolIntervalMS: 3_001 }],
    ['clockSkewMS', { clockSkewMS: -1 }],
    ['idleMS', { idleMS: 499 }],
    ['runMaxCount', { runMaxCount: 0 }],
    ['waitersMaxCount', { waitersMaxCount: 0.5 }],
    ['releaseLostLocks', { releaseLostLocks: true }],
    ['collectionName', { collectionName: 'system.locks' }],
    ['label', { label: 7 }],
    ['logger', { logger: console.error }],
    ['dbName', { dbName: '' }],
  ])('refuses a %s that cannot work, by name: %j', (name, settings) => {
    const problems = problemsOf({ uri: database.uri, ...settings });
    expect(problems).toEqual([expect.stringContaining(`"${name}"`)]);
  });

  it.each([
    ['none', {}],
    ['two', { uri: 'mongodb://localhost/app', client: new MongoClient('mongodb://localhost/app') }],
    ['no Db', { db: {} }],
    ['no MongoClient', { client: {} }],
    ['no connection string', { uri: 'localhost' }],
    ['no mongoose connection', { connection: {} }],
    ['dbName beside a Db', { db: new MongoClient('mongodb://localhost/app').db(), dbName: 'other' }],
  ])('refuses a source that is %s', (_what, source) => {
    expect(problemsOf(source)).toHaveLength(1);
  });

  it.each([
    ['maxPoolSize=1', 'maxPoolSize=1'],
    ['loadBalanced=true', 'loadBalanced=true'],
  ])('refuses %s, in a connection string and in a MongoClient', (option, query) => {
    const uri = `mongodb://localhost/app?${query}`;
    for (const source of [{ uri }, { client: new MongoClient(uri) }, { db: new MongoClient(uri).db() }]) {
      expect(problemsOf(source)).toEqual([expect.stringContaining(option)]);
    }
  });

  it('refuses a mongoose connection before 8 by its version, and points to "uri"', () => {
    const connection = { readyState: 1, name: 'app', asPromise() {}, getClient() {}, base: { version: '7.8.0' } };
    expect(problemsOf({ connection })).toEqual([expect.stringMatching(/7\.8\.0.*"uri"/)]);
  });

  it('takes the options as they are then', async () => {
    const options = { uri: database.uri, ...SETTINGS, collectionName: 'first' };
    const locks = new LockClient(options);
    options.collectionName = 'second';
    await locks.exec({ ...pair, fn: () => 1 });
    await locks.close();
    const names = (await database.db.listCollections().toArray()).map(({ name }) => name);
    expect(names).toContain('first');
    expect(names).not.toContain('second');
    await Promise.all(['first', 'first.sessions'].map((name) => database.db.collection(name).drop()));
  });
});

describe('collectionName', () => {
  it('is where locks and tickets go; sessions go beside it, and nothing else is made', async () => {
    const { locks } = await database.connected({ collectionName: 'guards' });
    const lock = await locks.lock(pair);
    expect(await storedLeftovers(database.db, 'guards')).toHaveLength(2);
    expect(await storedLeftovers(database.db)).toEqual([]);
    await lock.unlock();
    await locks.close();
    const names = (await database.db.listCollections().toArray()).map(({ name }) => name);
    expect(names.filter((name) => name.startsWith('guards')).sort()).toEqual(['guards', 'guards.sessions']);
    expect(await storedLeftovers(database.db, 'guards')).toEqual([]);
  });

  it('keeps locks of two collections apart', async () => {
    const one = await database.connected({ collectionName: 'guards' });
    const other = await database.connected({ collectionName: 'wardens' });
    const locks = [given(await one.locks.tryLock(pair)), given(await other.locks.tryLock(pair))];
    expect(locks.every(({ held }) => held)).toBe(true);
    await Promise.all(locks.map((lock) => lock.unlock()));
  });

  it.each([
    ['view', { viewOn: 'other', pipeline: [] }],
    ['capped collection', { capped: true, size: 4_096 }],
    ['time-series collection', { timeseries: { timeField: 'at' } }],
  ])('that is a %s is refused by every call when the client connects', async (kind, made) => {
    await database.db.createCollection('odd', made);
    const { locks } = database.client({ collectionName: 'odd' });
    for (const call of [() => locks.connect(), () => locks.lock(pair), () => locks.tryLock(pair)]) {
      const error = await rejection(call());
      expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION', retryable: false });
      expect((error as Error).message).toContain(kind);
      expect((error as Error).message).toContain('"collectionName"');
    }
    await database.db.collection('odd').drop();
  });
});

describe('the defaults of the connection', () => {
  const hostile: readonly (readonly [string, MongoClientOptions])[] = [
    ['w: 0', { writeConcern: { w: 0 } }],
    ['w: 1 without journal', { writeConcern: { w: 1, journal: false } }],
    [
      'readConcern local, secondaryPreferred',
      { readConcern: { level: 'local' }, readPreference: 'secondaryPreferred' },
    ],
    ['no promotion', { promoteLongs: false, promoteValues: false, promoteBuffers: true }],
    ['useBigInt64', { useBigInt64: true }],
    ['raw', { raw: true }],
    ['ignoreUndefined, no retries', { ignoreUndefined: true, retryWrites: false, retryReads: false }],
    ['the strict stable API', { serverApi: { version: '1', strict: true, deprecationErrors: true } }],
  ];

  it.each(hostile)('count for nothing, here %s', async (_what, options) => {
    const holder = await database.connected({}, {}, options);
    const waiter = await database.connected({}, {}, options);
    for (const client of [holder, waiter]) client.commands.clear();
    const lock = await holder.locks.lock(pair);
    const waiting = waiter.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    expect(await lock.unlock()).toBe(true);
    const next = await waiting;
    expect(next.fencingToken).toBe(lock.fencingToken + 1);
    expect(await next.unlock()).toBe(true);
    const sent = [...holder.commands.sent, ...waiter.commands.sent];
    for (const { name, command } of sent) {
      if (name === 'aggregate') expect(command.readConcern, name).toMatchObject({ level: 'majority' });
      else expect(command.writeConcern, name).toMatchObject({ w: 'majority', j: true });
      expect((command.$readPreference as { mode?: string } | undefined)?.mode ?? 'primary').toBe('primary');
    }
    expect(sent.length).toBeGreaterThan(5);
  });
});

describe('the source', () => {
  it('{ client } without dbName uses the database of its connection string, and { dbName } another', async () => {
    const { locks, mongo } = await database.connected();
    const other = new LockClient({ client: mongo, dbName: `${database.name}_other`, ...SETTINGS });
    const lock = await locks.lock(pair);
    const apart = given(await other.tryLock(pair));
    expect(await database.holder(pair)).not.toBeNull();
    await Promise.all([lock.unlock(), apart.unlock()]);
    await other.close();
    await mongo.db(`${database.name}_other`).dropDatabase();
  });

  it('{ db } uses that database, and { client } is connected when it was not', async () => {
    const mongo = new MongoClient(database.uri);
    const byDb = new LockClient({ db: mongo.db(), ...SETTINGS });
    const byClient = new LockClient({ client: mongo, ...SETTINGS });
    const lock = await byDb.lock(pair);
    expect(await byClient.tryLock(pair)).toBeNull();
    await lock.unlock();
    await Promise.all([byDb.close(), byClient.close()]);
    await mongo.close();
  });

  it('{ connection } of mongoose works while it still connects, and again after it was closed and opened', async () => {
    const connection = mongoose.createConnection();
    const opening = connection.openUri(database.uri);
    const ports = new WatchedPorts();
    const locks = new LockClient({ connection, ...SETTINGS }, ports.internals);
    const lock = await locks.lock(pair);
    expect(await database.holder(pair)).not.toBeNull();
    await lock.unlock();
    await opening;
    await eventually(() => ports.open.length === 0);
    expect(await storedLeftovers(database.db)).toEqual([]);
    await connection.close();
    await connection.openUri(database.uri);
    expect(await locks.exec({ ...pair, fn: () => 'again' })).toBe('again');
    await locks.close();
    await connection.close();
  });

  it('{ uri } is a client of our own: gone after idleMS of nothing, there again on demand', async () => {
    const appName = `${database.name}-own`;
    const locks = new LockClient({ uri: `${database.uri}&appName=${appName}`, ...SETTINGS });
    const count = (): Promise<number> => connectionsCount(database.observer, appName);
    expect(await count()).toBe(0);
    for (let round = 0; round < 2; round += 1) {
      expect(await locks.exec({ ...pair, fn: count })).toBeGreaterThan(0);
      await eventually(async () => (await count()) === 0);
    }
    await locks.close();
  });

  it('may be shared by any number of clients side by side: each is one contender', async () => {
    const { mongo } = await database.connected();
    const clients = Array.from({ length: 5 }, () => new LockClient({ client: mongo, ...SETTINGS }));
    let inside = 0;
    let most = 0;
    const fn = async (): Promise<void> => {
      inside += 1;
      most = Math.max(most, inside);
      await new Promise((resolve) => setImmediate(resolve));
      inside -= 1;
    };
    await Promise.all(clients.flatMap((locks) => [1, 2, 3].map(() => locks.exec({ ...pair, fn }))));
    expect(most).toBe(1);
    await Promise.all(clients.map((locks) => locks.close()));
  });
});

itLeavesNothingBehind(database);
