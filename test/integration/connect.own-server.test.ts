/** Servers and database users the locks cannot work with, and how each is refused; and what a failure of a write means. */
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type LockError, LockOutcomeUnknownError } from '#core/errors.js';
import { eventually, rejection } from '../support/eventually.js';
import { LookalikeServer } from '../support/lookalike-server.js';
import { type Ports, PortsDatabase } from '../support/mongo-ports.js';
import { type RunningServer, startReplicaSet, startStandalone } from '../support/mongod.js';
import { SeenFeed } from '../support/seen-feed.js';

const ONE = { n: 1, callers: 1 };
const DB = 'app';

/** Ports over a connection string, gone again after the work. */
async function withPorts<T>(uri: string, work: (ports: Ports, database: PortsDatabase) => Promise<T>): Promise<T> {
  const database = new PortsDatabase(DB, uri);
  const ports = database.portsOf({ kind: 'uri', uri, dbName: DB });
  try {
    return await work(ports, database);
  } finally {
    await ports.store.close();
    await database.client.close();
  }
}

function refusal(uri: string): Promise<LockError> {
  return withPorts(uri, ({ store }) => rejection(store.prepare())) as Promise<LockError>;
}

describe('S9: a standalone server', () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startStandalone();
  });
  afterAll(() => server?.stop());

  it.each([
    ['as it is', ''],
    ['by a direct connection', '?directConnection=true'],
  ])('is refused %s, with the command that makes it a replica set', async (_, parameters) => {
    const error = await refusal(server.uri.replace(/\?.*$/, '') + parameters);
    expect(error).toMatchObject({ code: 'LOCK_UNSUPPORTED_TOPOLOGY', retryable: false });
    expect(error.message).toContain('mongod --replSet rs0');
    expect(error.message).toContain('rs.initiate()');
  });

  it('is refused by the stream as well, with nothing more to come', async () => {
    await withPorts(server.uri, async ({ feed }) => {
      const seen = new SeenFeed(feed, 'me');
      await eventually(() => seen.calls.length > 0);
      expect(seen.calls).toEqual(['refused']);
      expect(seen.causes[0]).toMatchObject({ code: 'LOCK_UNSUPPORTED_TOPOLOGY' });
      await seen.close();
    });
  });
});

describe('a member of a replica set that was never initiated', () => {
  it('is refused with the command that initiates it', async () => {
    const server = await startStandalone({ args: ['--replSet', 'rs0'] });
    try {
      const error = await refusal(`mongodb://127.0.0.1:${server.members[0]?.port}/?directConnection=true`);
      expect(error).toMatchObject({ code: 'LOCK_UNSUPPORTED_TOPOLOGY' });
      expect(error.message).toContain('rs.initiate()');
    } finally {
      await server.stop();
    }
  });
});

describe('a server that is not what is needed', () => {
  const modern = {
    isWritablePrimary: true,
    setName: 'rs0',
    maxWireVersion: 25,
    minWireVersion: 0,
    hosts: ['127.0.0.1:1'],
    maxBsonObjectSize: 16777216,
    maxMessageSizeBytes: 48000000,
    maxWriteBatchSize: 100000,
    logicalSessionTimeoutMinutes: 30,
  };

  it.each([
    ['MongoDB 5.0', { hello: { ...modern, maxWireVersion: 13 } }, 'older than MongoDB 6.0'],
    ['FerretDB 1', { hello: modern, buildInfo: { version: '7.0.42', ferretdbVersion: 'v1.24.0' } }, 'FerretDB'],
    ['FerretDB 2', { hello: modern, buildInfo: { version: '7.0.77', ferretdb: { version: 'v2.0.0' } } }, 'FerretDB'],
    [
      'DocumentDB by its marks',
      { hello: { ...modern, internal: { documentdb_versions: ['0.106-0'] } }, buildInfo: { version: '7.0.0' } },
      'DocumentDB',
    ],
    [
      'Amazon DocumentDB by its hosts',
      {
        hello: { ...modern, hosts: ['a.cluster-b.eu-west-1.docdb.amazonaws.com:27017'] },
        buildInfo: { version: '8.0.0' },
      },
      'DocumentDB',
    ],
    [
      'Azure Cosmos DB by its hosts',
      { hello: { ...modern, hosts: ['x.mongo.cosmos.azure.com:10255'] }, buildInfo: { version: '8.0.0' } },
      'Cosmos DB',
    ],
    ['whatever has no commands of ours', { hello: modern, buildInfo: { version: '8.0.0' } }, 'MongoDB 6.0'],
  ])('%s is refused as such', async (_, replies, words) => {
    const server = await LookalikeServer.start(replies);
    const client = new MongoClient(server.uri, { serverApi: { version: '1' } });
    const database = new PortsDatabase(DB, server.uri);
    const { store } = database.portsOf({ kind: 'client', client, dbName: DB });
    const error = await rejection(store.prepare());
    expect(error).toMatchObject({ code: 'LOCK_UNSUPPORTED_TOPOLOGY', message: expect.stringContaining(words) });
    await client.close();
    await server.close();
  });
});

