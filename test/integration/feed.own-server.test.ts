/** The change stream when the server or the network fails under it: on a server of its own, with fail points and a proxy. */
import { type Binary, MongoClient } from 'mongodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '#core/base/clock.js';
import type { LockStore } from '#core/ports.js';
import { CommandLog } from '../support/command-log.js';
import { eventually } from '../support/eventually.js';
import { FrozenProxy } from '../support/frozen-proxy.js';
import { PortsDatabase } from '../support/mongo-ports.js';
import { type RunningServer, startReplicaSet } from '../support/mongod.js';
import { SeenFeed } from '../support/seen-feed.js';

const ONE = { n: 1, callers: 1 };

let server: RunningServer;
let database: PortsDatabase;
let writer: LockStore;

beforeAll(async () => {
  server = await startReplicaSet();
  database = new PortsDatabase('feed', server.uri);
  writer = database.ports().store;
  await writer.prepare();
});

afterAll(async () => {
  await database?.close();
  await server?.stop();
});

/** Lets commands of one client fail. */
async function failCommands(
  appName: string,
  { times, ...data }: { times: number; failCommands: string[]; [how: string]: unknown },
): Promise<void> {
  await database.client
    .db('admin')
    .command({ configureFailPoint: 'failCommand', mode: { times }, data: { appName, ...data } });
}

async function open(session: string): Promise<{ seen: SeenFeed; commands: CommandLog }> {
  // The driver looks again after a server that said it shuts down only at its next heartbeat.
  const client = new MongoClient(server.uri, { appName: session, monitorCommands: true, heartbeatFrequencyMS: 500 });
  const commands = new CommandLog(client);
  const { feed, store } = database.portsOf({ kind: 'client', client, dbName: database.name });
  await store.prepare();
  const seen = new SeenFeed(feed, session);
  await eventually(() => seen.openedCount === 1);
  closers.push(async () => {
    await seen.close();
    await client.close();
  });
  return { seen, commands };
}

const closers: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closers) await close();
});

/** Grants its session a lock, which ends the getMore that waits; what comes next meets the fail point. */
async function nudge({ session }: SeenFeed) {
  return writer.tryGrant({ key: database.key(), session, ticket: ONE });
}

async function delivers(seen: SeenFeed): Promise<void> {
  const { key, grant } = await nudge(seen);
  await eventually(() => seen.facts.some((fact) => fact.key === key && fact.grant === grant));
}

/** Where the streams of a client were started, oldest first; null: from now. */
function starts(commands: CommandLog): unknown[] {
  const pipelines = commands.all.flatMap(({ name, command }) => (name === 'aggregate' ? [command.pipeline] : []));
  const stages = pipelines.flatMap(
    (stages) => (stages as { $changeStream?: { startAtOperationTime?: unknown } }[])[0]?.$changeStream ?? [],
  );
  return stages.map(({ startAtOperationTime }) => startAtOperationTime ?? null);
}

/** The driver's session of each command, oldest first. */
function sessionsOf(commands: CommandLog, names: readonly string[] | null): string[] {
  const chosen = commands.all.filter(({ name }) => names === null || names.includes(name));
  return chosen.map(({ command }) => (command.lsid as { id: Binary }).id.toString('hex'));
}

