/**
 * A replica set of three whose primary steps down or is killed, whose cursors are killed, and whose oplog runs away under a stream: rows S3, S4 and S5
 * of the failure table, and those of section 2 on a server that fails in the middle of a write. Leases outlast an election, and no patrol comes
 * round: what is noticed was noticed because the stream was opened again.
 */

import type { Lock } from 'mongo-distributed-locks';
import { MongoClient, type Timestamp } from 'mongodb';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Contender } from '../support/child-process.js';
import { type TestClient, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { type RunningServer, startReplicaSet } from '../support/mongod.js';

const PAIR = { resource: 'account', id: 7 };
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };

let server: RunningServer;
let database: TestDatabase;
let child: Contender | undefined;

beforeAll(async () => {
  const started = await Promise.all([
    startReplicaSet({ members: 3, args: ['--oplogSize', '1', '--syncdelay', '1'] }),
    Contender.start(1),
  ]);
  server = started[0];
  child = started[1][0];
  database = new TestDatabase(import.meta.url, server.uri);
  await database.observer.connect();
});

afterEach(async () => {
  const left = await database.settle();
  await database.empty();
  expect(left).toEqual([]);
});

afterAll(async () => {
  await child?.kill();
  await database?.observer.close();
  await server?.stop();
});

async function onPrimary<T>(act: (mongo: MongoClient, pid: number) => Promise<T>): Promise<T> {
  for (const { uri, pid } of server.members) {
    const mongo = new MongoClient(uri, { serverSelectionTimeoutMS: 500 });
    try {
      const hello = await mongo.db('admin').command({ hello: 1 });
      if (hello.isWritablePrimary === true) return await act(mongo, pid);
    } catch (error) {
      // A member that was killed does not answer.
      if ((error as Error).name !== 'MongoServerSelectionError') throw error;
    } finally {
      await mongo.close();
    }
  }
  throw new Error('There is no primary');
}

/** Waiters of clients of their own, each in its place before the next comes. */
async function queueUp(count: number): Promise<{ clients: TestClient[]; waiting: Promise<Lock>[] }> {
  const clients: TestClient[] = [];
  const waiting: Promise<Lock>[] = [];
  for (let place = 1; place <= count; place += 1) {
    const client = await database.connected(SLOW);
    clients.push(client);
    waiting.push(client.locks.lock(PAIR));
    await database.untilWaiting(PAIR, place);
  }
  return { clients, waiting };
}

/** Each takes its turn; says in which order, and with which tokens. */
async function serveAll(waiting: readonly Promise<Lock>[]): Promise<{ order: number[]; tokens: number[] }> {
  const order: number[] = [];
  const tokens: number[] = [];
  let holdersCount = 0;
  await Promise.all(
    waiting.map(async (promise, place) => {
      const lock = await promise;
      holdersCount += 1;
      expect(holdersCount).toBe(1);
      order.push(place);
      tokens.push(lock.fencingToken);
      holdersCount -= 1;
      await lock.unlock();
    }),
  );
  return { order, tokens };
}

function after(token: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => token + 1 + index);
}

/** Failures of commands are what these tests are about, and whether one is seen in the background is the driver's luck. */
function mayFail(clients: readonly TestClient[]): void {
  for (const client of clients) client.expectsErrors = client.logged.length > 0;
}

describe('S4: a cursor that is killed under a waiting stream', () => {
  it('is opened again, and who was granted the lock in between is told', async () => {
    const holder = await database.connected(SLOW);
    const lock = await holder.locks.lock(PAIR);
    const { clients, waiting } = await queueUp(2);
    const streams = [
      { $currentOp: { idleCursors: true, allUsers: true } },
      { $match: { ns: `${database.name}.dlocks` } },
    ];
    const open = await database.observer.db('admin').aggregate(streams).toArray();
    const cursors = open.flatMap(({ cursor }) => (cursor === undefined ? [] : [cursor.cursorId]));
    expect(cursors).toHaveLength(2);
    await Promise.all([database.db.command({ killCursors: 'dlocks', cursors }), lock.unlock()]);
    expect(await serveAll(waiting)).toEqual({ order: [0, 1], tokens: after(lock.fencingToken, 2) });
    await eventually(() => clients.every((client) => client.seen('stream:opened').length === 2));
    expect(clients.flatMap((client) => client.seen('session:lost'))).toEqual([]);
  });
});

