/** The change stream against the server: what it delivers, to whom, from when on, and what it does when it is broken. */
import { Long, MongoClient, type Timestamp } from 'mongodb';
import { beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '#core/base/clock.js';
import type { ChangedFact, GrantFact } from '#core/ports.js';
import { CommandLog } from '../support/command-log.js';
import { eventually, realPause } from '../support/eventually.js';
import { openCursors } from '../support/leaks.js';
import { type Ports, usePortsDatabase } from '../support/mongo-ports.js';
import { sharedUri } from '../support/mongod.js';
import { SeenFeed } from '../support/seen-feed.js';

const database = usePortsDatabase(import.meta.url);
const writer = database.ports().store;
const locks = database.db.collection<{ _id: string }>('dlocks');

const ONE = { n: 1, callers: 1 };
/** How long a watch does not ask for more after it was told something. */
const WATCH_PAUSE_MS = 250;

beforeAll(async () => {
  await writer.prepare();
});

/** A stream of a client of its own, open when this resolves. */
async function opened(session: string, ports: Ports = database.ports()): Promise<SeenFeed> {
  const seen = new SeenFeed(ports.feed, session);
  await eventually(() => seen.openedCount === 1);
  return seen;
}

async function held(key: string) {
  const lock = await writer.tryGrant({ key, session: 'holder', ticket: ONE });
  return { ...lock, grant: String(lock.grant) };
}

/** Everything the stream has delivered by the time a last grant, written now, has come. */
async function allFacts(seen: SeenFeed): Promise<readonly GrantFact[]> {
  const key = database.key();
  const { grant } = await writer.tryGrant({ key, session: seen.session, ticket: ONE });
  await eventually(() => seen.facts.some((fact) => fact.key === key && fact.grant === grant));
  return seen.facts.filter((fact) => fact.key !== key);
}

/** Kills the cursor that is asked for what this text begins, as an operator would. Between two commands the server may not list it. */
async function killStream(text: string): Promise<void> {
  const admin = database.client.db('admin');
  const stages = [
    { $currentOp: { idleCursors: true, allUsers: true } },
    { $match: { ns: `${database.name}.dlocks`, cursor: { $exists: true } } },
  ];
  await eventually(async () => {
    const found = await admin.aggregate(stages).toArray();
    const mine = found.filter(({ cursor }) => JSON.stringify(cursor.originatingCommand).includes(`"${text}`));
    const cursors = mine.map(({ cursor }) => Long.fromValue(cursor.cursorId));
    if (cursors.length === 0) return false;
    const { cursorsKilled } = await database.db.command({ killCursors: 'dlocks', cursors });
    return cursorsKilled.length > 0;
  });
}

describe('a stream', () => {
  it('delivers every kind of write that grants to its session, and nothing else', async () => {
    const session = 'kinds';
    const seen = await opened(session);
    const expected: GrantFact[] = [];
    const expectGrant = async (key: string) => {
      const { lock } = await writer.readQueue({ key, withoutTickets: [], withoutSessions: [], limit: 1 });
      expect(lock?.grant).toMatch(/^kinds\//);
      expected.push({ key, grant: String(lock?.grant) });
    };
    const tried = database.key(); // an insert by TRY, then a VACATE that grants, then a HANDOFF to another
    const first = await writer.tryGrant({ key: tried, session, ticket: ONE });
    await expectGrant(tried);
    await writer.handoff({
      key: tried,
      grant: String(first.grant),
      next: `other/${first.fence + 1}/1:1`,
      fence: first.fence + 1,
    });
    const arrived = database.key(); // an insert by ARRIVE
    await writer.arrive({ key: arrived, session, tickets: [{ n: 2, callers: 3 }] });
    await expectGrant(arrived);
    const passed = database.key(); // a HANDOFF
    const { grant, fence } = await held(passed);
    await writer.handoff({ key: passed, grant, next: `${session}/${fence + 1}/3:1,4:2`, fence: fence + 3 });
    await expectGrant(passed);
    const vacated = database.key(); // a VACATE that grants the first arrival
    const before = await held(vacated);
    await writer.arrive({ key: vacated, session, tickets: [{ n: 5, callers: 1 }] });
    await writer.vacate({ key: vacated, grant: before.grant, arrivals: 0, withoutSessions: [] });
    await expectGrant(vacated);
    const rescued = database.key(); // a RESCUE that inserts
    await writer.rescue({ key: rescued, fence: null, session, tickets: [{ n: 6, callers: 1 }] });
    await expectGrant(rescued);
    for (const other of ['kinds-', 'kind', 'Kinds', 'kinds0'])
      await writer.tryGrant({ key: database.key(), session: other, ticket: ONE });
    expect(await allFacts(seen)).toEqual(expected);
    await seen.close();
  });

  it('delivers a grant that is logged as a replacement of the whole document', async () => {
    const seen = await opened('replaced');
    const key = database.key();
    await held(key);
    await locks.replaceOne({ _id: key }, { grant: 'replaced/9/1:1', fence: Long.fromNumber(9) } as never);
    expect(await allFacts(seen)).toEqual([{ key, grant: 'replaced/9/1:1' }]);
    await seen.close();
  });

  it('says nothing of writes that leave a grant of its session as it was', async () => {
    const seen = await opened('kept');
    const key = database.key();
    const { grant } = await writer.tryGrant({ key, session: 'kept', ticket: ONE });
    await writer.arrive({ key, session: 'other', tickets: [ONE] });
    await writer.tryGrant({ key, session: 'other', ticket: { n: 2, callers: 1 } });
    await writer.vacate({ key, grant: String(grant), arrivals: 7, withoutSessions: [] });
    expect(await allFacts(seen)).toEqual([{ key, grant }]);
    await seen.close();
  });

  it('moves later reads on: each is answered from no earlier than the last event that was delivered', async () => {
    const mongo = new MongoClient(sharedUri(), { monitorCommands: true });
    const log = new CommandLog(mongo);
    const ports = database.portsOf({ kind: 'client', client: mongo, dbName: database.name });
    await ports.store.prepare();
    const seen = await opened('later', ports);
    const key = database.key();
    const written = await database.db.command({
      update: 'dlocks',
      updates: [{ q: { _id: key }, u: { $set: { grant: 'later/9/1:1' } }, upsert: true }],
      writeConcern: { w: 'majority', j: true },
    });
    await eventually(() => seen.facts.some((fact) => fact.key === key));
    await ports.store.readGrantsOf({ session: 'later' });
    const { readConcern } = (log.sent.at(-1)?.command ?? {}) as { readConcern?: { afterClusterTime: Timestamp } };
    expect(readConcern?.afterClusterTime.greaterThanOrEqual(written.operationTime)).toBe(true);
    await seen.close();
    await mongo.close();
  });

  it('is not confused by what other tools write into the collection', async () => {
    const seen = await opened('foreign');
    await locks.insertMany([
      { _id: 'f1', grant: 7 },
      { _id: 'f2', grant: ['foreign/1/1:1'] },
      { _id: 'f3', fullDocument: { grant: 'foreign/1/1:1' } },
      { _id: 'f4', updateDescription: { updatedFields: { grant: 'foreign/1/1:1' } } },
      { _id: 5, grant: 'foreign/1/1:1' },
    ] as never[]);
    expect(await allFacts(seen)).toEqual([]);
    await seen.close();
  });

  it('covers what is granted after the call of open, before it is open', async () => {
    for (let round = 0; round < 10; round += 1) {
      const ports = database.ports();
      await ports.store.prepare();
      const key = database.key();
      const session = `early${round}`;
      const { grant, fence } = await held(key);
      await ports.store.tryGrant({ key, session, ticket: ONE });
      const seen = new SeenFeed(ports.feed, session);
      const next = `${session}/${fence + 1}/1:1`;
      expect(seen.openedCount).toBe(0);
      await writer.handoff({ key, grant, next, fence: fence + 1 });
      await eventually(() => seen.facts.some((fact) => fact.key === key && fact.grant === next));
      await seen.close();
    }
  });

  it('survives a listener that throws at every call', async () => {
    const { feed } = database.ports();
    const calls: string[] = [];
    const fail = (call: string): never => {
      calls.push(call);
      throw new Error('A listener that throws');
    };
    const handle = feed.open({
      session: 'thrower',
      listener: {
        onFact: () => fail('fact'),
        onOpened: () => fail('opened'),
        onInterrupted: () => fail('interrupted'),
        onRefused: () => fail('refused'),
      },
    });
    await eventually(() => calls.includes('opened'));
    for (const count of [1, 2]) {
      await writer.tryGrant({ key: database.key(), session: 'thrower', ticket: ONE });
      await eventually(() => calls.filter((call) => call === 'fact').length === count);
    }
    await killStream('thrower');
    await eventually(() => calls.filter((call) => call === 'opened').length === 2);
    expect(calls).toContain('interrupted');
    await handle.close();
  });

  it('goes on after each of several streams of one client was closed', async () => {
    const ports = database.ports();
    const streams = await Promise.all(['many1', 'many2', 'many3'].map((session) => opened(session, ports)));
    await streams[0]?.close();
    for (const seen of streams.slice(1)) expect(await allFacts(seen)).toEqual([]);
    await Promise.all(streams.map((seen) => seen.close()));
  });
});

describe('a stream that is broken', () => {
  it('by a killed cursor, says so, is opened again, and delivers', async () => {
    const seen = await opened('killed');
    await killStream('killed');
    await eventually(() => seen.openedCount === 2);
    expect(seen.calls).toEqual(['opened', 'interrupted', 'opened']);
    expect(await allFacts(seen)).toEqual([]);
    await seen.close();
  });

  it.each([
    { how: 'drop', collectionName: 'dropped', act: async () => database.db.collection('dropped').drop() },
    {
      how: 'rename',
      collectionName: 'renamed',
      act: async () => database.db.collection('renamed').rename('renamed-away'),
    },
  ])(
    'by a $how of the collection, is opened again on a collection that has its indexes',
    async ({ collectionName, act }) => {
      const ports = database.ports({ collectionName });
      await ports.store.prepare();
      const collection = database.db.collection(collectionName);
      const indexes = await indexNames(collectionName);
      const seen = await opened(collectionName, ports);
      for (const count of [2, 3]) {
        await act();
        await database.db
          .collection('renamed-away')
          .drop()
          .catch(() => {}); // driver 6 minds that it is absent
        await eventually(() => seen.openedCount === count);
        expect(await indexNames(collectionName)).toEqual(indexes);
        const { grant } = await ports.store.tryGrant({
          key: 'lock:a/b',
          session: collectionName,
          ticket: { n: count, callers: 1 },
        });
        await eventually(() => seen.facts.some((fact) => fact.grant === grant));
      }
      expect(seen.turns).toEqual(['opened', 'interrupted', 'opened', 'interrupted', 'opened']);
      await seen.close();
      await collection.drop();
    },
  );

  it('never, because the collection was dropped before anybody watched, brings the indexes back when it is opened', async () => {
    let aheadMS = 0;
    const clock = { ...systemClock, nowMS: () => systemClock.nowMS() + aheadMS };
    const { store, feed } = database.portsOf({ kind: 'db', db: database.db as never }, 'unwatched', clock);
    await store.prepare();
    const indexes = await indexNames('unwatched');
    await database.db.collection('unwatched').drop();
    await store.tryGrant({ key: 'lock:a/b', session: 'other', ticket: ONE });
    expect(await indexNames('unwatched')).toEqual(['_id_']);
    aheadMS = 61_000;
    const seen = await opened('late', { store, feed });
    expect(await indexNames('unwatched')).toEqual(indexes);
    await seen.close();
  });

  async function indexNames(collectionName: string): Promise<string[]> {
    const indexes = await database.db.collection(collectionName).indexes();
    return indexes.map(({ name }) => String(name)).sort();
  }
});

describe('a stream that is closed', () => {
  it('calls no listener any more, leaves no cursor on the server, and may be closed again', async () => {
    const seen = await opened('closed');
    await eventually(async () => (await ourCursors()).length === 1); // those of tests before end with their pulse
    await Promise.all([seen.close(), seen.close()]);
    await seen.close();
    const before = [...seen.calls];
    await eventually(async () => (await ourCursors()).length === 0);
    await writer.tryGrant({ key: database.key(), session: 'closed', ticket: ONE });
    const witness = await opened('witness');
    await allFacts(witness);
    expect(seen.calls).toEqual(before);
    await witness.close();
  });

  it('before it was open, at whatever moment, never opens and leaves nothing', async () => {
    const ports = database.ports();
    await ports.store.prepare();
    const streams: SeenFeed[] = [];
    for (let round = 0; round < 30; round += 1) {
      const seen = new SeenFeed(ports.feed, `early${round}`);
      streams.push(seen);
      if (round % 3 > 0) await realPause(round % 3 === 1 ? 0 : 1);
      const opened = seen.openedCount;
      await seen.close();
      expect(seen.openedCount).toBe(opened);
    }
    await eventually(async () => (await ourCursors()).length === 0);
    expect(streams.every((seen) => !seen.calls.includes('interrupted') && !seen.calls.includes('refused'))).toBe(true);
  });

  it('while the client was never connected, does not wait for a server', async () => {
    const nowhere = database.portsOf({ kind: 'uri', uri: 'mongodb://127.0.0.1:1/?replicaSet=none', dbName: 'x' });
    const seen = new SeenFeed(nowhere.feed, 'nowhere');
    await realPause(20);
    await seen.close(); // finding no server takes longer than a test may
    expect(seen.calls).toEqual([]);
  });

  async function ourCursors(): Promise<string[]> {
    return openCursors(database.client, database.name);
  }
});

describe('a watch', () => {
  it('tells of every write to its lock documents, and of no other', async () => {
    const [key, other] = [database.key(), database.key()];
    const { changes, calls, handle } = watched([key]);
    await eventually(() => calls.includes('opened'));
    const { grant, fence, born } = await held(key);
    await held(other);
    await writer.arrive({ key, session: 'waits', tickets: [ONE] });
    await writer.arrive({ key, session: 'later', tickets: [ONE] });
    await writer.handoff({ key, grant, next: `waits/${fence + 1}/1:1`, fence: fence + 1 });
    await eventually(() => changes.at(-1)?.fence === fence + 1);
    expect(changes).toEqual([
      { key, fence, born, arrivals: 0 },
      { key, arrivals: 1 },
      { key, arrivals: 2 },
      { key, fence: fence + 1 },
    ]);
    await handle.close();
    await eventually(async () => !(await openCursors(database.client, database.name)).join().includes(key));
  });

  it('is opened again after its cursor was killed, says so, and goes on', async () => {
    const key = database.key();
    const { changes, calls, handle } = watched([key]);
    await eventually(() => calls.includes('opened'));
    await killStream(key);
    await eventually(() => calls.filter((call) => call === 'opened').length === 2);
    expect(calls).toEqual(['opened', 'interrupted', 'opened']);
    const { fence } = await held(key);
    await eventually(() => changes.length > 0);
    expect(changes).toMatchObject([{ key, fence }]);
    await handle.close();
  });

  it('asks for more four times a second at most, however quickly the queue moves', async () => {
    const key = database.key();
    const mongo = new MongoClient(sharedUri(), { monitorCommands: true });
    const log = new CommandLog(mongo);
    const ports = database.portsOf({ kind: 'client', client: mongo, dbName: database.name });
    const { changes, calls, handle } = watched([key], ports);
    await eventually(() => calls.includes('opened'));
    const startedAt = performance.now();
    let { grant, fence } = await held(key);
    for (let count = 0; count < 100; count += 1) {
      const next = `other/${fence + 1}/${count + 1}:1`;
      await writer.handoff({ key, grant, next, fence: fence + 1 });
      [grant, fence] = [next, fence + 1];
    }
    await eventually(() => changes.at(-1)?.fence === fence);
    const asked = log.all.filter(({ name }) => name === 'getMore').length;
    expect(asked).toBeLessThanOrEqual(3 + (performance.now() - startedAt) / WATCH_PAUSE_MS);
    expect(changes.length).toBe(101);
    await handle.close();
    await ports.store.close();
    await mongo.close();
  });

  it.each([2, 3])('is refused where the pool has only %i connections, and none is kept', async (maxPoolSize) => {
    const ports = database.ports({ client: { maxPoolSize } });
    await ports.store.prepare();
    const { calls, handle } = watched([database.key()], ports);
    await eventually(() => calls.length > 0);
    expect(calls).toEqual(['refused']);
    await handle.close();
  });

  it('tells nothing of counts that another tool has spoilt', async () => {
    const key = database.key();
    const { changes, calls, handle } = watched([key]);
    await eventually(() => calls.includes('opened'));
    for (const fence of [Number.NaN, 1e300, -1, 'many', { $gt: 1 }, null])
      await locks.replaceOne({ _id: key }, { fence } as never, { upsert: true });
    await locks.replaceOne({ _id: key }, { fence: Long.fromNumber(7) } as never);
    await eventually(() => changes.length === 7);
    expect(changes).toEqual([...Array.from({ length: 6 }, () => ({ key })), { key, fence: 7 }]);
    await handle.close();
  });
});

function watched(keys: readonly string[], { feed }: Ports = database.ports()) {
  const changes: ChangedFact[] = [];
  const calls: string[] = [];
  const handle = feed.watch({
    keys,
    listener: {
      onChanged: (fact) => changes.push(fact),
      onOpened: () => void calls.push('opened'),
      onInterrupted: () => void calls.push('interrupted'),
      onRefused: () => void calls.push('refused'),
    },
  });
  return { changes, calls, handle };
}
