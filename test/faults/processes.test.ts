/**
 * Processes that die or stand still: rows P1 to P6 of the failure table, with real processes, `kill -9`, SIGSTOP and SIGCONT, against the bound that
 * the options in force promise (INV-05). The machine gets an allowance on top of it, far smaller than what a broken promise would cost.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Lock, LockSettings } from 'mongo-distributed-locks';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Contender } from '../support/child-process.js';
import { itLeavesNothingBehind, useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { endOrphanedCursors } from '../support/leaks.js';
import { useWires } from '../support/wrapped-ports.js';
import { guardedNumber } from './children/guarded.js';

const database = useDatabase(import.meta.url);
const wired = useWires(database);
const PAIR = { resource: 'account', id: 7 };
const LEASE_MS = 1_500;
const PATROL_MS = 300;
const SMALL_SKEW_MS = 300;
/** Longer than any test: whoever relies on it is seen. */
const LARGE_SKEW_MS = 60_000;
const BASE = { leaseDurationMS: LEASE_MS, patrolIntervalMS: PATROL_MS, idleMS: 60_000 };
const SETTINGS = { ...BASE, clockSkewMS: SMALL_SKEW_MS } satisfies LockSettings;
const WATCHED = { ...BASE, clockSkewMS: LARGE_SKEW_MS } satisfies LockSettings;
/** What INV-05 promises where nobody had seen the dead one's beats, and where they were seen to stand still. */
const BOUND_MS = LEASE_MS + SMALL_SKEW_MS + PATROL_MS;
const WATCHED_BOUND_MS = LEASE_MS + 2 * PATROL_MS;
/** For a busy machine. */
const ALLOWANCE_MS = 1_500;

let processes: Contender[];
let survivor: Contender;
let folder: string;
const opened: { process: Contender; client: string }[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-'));
  processes = await Contender.start(6);
  survivor = next();
});

afterEach(async () => {
  await Promise.all(opened.splice(0).map(({ process, client }) => process.ask('close', { client })));
});

afterAll(async () => {
  await Promise.all([...(processes ?? []), survivor].map((process) => process?.kill()));
  await rm(folder, { recursive: true, force: true });
});

/** A process that no test has killed yet. */
function next(): Contender {
  const found = processes.pop();
  if (found === undefined) throw new Error('All processes were used');
  return found;
}

async function open(process: Contender, settings: LockSettings, client = 'locks'): Promise<string> {
  const session = await process.ask('open', { client, uri: database.uri, settings });
  if (process === survivor) opened.push({ process, client });
  return session;
}

async function lock(process: Contender, callers: string[], client = 'locks'): Promise<void> {
  await process.ask('lock', { client, callers, pair: PAIR });
}

/** How long it took, and the lock. */
async function timed(waiting: Promise<Lock>, since: number): Promise<{ lock: Lock; tookMS: number }> {
  const lock = await waiting;
  return { lock, tookMS: performance.now() - since };
}

