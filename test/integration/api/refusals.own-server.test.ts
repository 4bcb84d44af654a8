/** Servers that the locks cannot live on, as a caller meets them: a standalone one, and one that grants too little. */
import { LockClient, LockMissingPrivilegesError, LockUnsupportedTopologyError } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SETTINGS } from '../../support/database.js';
import { rejection } from '../../support/eventually.js';
import { type RunningServer, startReplicaSet, startStandalone } from '../../support/mongod.js';

const pair = { resource: 'account', id: 7 };

describe('a standalone server', () => {
  let server: RunningServer;
  beforeAll(async () => {
    server = await startStandalone();
  });
  afterAll(() => server.stop());

  it('is refused by every call, with the command that makes it a replica set of one, and nothing is written', async () => {
    const locks = new LockClient({ uri: server.uri, dbName: 'app', ...SETTINGS });
    const calls = [
      () => locks.connect(),
      () => locks.lock(pair),
      () => locks.tryLock(pair),
      () => locks.exec({ ...pair, fn: () => 1 }),
    ];
    for (const call of calls) {
      const error = await rejection(call());
      expect(error).toBeInstanceOf(LockUnsupportedTopologyError);
      expect(error).toMatchObject({ code: 'LOCK_UNSUPPORTED_TOPOLOGY', retryable: false });
      expect((error as Error).message).toContain('--replSet');
      expect((error as Error).message).toContain('rs.initiate()');
    }
    await locks.close();
    const client = new MongoClient(server.uri);
    expect(await client.db('app').listCollections().toArray()).toEqual([]);
    await client.close();
  });
});

describe('a database user', () => {
  let server: RunningServer;
  let root: MongoClient;
  beforeAll(async () => {
    server = await startReplicaSet({ auth: true });
    root = new MongoClient(server.uri);
  });
  afterAll(async () => {
    await root.close();
    await server.stop();
  });

  function uriOf(user: string, password: string): string {
    const uri = new URL(server.uri);
    uri.username = user;
    uri.password = password;
    uri.pathname = '/app';
    uri.searchParams.set('authSource', 'app');
    return String(uri);
  }

  it('who may only read is refused by every call, with what is missing, and shows no password', async () => {
    await root.db('app').command({ createUser: 'reader', pwd: 'a-secret-word', roles: ['read'] });
    const locks = new LockClient({ uri: uriOf('reader', 'a-secret-word'), ...SETTINGS });
    for (const call of [() => locks.connect(), () => locks.lock(pair), () => locks.tryLock(pair)]) {
      const error = await rejection(call());
      expect(error).toBeInstanceOf(LockMissingPrivilegesError);
      expect(error).toMatchObject({ code: 'LOCK_MISSING_PRIVILEGES', retryable: false });
      expect((error as Error).message).not.toContain('a-secret-word');
    }
    await locks.close();
  });

  it('whose password is wrong is refused, and the password is not shown', async () => {
    const locks = new LockClient({ uri: uriOf('reader', 'another-word'), ...SETTINGS });
    const error = await rejection(locks.lock(pair));
    expect(error).toMatchObject({ code: 'LOCK_MISSING_PRIVILEGES' });
    expect(`${error} ${(error as Error).cause}`).not.toContain('another-word');
    await locks.close();
  });

  it('with readWrite on the database needs nothing more', async () => {
    await root.db('app').command({ createUser: 'writer', pwd: 'a-word', roles: ['readWrite'] });
    const [one, other] = [1, 2].map(() => new LockClient({ uri: uriOf('writer', 'a-word'), ...SETTINGS })) as [
      LockClient,
      LockClient,
    ];
    const lock = await one.lock(pair);
    const waiting = other.lock(pair);
    await lock.unlock();
    expect(await (await waiting).unlock()).toBe(true);
    await Promise.all([one.close(), other.close()]);
  });
});