describe('S5: a stream whose position the server has lost', () => {
  it('(136, 286) is opened from now, and who was granted the lock in between is told', async () => {
    const lock = await (await database.connected(SLOW)).locks.lock(PAIR);
    const CODES = [136, 286];
    const clients: TestClient[] = [];
    const waiting: Promise<Lock>[] = [];
    for (const [place, errorCode] of CODES.entries()) {
      const appName = `lost-${errorCode}`;
      const client = await database.connected(SLOW, {}, { appName });
      clients.push(client);
      waiting.push(client.locks.lock(PAIR));
      await database.untilWaiting(PAIR, place + 1);
      // It breaks, and cannot be opened at its old position, nor for a while at any other.
      await onPrimary((mongo) =>
        mongo.db('admin').command({
          configureFailPoint: 'failCommand',
          mode: { times: 4 },
          data: { failCommands: ['getMore', 'aggregate'], appName, errorCode },
        }),
      );
      // There is one fail point for all.
      await eventually(() => client.seen('stream:interrupted').length > 0);
    }
    await lock.unlock();
    expect(await serveAll(waiting)).toEqual({ order: [0, 1], tokens: after(lock.fencingToken, 2) });
    for (const client of clients) {
      expect(client.seen('stream:opened')).toHaveLength(2);
      expect(client.seen('stream:interrupted')).toHaveLength(1);
      expect(client.seen('session:lost')).toEqual([]);
    }
    mayFail(clients);
  });

  it('because the oplog has run past it, in a process that stood still, tells that process all the same', async () => {
    const process = child;
    if (process === undefined) throw new Error('No process was started');
    const lock = await (await database.connected(SLOW)).locks.lock(PAIR);
    await process.ask('open', { client: 'locks', uri: database.uri, settings: SLOW });
    await process.ask('lock', { client: 'locks', callers: ['waits'], pair: PAIR });
    await database.untilWaiting(PAIR, 1);
    const position: Timestamp = (await database.db.command({ ping: 1 })).operationTime;
    process.suspend();
    await lock.unlock();
    await runOplogPast(position);
    process.continue();
    expect((await process.granted('waits')).token).toBe(lock.fencingToken + 1);
    await process.ask('unlock', { caller: 'waits' });
    expect(process.told('session:lost')).toEqual([]);
    await process.ask('close', { client: 'locks' });
  });

  /** Writes until a stream cannot be opened at that position any more, and ends those that are open. */
  async function runOplogPast(startAtOperationTime: Timestamp): Promise<void> {
    const filler = database.db.collection('filler');
    // Small enough that the other members keep up.
    const documents = Array.from({ length: 4 }, () => ({ text: 'x'.repeat(100_000) }));
    const pipeline = [{ $changeStream: { startAtOperationTime } }];
    await eventually(async () => {
      await filler.insertMany(documents.map((document) => ({ ...document })));
      const opened = await database.db.command({ aggregate: 'dlocks', pipeline, cursor: {} }).catch((error) => error);
      return opened.code === 286;
    }, 20_000);
    await filler.drop();
    const ours = [{ $currentOp: { idleCursors: true, allUsers: true } }, { $match: { ns: `${database.name}.dlocks` } }];
    const open = await database.observer.db('admin').aggregate(ours).toArray();
    const cursors = open.flatMap(({ cursor }) => (cursor === undefined ? [] : [cursor.cursorId]));
    await database.db.command({ killCursors: 'dlocks', cursors });
  }
});