describe('P1 (INV-05): a holder that is killed', () => {
  it('while others wait is followed by the first of them within what is left of its lease and two patrols', async () => {
    const dead = next();
    await open(dead, WATCHED);
    await lock(dead, ['dead']);
    const { token } = await dead.granted('dead');
    const first = (await database.connected(WATCHED)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await open(survivor, WATCHED);
    await lock(survivor, ['second']);
    await database.untilWaiting(PAIR, 2);
    await dead.kill();
    const { lock: held, tookMS } = await timed(first, performance.now());
    expect(tookMS).toBeLessThan(WATCHED_BOUND_MS + ALLOWANCE_MS);
    expect(held.fencingToken).toBeGreaterThan(token);
    expect(survivor.told('granted').filter(({ caller }) => caller === 'second')).toEqual([]);
    await held.unlock();
    expect((await survivor.granted('second')).token).toBeGreaterThan(held.fencingToken);
    expect(await survivor.ask('unlock', { caller: 'second' })).toBe(true);
  });

  it('before anybody came is followed within what is left of its lease, the clock skew and a patrol', async () => {
    const dead = next();
    await open(dead, SETTINGS);
    await lock(dead, ['dead']);
    const { token } = await dead.granted('dead');
    await dead.kill();
    const since = performance.now();
    const { lock: held, tookMS } = await timed((await database.connected(SETTINGS)).locks.lock(PAIR), since);
    expect(tookMS).toBeLessThan(BOUND_MS + ALLOWANCE_MS);
    expect(held.fencingToken).toBeGreaterThan(token);
    await held.unlock();
  });
});

describe('P2: a waiter that is killed in mid-queue', () => {
  it('is out of the queue while the lock is still held, and costs those behind it nothing', async () => {
    const holder = await (await database.connected(SETTINGS)).locks.lock(PAIR);
    const before = (await database.connected(SETTINGS)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const dead = next();
    await open(dead, SETTINGS);
    await lock(dead, ['dead']);
    await database.untilWaiting(PAIR, 2);
    const behind = (await database.connected(SETTINGS)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 3);
    await dead.kill();
    const since = performance.now();
    await eventually(async () => (await database.waitersCount(PAIR)) === 2);
    const tookMS = performance.now() - since;
    expect(tookMS).toBeLessThan(BOUND_MS + ALLOWANCE_MS);
    await holder.unlock();
    const second = await before;
    await second.unlock();
    const third = await behind;
    const tokens = [holder, second, third].map(({ fencingToken }) => fencingToken - holder.fencingToken);
    expect(tokens).toEqual([0, 1, 2]);
    await third.unlock();
  });
});

describe('P3 (INV-05): waiters at the head that are killed exactly at the handoff', () => {
  it.each([1, 3])('cost the one behind them no more than a dead holder does, be they %i', async (count) => {
    const { wire, client } = await wired(WATCHED);
    const holder = await client.locks.lock(PAIR);
    const dead = next();
    for (let number = 1; number <= count; number += 1) {
      await open(dead, WATCHED, `dead ${number}`);
      await lock(dead, [`dead ${number}`], `dead ${number}`);
      await database.untilWaiting(PAIR, number);
    }
    const behind = (await database.connected(WATCHED)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, count + 1);
    const handoff = wire.holdRequest({ method: 'vacate' });
    const released = holder.unlock();
    await handoff.reached();
    await dead.kill();
    handoff.letGo();
    const since = performance.now();
    expect(await released).toBe(true);
    const { lock: held, tookMS } = await timed(behind, since);
    expect(tookMS).toBeLessThan(WATCHED_BOUND_MS + ALLOWANCE_MS);
    // The first of the dead was granted: its death was found afterwards.
    expect(held.fencingToken).toBeGreaterThan(holder.fencingToken + 1);
    expect(await database.waitersCount(PAIR)).toBeLessThan(2);
    await held.unlock();
  });
});

describe('a holder that stands still for longer than its lease', () => {
  /** Two callers of the surviving process have one grant: the first holds, the second is next in memory. */
  async function holdInRun(): Promise<{ token: number; session: string }> {
    const before = await (await database.connected(SETTINGS)).locks.lock(PAIR);
    const session = await open(survivor, SETTINGS);
    const callers = [`holds ${before.fencingToken}`, `next ${before.fencingToken}`];
    await lock(survivor, callers);
    await database.untilWaiting(PAIR, 2);
    await before.unlock();
    const [holds = ''] = callers;
    const { token } = await survivor.granted(holds);
    expect((await database.stored(PAIR))?.grant).toContain(':2');
    return { token, session };
  }

  async function checkPause(pause: () => Promise<void>, goOn: () => Promise<void>): Promise<void> {
    const { token, session } = await holdInRun();
    const [holds, after] = [`holds ${token - 1}`, `next ${token - 1}`];
    const waiting = (await database.connected(SETTINGS)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await survivor.ask('watchPause', { caller: holds, longerThanMS: LEASE_MS, uri: database.uri });
    await pause();
    const since = performance.now();
    const successor = await waiting;
    await eventually(() => performance.now() - since > LEASE_MS);
    expect(successor.fencingToken).toBeGreaterThan(token + 1);
    expect(await guardedNumber(database.observer).writeWith(successor.fencingToken)).toBe(1);
    const sessions = database.db.collection<{ _id: string }>('dlocks.sessions');
    const [lockBefore, sessionBefore] = [await database.stored(PAIR), await sessions.findOne({ _id: session })];
    await goOn();
    const awakening = await survivor.ask('awakening', { caller: holds });
    expect(awakening).toEqual({ held: false, abortedAfterTimers: true, unlocked: false, guardedWrites: 0 });
    // Its new session has queued up again: whatever the old one had still to send has been sent.
    await database.untilWaiting(PAIR, 1);
    expect(sessionBefore).toMatchObject({ state: 'dead' });
    expect(await sessions.findOne({ _id: session })).toEqual(sessionBefore);
    expect((await database.stored(PAIR))?.grant).toBe(lockBefore?.grant);
    expect((await database.stored(PAIR))?.fence).toBe(lockBefore?.fence);
    expect(successor.held).toBe(true);
    expect(survivor.told('granted').filter(({ caller }) => caller === after)).toEqual([]);
    await successor.unlock();
    expect((await survivor.granted(after)).token).toBeGreaterThan(successor.fencingToken);
    expect(await survivor.ask('unlock', { caller: after })).toBe(true);
    expect(survivor.told('lost').filter(({ caller }) => caller === holds)).toHaveLength(1);
  }

  it('P4: by SIGSTOP, relies on nothing from its first moment on, and what it still sends changes nothing', async () => {
    await checkPause(
      async () => survivor.suspend(),
      async () => survivor.continue(),
    );
  });

  it('P5: by a blocked event loop, relies on nothing from its first moment on, and what it still sends changes nothing', async () => {
    const untilFile = join(folder, 'go-on');
    let unblocked: () => Promise<unknown>;
    await checkPause(
      async () => {
        unblocked = survivor.expect('block', { untilFile });
      },
      async () => {
        await writeFile(untilFile, '');
        await unblocked();
      },
    );
  });
});

describe('P6: a waiter at the head that stands still', () => {
  it('costs the others what is left of its lease, starts over under a new session, and never believes its old grant', async () => {
    const holder = await (await database.connected(WATCHED)).locks.lock(PAIR);
    const session = await open(survivor, WATCHED);
    await lock(survivor, ['stands still']);
    await database.untilWaiting(PAIR, 1);
    const waiting = (await database.connected(WATCHED)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 2);
    survivor.suspend();
    const since = performance.now();
    await holder.unlock();
    const { lock: held, tookMS } = await timed(waiting, since);
    expect(tookMS).toBeLessThan(WATCHED_BOUND_MS + ALLOWANCE_MS);
    expect(held.fencingToken).toBe(holder.fencingToken + 2);
    survivor.continue();
    await eventually(() => survivor.told('session:lost').some((fact) => fact.session === session));
    await database.untilWaiting(PAIR, 1);
    expect(survivor.told('granted').filter(({ caller }) => caller === 'stands still')).toEqual([]);
    await held.unlock();
    expect((await survivor.granted('stands still')).token).toBe(held.fencingToken + 1);
    expect(survivor.told('session:opened').at(-1)?.session).not.toBe(session);
    expect(await survivor.ask('unlock', { caller: 'stands still' })).toBe(true);
  });
});

describe('afterwards', () => {
  beforeAll(async () => {
    await survivor.kill();
    await endOrphanedCursors(database.observer, database.name);
  });
  itLeavesNothingBehind(database);
});