describe('a direct connection to a secondary', () => {
  it('is refused, with what to write instead', async () => {
    const server = await startReplicaSet({ members: 3 });
    try {
      const client = new MongoClient(server.uri);
      const { primary } = await client.db('admin').command({ hello: 1 });
      await client.close();
      const secondary = server.members.find(({ port }) => !String(primary).endsWith(`:${port}`));
      const error = await refusal(secondary?.uri ?? '');
      expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION' });
      expect(error.message).toContain('directConnection');
    } finally {
      await server.stop();
    }
  });
});

describe('a database user', () => {
  const ACTIONS = ['find', 'insert', 'update', 'remove', 'changeStream', 'createIndex'];
  let server: RunningServer;
  let admin: MongoClient;
  let usersCount = 0;

  beforeAll(async () => {
    server = await startReplicaSet({ auth: true });
    admin = new MongoClient(server.uri);
  });
  afterAll(async () => {
    await admin?.close();
    await server?.stop();
  });

  /** The connection string of a new user who may do just this on both collections. */
  async function userWith(actions: readonly string[]): Promise<string> {
    usersCount += 1;
    const name = `user${usersCount}`;
    const privileges = ['dlocks', 'dlocks.sessions'].map((collection) => ({
      resource: { db: DB, collection },
      actions,
    }));
    await admin.db(DB).command({ createRole: name, privileges, roles: [] });
    await admin.db(DB).command({ createUser: name, pwd: 'geheim', roles: [name] });
    const uri = new URL(server.uri);
    [uri.username, uri.password] = [name, 'geheim'];
    uri.searchParams.set('authSource', DB);
    return String(uri);
  }

  async function everyWrite({ store }: Ports): Promise<void> {
    await store.openSession({ session: 'me', leaseMS: 1_000, host: 'h', pid: 1 });
    const key = 'lock:a/b';
    const { grant } = await store.tryGrant({ key, session: 'me', ticket: ONE });
    await store.arrive({ key, session: 'me', tickets: [{ n: 2, callers: 1 }] });
    await store.readQueue({ key, withoutTickets: [], withoutSessions: [], limit: 1 });
    await store.readAwaited({ keys: [key], ticketIds: ['me/2'], headLimit: 1 });
    await store.readGrantsOf({ session: 'me' });
    await store.deleteTickets({ ids: ['me/2'] });
    await store.vacate({ key, grant: String(grant), arrivals: 1, withoutSessions: [] });
    await store.endSession({ session: 'me' });
  }

  async function streamOnce({ feed }: Ports): Promise<void> {
    const seen = new SeenFeed(feed, 'me');
    await eventually(() => seen.calls.length > 0);
    expect(seen.calls[0]).toBe('opened');
    await seen.close();
  }

  it('with the least role can do everything, and needs no other privilege', async () => {
    await withPorts(await userWith(ACTIONS), async (ports) => {
      await ports.store.prepare();
      await streamOnce(ports);
      await everyWrite(ports);
    });
    expect(await admin.db(DB).collection('dlocks').indexes()).toHaveLength(4);
  });

  it.each(ACTIONS.filter((action) => action !== 'createIndex'))(
    'without %s is refused, by the names of all that is needed',
    async (missing) => {
      const error = await withPorts(await userWith(ACTIONS.filter((action) => action !== missing)), (ports) =>
        rejection(ports.store.prepare().then(() => everyWrite(ports))),
      );
      expect(error).toMatchObject({ code: 'LOCK_MISSING_PRIVILEGES', retryable: false });
      for (const action of ACTIONS) expect(String(error)).toContain(action);
      await admin.db(DB).collection('dlocks').deleteMany({});
    },
  );

  it('S9: without changeStream learns so before the first ticket, and leaves nothing behind', async () => {
    await withPorts(await userWith(ACTIONS.filter((action) => action !== 'changeStream')), async ({ store, feed }) => {
      expect(await rejection(store.prepare())).toMatchObject({ code: 'LOCK_MISSING_PRIVILEGES' });
      const seen = new SeenFeed(feed, 'me');
      await eventually(() => seen.calls.length > 0);
      expect(seen.calls).toEqual(['refused']);
    });
    expect(await admin.db(DB).collection('dlocks').countDocuments({})).toBe(0);
  });

  it.each([
    ['and may not list them either', []],
    ['but may list them', ['listIndexes']],
  ])('who may not create indexes works where they exist, %s', async (_, more) => {
    const actions = [...ACTIONS.filter((action) => action !== 'createIndex'), ...more];
    await withPorts(await userWith(ACTIONS), ({ store }) => store.prepare());
    await withPorts(await userWith(actions), async (ports) => {
      await ports.store.prepare();
      await streamOnce(ports);
      await everyWrite(ports);
    });
  });

  it.each([
    ['the collections are there, and may not be listed', [], true],
    ['the collections are there, and may be listed', ['listIndexes'], true],
    ['there are no collections', [], false],
    ['there are no collections, and they may be listed', ['listIndexes'], false],
  ])(
    'who may not create indexes is told the role and the commands where they are missing: %s',
    async (_, more, exist) => {
      const db = admin.db(DB);
      for (const name of ['dlocks', 'dlocks.sessions']) {
        await db.dropCollection(name);
        if (exist) await db.createCollection(name);
      }
      const uri = await userWith([...ACTIONS.filter((action) => action !== 'createIndex'), ...more]);
      const error = await refusal(uri);
      expect(error).toMatchObject({ code: 'LOCK_MISSING_PRIVILEGES', cause: { code: 13 } });
      // What it says can be pasted: the commands are run, and then it works.
      const commands = [...error.message.matchAll(/\.runCommand\((\{.*?\})\)(?=[;.])/g)].map(([, json]) =>
        JSON.parse(json ?? ''),
      );
      expect(commands.map(({ createIndexes }) => createIndexes)).toEqual(['dlocks', 'dlocks.sessions']);
      for (const command of commands) await db.command(command);
      await withPorts(uri, ({ store }) => store.prepare());
      const [, role] = /\.createRole\((\{.*?\})\);/.exec(error.message) ?? [];
      expect(JSON.parse(role ?? '').privileges).toEqual(
        ['dlocks', 'dlocks.sessions'].map((collection) => ({ resource: { db: DB, collection }, actions: ACTIONS })),
      );
    },
  );

  it('with a wrong password is refused, and the password is shown nowhere', async () => {
    const uri = new URL(await userWith(ACTIONS));
    uri.password = 'falsch';
    const error = await refusal(String(uri));
    expect(error).toMatchObject({ code: 'LOCK_MISSING_PRIVILEGES', retryable: false, cause: { code: 18 } });
    expect(error.message + JSON.stringify(error.cause) + error.stack).not.toMatch(/falsch|mongodb:/);
  });
});