describe('a server that fails in the middle of a write', () => {
  const FAILURES = {
    'W2: closes the connection': { closeConnection: true },
    'W5: cannot say whether a majority has it': { writeConcernError: { code: 64, errmsg: 'waiting timed out' } },
    'W6: is no primary': { errorCode: 10107 },
    'W6: steps down': { errorCode: 189 },
    'W6: changes its state': { errorCode: 11602 },
    'W6: shuts down': { errorCode: 91 },
  };
  const WRITES = ['findAndModify', 'update', 'delete'];

  it.each(Object.keys(FAILURES) as (keyof typeof FAILURES)[])(
    'and %s is asked again: one grant for each call, and nothing left',
    async (what) => {
      const appName = what;
      // The driver looks again at a server that says it shuts down only at its next heartbeat.
      const options = { appName, heartbeatFrequencyMS: 500 };
      const holder = await database.connected(SLOW, {}, options);
      const behind = await database.connected(SLOW, {}, options);
      const fail = (): Promise<unknown> =>
        onPrimary((mongo) =>
          mongo.db('admin').command({
            configureFailPoint: 'failCommand',
            mode: { times: 1 },
            data: { failCommands: WRITES, appName, ...FAILURES[what] },
          }),
        );
      await fail();
      const first = await holder.locks.lock(PAIR); // TRY
      await fail();
      const second = behind.locks.lock(PAIR); // TRY or ARRIVE
      await database.untilWaiting(PAIR, 1);
      await fail();
      const third = holder.locks.lock(PAIR); // ARRIVE
      await database.untilWaiting(PAIR, 2);
      await fail();
      expect(await first.unlock()).toBe(true); // VACATE
      const held = await second;
      await fail();
      expect(await held.unlock()).toBe(true); // HANDOFF, or the deletion before it
      const last = await third;
      expect([first, held, last].map((lock) => lock.fencingToken - first.fencingToken)).toEqual([0, 1, 2]);
      await fail();
      expect(await last.unlock()).toBe(true);
      await eventually(async () => (await database.holder(PAIR)) === null);
      expect([...holder.seen('granted'), ...behind.seen('granted')]).toHaveLength(3);
      await onPrimary((mongo) => mongo.db('admin').command({ configureFailPoint: 'failCommand', mode: 'off' }));
      mayFail([holder, behind]);
    },
  );
});

describe('S3: an election while waiters listen', () => {
  it.each(['steps down', 'is killed'])(
    'because the primary %s costs nobody a place, a lock or a token',
    async (how) => {
      const holder = await database.connected(SLOW);
      const lock = await holder.locks.lock(PAIR);
      const other = await holder.locks.lock({ ...PAIR, id: 'held throughout' });
      const { clients, waiting } = await queueUp(3);
      const released = onPrimary(async (mongo, pid) => {
        const unlocking = lock.unlock();
        if (how === 'is killed') process.kill(pid, 'SIGKILL');
        else await mongo.db('admin').command({ replSetStepDown: 10, secondaryCatchUpPeriodSecs: 5, force: true });
        return unlocking;
      });
      expect(await serveAll(waiting)).toEqual({ order: [0, 1, 2], tokens: after(lock.fencingToken, 3) });
      expect(await released).toBe(true);
      await eventually(() => clients.every((client) => client.seen('stream:opened').length > 1));
      expect(other.held).toBe(true);
      expect(await other.unlock()).toBe(true);
      const all = [holder, ...clients];
      expect(all.flatMap((client) => [...client.seen('lost'), ...client.seen('session:lost')])).toEqual([]);
      // New arrivals find new streams.
      const again = await clients[0]?.locks.lock(PAIR);
      const next = clients[1]?.locks.lock(PAIR);
      await database.untilWaiting(PAIR, 1);
      await again?.unlock();
      await (await next)?.unlock();
      mayFail(all);
    },
  );
});