describe('a stream', () => {
  it.each([
    ['the primary stepping down', { errorCode: 189 }],
    ['a primary that is none', { errorCode: 10107 }],
    ['a state change', { errorCode: 11602 }],
    ['a shutdown', { errorCode: 91 }],
    ['a cursor that is gone', { errorCode: 43 }],
    ['a closed connection', { closeConnection: true }],
  ])('that is broken by %s is opened again from the latest operation time, and delivers', async (what, how) => {
    const { seen, commands } = await open(`broken by ${what}`.replaceAll(' ', '_'));
    await failCommands(seen.session, { times: 1, failCommands: ['getMore'], ...how });
    await nudge(seen);
    await eventually(() => seen.openedCount === 2);
    expect(seen.turns).toEqual(['opened', 'interrupted', 'opened']);
    expect(starts(commands).every((start) => start !== null)).toBe(true);
    await delivers(seen);
  });

  it('that is broken never uses its session again, or a member that is primary no more would keep the cursor', async () => {
    const { seen, commands } = await open('forgetful');
    const [session] = sessionsOf(commands, ['getMore', 'aggregate']).slice(-1);
    // Both: the member that has the cursor is the primary no more, and the one that is has none.
    await failCommands('forgetful', { times: 2, failCommands: ['getMore', 'killCursors'], errorCode: 10107 });
    const before = commands.all.length;
    await nudge(seen);
    await eventually(() => seen.openedCount === 2);
    await delivers(seen);
    // The one that broke was on its way, or came after.
    const opened = commands.all.findLastIndex(({ name }) => name === 'aggregate');
    expect(opened).toBeGreaterThanOrEqual(before);
    const after = new Set(sessionsOf(commands, null).slice(opened));
    expect(after.size).toBeGreaterThan(0);
    expect(session).toBeDefined();
    expect(after).not.toContain(session);
  });

  it('that is closed gives its session back, but not where the server did not say that it has ended the cursor', async () => {
    for (const [name, reachable] of [
      ['closed_well', true],
      ['closed_in_vain', false],
    ] as const) {
      const client = new MongoClient(server.uri, { appName: name, monitorCommands: true });
      const commands = new CommandLog(client);
      const { feed, store } = database.portsOf({ kind: 'client', client, dbName: database.name });
      await store.prepare();
      const seen = new SeenFeed(feed, name);
      await eventually(() => seen.openedCount === 1);
      await eventually(() => sessionsOf(commands, ['getMore']).length > 0);
      const used = sessionsOf(commands, ['getMore']).at(-1);
      if (!reachable) await failCommands(name, { times: 1, failCommands: ['killCursors'], errorCode: 10107 });
      await seen.close();
      // The getMore that waited ends, one way or the other. The driver takes the session given back last: ever more at once
      // take ever more of those it has.
      let atOnceCount = 1;
      const again = async (): Promise<boolean> => {
        const before = commands.all.length;
        const grant = () => store.tryGrant({ key: database.key(), session: name, ticket: ONE });
        await Promise.all(Array.from({ length: atOnceCount }, grant));
        atOnceCount += 1;
        return sessionsOf(commands, null)
          .slice(before)
          .includes(used ?? '');
      };
      if (reachable) await eventually(again, 10_000);
      else for (let time = 0; time < 20; time += 1) expect(await again()).toBe(false);
      await client.close();
    }
  });

  it.each([136, 260, 280, 286])(
    'whose position is lost (%i) is opened again from now, and delivers',
    async (errorCode) => {
      const { seen, commands } = await open(`lost_${errorCode}`);
      await failCommands(seen.session, { times: 1, failCommands: ['getMore'], errorCode });
      await nudge(seen); // not delivered for certain: it may come before the new "now"
      await eventually(() => seen.openedCount === 2);
      expect(starts(commands).at(-1)).toBeNull();
      await delivers(seen);
    },
  );

  it('whose start is lost at the first opening is opened from now, and says so once', async () => {
    const client = new MongoClient(server.uri, { appName: 'never-was', monitorCommands: true });
    const commands = new CommandLog(client);
    const { feed, store } = database.portsOf({ kind: 'client', client, dbName: database.name });
    await store.prepare();
    await failCommands('never-was', { times: 1, failCommands: ['aggregate'], errorCode: 286 });
    const seen = new SeenFeed(feed, 'never-was');
    await eventually(() => seen.openedCount === 1);
    expect(seen.calls).toEqual(['interrupted', 'opened']);
    expect(starts(commands).slice(-2)).toEqual([expect.anything(), null]);
    await delivers(seen);
    await seen.close();
    await client.close();
  });

  it('that cannot be opened for a while is tried again with growing pauses, and reported once', async () => {
    const { seen, commands } = await open('stubborn');
    await failCommands('stubborn', { times: 5, failCommands: ['aggregate', 'getMore'], errorCode: 6 });
    const startedAt = performance.now();
    await nudge(seen);
    await eventually(() => seen.openedCount === 2, 10_000);
    // 50, 100, 200, 400 and 800 ms of pauses; without them it would be a matter of milliseconds.
    expect(performance.now() - startedAt).toBeGreaterThan(1_000);
    expect(seen.turns).toEqual(['opened', 'interrupted', 'opened']);
    expect(starts(commands).length).toBeLessThan(10);
    await delivers(seen);
  });

  it.each([13, 18, 8000])('that is refused for a moment with code %i is opened again', async (errorCode) => {
    const { seen } = await open(`refused${errorCode}`);
    await failCommands(seen.session, { times: 2, failCommands: ['getMore', 'aggregate'], errorCode });
    await nudge(seen);
    await eventually(() => seen.openedCount === 2);
    expect(seen.turns).toEqual(['opened', 'interrupted', 'opened']);
    await delivers(seen);
  });

  it('is refused for good, with nothing more to come, when a privilege is taken away', async () => {
    const { seen } = await open('deprived');
    await failCommands('deprived', { times: 50, failCommands: ['getMore', 'aggregate'], errorCode: 13 });
    await nudge(seen);
    await eventually(() => seen.calls.includes('refused'), 10_000);
    expect(seen.turns).toEqual(['opened', 'interrupted', 'refused']);
    expect(seen.causes[0]).toMatchObject({ code: 'LOCK_MISSING_PRIVILEGES' });
  });

  it('that falls silent because its socket is dead is given up and opened again', async () => {
    const [member] = server.members;
    const proxy = await FrozenProxy.start(member?.port ?? 0);
    // The limit on silence is the only wait of this length; it need not be waited for in full.
    const clock: Clock = {
      nowMS: systemClock.nowMS,
      nextTurn: systemClock.nextTurn,
      setTimer: (callback, delayMS) =>
        systemClock.setTimer(callback, delayMS > 5_000 && delayMS < 10_000 ? delayMS / 4 : delayMS),
    };
    const uri = `mongodb://127.0.0.1:${proxy.port}/?directConnection=true`;
    const { feed, store } = database.portsOf({ kind: 'uri', uri, dbName: database.name }, 'dlocks', clock);
    await store.prepare();
    const seen = new SeenFeed(feed, 'silent');
    await eventually(() => seen.openedCount === 1);
    await delivers(seen);
    proxy.freeze();
    await eventually(() => seen.openedCount === 2, 10_000);
    expect(seen.turns).toEqual(['opened', 'interrupted', 'opened']);
    await delivers(seen);
    await seen.close();
    await store.close();
    await proxy.close();
  });
});

describe('a stream of a client that its owner closes', () => {
  it('pauses without a word beyond the interruption, and goes on when the client is connected again', async () => {
    const client = new MongoClient(server.uri);
    const { feed, store } = database.portsOf({ kind: 'client', client, dbName: database.name });
    await store.prepare();
    const seen = new SeenFeed(feed, 'reopened');
    await eventually(() => seen.openedCount === 1);
    await client.close();
    await eventually(() => seen.calls.includes('interrupted'));
    await client.connect();
    await eventually(() => seen.openedCount === 2, 10_000);
    expect(seen.turns).toEqual(['opened', 'interrupted', 'opened']);
    await delivers(seen);
    await seen.close();
    await client.close();
  });
});