describe('a write that fails', () => {
  let server: RunningServer;
  let database: PortsDatabase;
  let ports: Ports;

  beforeAll(async () => {
    server = await startReplicaSet();
    database = new PortsDatabase(DB, server.uri);
    ports = database.portsOf({
      kind: 'client',
      client: new MongoClient(server.uri, { appName: 'failing', heartbeatFrequencyMS: 500 }),
      dbName: DB,
    });
    await ports.store.prepare();
  });
  afterAll(async () => {
    await database?.close();
    await server?.stop();
  });

  async function failOnce(data: Record<string, unknown>): Promise<void> {
    const fail = { configureFailPoint: 'failCommand', mode: { times: 1 }, data: { appName: 'failing', ...data } };
    await database.client.db('admin').command(fail);
  }

  async function failedTry(data: Record<string, unknown>) {
    const request = { key: database.key(), session: 'me', ticket: ONE };
    await failOnce({ failCommands: ['findAndModify'], ...data });
    const error = (await rejection(ports.store.tryGrant(request))) as LockError;
    const applied = (await database.stored(request.key)) !== null;
    const again = await ports.store.tryGrant(request);
    expect(again.grant).toBe(`me/${again.fence}/1:1`); // whatever had become of it, sending it again is right
    return { error, applied };
  }

  it.each([
    ['NotWritablePrimary', { errorCode: 10107 }],
    ['NotPrimaryNoSecondaryOk', { errorCode: 13435 }],
    ['NotPrimaryOrSecondary', { errorCode: 13436 }],
    [
      'a label that says nothing was written',
      { errorCode: 91, errorLabels: ['NoWritesPerformed', 'RetryableWriteError'] },
    ],
  ])('with %s was surely not applied, and is no reason to tell a caller that there is no primary', async (_, how) => {
    const { error, applied } = await failedTry(how);
    expect(error).toBeInstanceOf(LockOutcomeUnknownError);
    expect(error.message).toContain('was not done');
    expect(applied).toBe(false);
  });

  it.each([
    ['PrimarySteppedDown', { errorCode: 189 }],
    ['InterruptedDueToReplStateChange', { errorCode: 11602 }],
    ['InterruptedAtShutdown', { errorCode: 11600 }],
    ['ShutdownInProgress', { errorCode: 91 }],
    ['MaxTimeMSExpired', { errorCode: 50 }],
    ['a closed connection', { closeConnection: true }],
    ['an overloaded server', { errorCode: 462, errorLabels: ['SystemOverloadedError'] }],
    ['a code nobody knows', { errorCode: 9_999 }],
  ])('with %s may have been applied: LOCK_OUTCOME_UNKNOWN', async (_, how) => {
    const { error } = await failedTry(how);
    expect(error).toBeInstanceOf(LockOutcomeUnknownError);
    expect(error.cause).toBeDefined();
  });

  it.each([
    [
      'wtimeout',
      {
        code: 64,
        codeName: 'WriteConcernFailed',
        errmsg: 'waiting for replication timed out',
        errInfo: { wtimeout: true },
      },
    ],
    [
      'a stepdown while it waited for the majority',
      { code: 189, codeName: 'PrimarySteppedDown', errmsg: 'stepped down' },
    ],
    [
      'NotWritablePrimary while it waited for the majority',
      { code: 10107, codeName: 'NotWritablePrimary', errmsg: 'not primary' },
    ],
  ])('to be acknowledged, with %s, was applied all the same: LOCK_OUTCOME_UNKNOWN', async (_, writeConcernError) => {
    const { error, applied } = await failedTry({ writeConcernError });
    expect(error).toMatchObject({ code: 'LOCK_OUTCOME_UNKNOWN' });
    expect(applied).toBe(true);
  });

  it('as an update answers the same: write concern errors and write errors of replies are seen', async () => {
    const key = database.key();
    await failOnce({ failCommands: ['update'], writeConcernError: { code: 64, errmsg: 'timed out' } });
    expect(await rejection(ports.store.arrive({ key, session: 'me', tickets: [{ n: 40, callers: 1 }] }))).toMatchObject(
      { code: 'LOCK_OUTCOME_UNKNOWN' },
    );
    await database.db.command({ collMod: 'dlocks', validator: { grant: { $ne: 'never' }, n: { $not: { $eq: 41 } } } });
    const error = await rejection(ports.store.arrive({ key, session: 'me', tickets: [{ n: 41, callers: 1 }] }));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION', message: expect.stringContaining('validation') });
    await database.db.command({ collMod: 'dlocks', validator: {} });
  });

  it('as a duplicate key is sent again unseen', async () => {
    let racesCount = 3;
    const db = database.client.db(DB);
    const racing = new Proxy(db, {
      get: (_, name) => {
        if (name !== 'command') return Reflect.get(db, name);
        return async (...given: Parameters<typeof db.command>) => {
          const fails = 'findAndModify' in given[0] && racesCount > 0;
          if (fails) racesCount -= 1;
          return fails ? Promise.reject(Object.assign(new Error('E11000'), { code: 11000 })) : db.command(...given);
        };
      },
    });
    const { store } = database.portsOf({ kind: 'db', db: racing as never });
    expect(await store.tryGrant({ key: database.key(), session: 'me', ticket: ONE })).toMatchObject({ arrivals: 0 });
    expect(racesCount).toBe(0);
  });

  it('as a duplicate key for ever, by an index of somebody else, is refused', async () => {
    const request = { key: database.key(), session: 'me', ticket: ONE };
    await database.db.collection('dlocks').deleteMany({});
    await database.db.collection('dlocks').createIndex({ v: 1 }, { unique: true });
    await ports.store.tryGrant(request);
    expect(await rejection(ports.store.tryGrant({ ...request, key: database.key() }))).toMatchObject({
      code: 'LOCK_INVALID_OPTION',
    });
    await database.db.collection('dlocks').dropIndex('v_1');
  });

  it('as a read, is LOCK_UNAVAILABLE whatever it was: a read changes nothing', async () => {
    for (const how of [{ errorCode: 189 }, { closeConnection: true }, { errorCode: 50 }, { errorCode: 9_999 }]) {
      await failOnce({ failCommands: ['aggregate'], ...how });
      expect(await rejection(ports.store.readGrantsOf({ session: 'me' }))).toMatchObject({ code: 'LOCK_UNAVAILABLE' });
    }
    expect(await ports.store.readGrantsOf({ session: 'nobody' })).toEqual([]);
  });
});
