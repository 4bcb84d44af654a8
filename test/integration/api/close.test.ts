/** `close`: what becomes of waiters, holders, the session, the stream and the connection, and of calls that come later. */
import { LockClient, LockClosedError, LockLostError } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, SETTINGS, useDatabase } from '../../support/database.js';
import { eventually, realPause, rejection } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';
import { connectionsCount, openCursors, storedLeftovers } from '../../support/leaks.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
/** So long that nothing in these tests can come from a lease that lapsed. */
const LASTING = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };

describe('close', () => {
  it('rejects whoever waits, with LOCK_CLOSED, and leaves no ticket of theirs', async () => {
    const holder = await database.connected(LASTING);
    const { locks, seen } = await database.connected(LASTING);
    const lock = await holder.locks.lock(pair);
    const { signal } = new AbortController();
    const calls = [
      locks.lock(pair),
      locks.lock({ ...pair, timeoutMS: 60_000, signal }),
      locks.exec({ ...pair, fn: () => 1 }),
    ].map((call) => rejection(call));
    await database.untilWaiting(pair, 3);
    await locks.close();
    for (const error of await Promise.all(calls)) {
      expect(error).toBeInstanceOf(LockClosedError);
      expect(error).toMatchObject({ code: 'LOCK_CLOSED', retryable: false });
    }
    expect(await database.waitersCount(pair)).toBe(0);
    expect(seen('granted')).toEqual([]);
    await lock.unlock();
    await holder.locks.exec({ ...pair, timeoutMS: 10_000, fn: () => 1 });
  });

  it('aborts the signal of every lock held, with LockLostError because of LockClosedError, before it is released', async () => {
    const gate = new Gate();
    const late = async <T>(send: () => Promise<T>): Promise<T> => {
      await gate.pass();
      return send();
    };
    const { locks, seen } = await database.connected(LASTING, hooked({ vacate: late }));
    const held = await Promise.all([1, 2, 3].map((id) => locks.lock({ resource: 'account', id })));
    const closing = locks.close();
    await eventually(() => gate.arrivedCount === 3);
    for (const { signal, held: stillHeld } of held) {
      expect(stillHeld).toBe(false);
      expect(signal.reason).toBeInstanceOf(LockLostError);
      expect(signal.reason.cause).toBeInstanceOf(LockClosedError);
    }
    gate.open();
    await closing;
    expect(seen('lost')).toHaveLength(3);
    expect(await storedLeftovers(database.db)).toEqual([]);
  });

  it('makes held false at the call', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(pair);
    const closing = locks.close();
    expect(lock.held).toBe(false);
    await closing;
  });

  it('gives what was held to the next caller of another client at once', async () => {
    const { locks } = await database.connected(LASTING);
    const other = await database.connected(LASTING);
    await locks.lock(pair);
    const waiting = other.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    const free = { resource: 'account', id: 'nobody waits' };
    await locks.lock(free);
    await locks.close();
    expect((await other.locks.tryLock(free))?.held).toBe(true);
    expect((await waiting).held).toBe(true);
  });

  it('ends the session and the change stream', async () => {
    const holder = await database.connected(LASTING);
    const { locks, session } = await database.connected(LASTING);
    const lock = await holder.locks.lock(pair);
    const waiting = rejection(locks.lock(pair));
    await database.untilWaiting(pair, 1);
    expect(await openCursors(database.observer, database.name)).toHaveLength(1);
    await locks.close();
    await waiting;
    const sessions = database.db.collection<{ _id: string }>('dlocks.sessions');
    expect(await sessions.findOne({ _id: session, state: 'alive' })).toBeNull();
    await eventually(async () => (await openCursors(database.observer, database.name)).length === 0, 1_000);
    await lock.unlock();
    await holder.locks.exec({ ...pair, timeoutMS: 10_000, fn: () => 1 });
  });

  it.each(['was free when the holder came', 'had come to the holder from the queue'])(
    'after its caller left the queue costs nobody a lease, where the lock %s (INV-08)',
    async (how) => {
      const holder = await database.connected(LASTING);
      let lock = await holder.locks.lock(pair);
      const leaving = await database.connected(LASTING);
      const controller = new AbortController();
      const waits = (count: number): Promise<void> => database.untilWaiting(pair, count);
      let left: Promise<unknown>;
      const leave = (): Promise<unknown> => rejection(leaving.locks.lock({ ...pair, signal: controller.signal }));
      if (how.startsWith('was free')) {
        left = leave();
        await waits(1);
      } else {
        const next = holder.locks.lock(pair);
        await waits(1);
        left = leave();
        await waits(2);
        await lock.unlock();
        lock = await next;
        // Its look at the queue behind it names who is about to leave.
        await eventually(() => holder.ports.commandsCount === 0);
      }
      controller.abort('gone');
      await left;
      await leaving.locks.close();
      await lock.unlock();
      const other = await database.connected(LASTING);
      const next = await other.locks.lock({ ...pair, timeoutMS: 10_000 });
      expect(next.held).toBe(true);
      await next.unlock();
    },
  );

  it('does not wait for an fn that still runs, and that exec ends as after a loss', async () => {
    const { locks } = await database.connected(LASTING);
    let end!: (value: string) => void;
    const fn = (): Promise<string> => new Promise((resolve) => (end = resolve));
    const running = rejection(locks.exec({ ...pair, fn }));
    await eventually(() => end !== undefined);
    await locks.close();
    expect(await database.holder(pair)).toBeNull();
    end('value');
    expect(await running).toMatchObject({ code: 'LOCK_LOST', result: 'value', cause: { code: 'LOCK_CLOSED' } });
  });

  it('is idempotent: calls at the same time and later ones wait for the same, and none rejects', async () => {
    const { locks, commands } = await database.connected();
    await locks.lock(pair);
    expect(await Promise.all([locks.close(), locks.close()])).toEqual([undefined, undefined]);
    commands.clear();
    expect(await locks.close()).toBeUndefined();
    expect(commands.all).toEqual([]);
  });

  it('of a client that was never used sends nothing and does not connect', async () => {
    const { locks, commands } = database.client();
    await locks.close();
    expect(commands.all).toEqual([]);
    expect(await rejection(locks.lock(pair))).toMatchObject({ code: 'LOCK_CLOSED' });
  });

  it('refuses every later call with LOCK_CLOSED, before anything is sent', async () => {
    const { locks, commands } = await database.connected();
    await locks.close();
    commands.clear();
    const calls = [
      locks.lock(pair),
      locks.tryLock(pair),
      locks.lock({ ...pair, timeoutMS: 0 }),
      locks.exec({ ...pair, fn: () => 1 }),
      locks.connect(),
    ];
    for (const call of calls) expect(await rejection(call)).toBeInstanceOf(LockClosedError);
    expect(commands.all).toEqual([]);
  });

  it('while the first lock is on its way rejects it, and leaves nothing (INV-08)', async () => {
    for (const method of ['prepare', 'openSession', 'tryGrant'] as const) {
      const gate = new Gate();
      const late = async (send: () => Promise<never>): Promise<never> => {
        const answer = await send();
        await gate.pass();
        return answer;
      };
      const { locks } = database.client(LASTING, hooked({ [method]: late }));
      const waiting = rejection(locks.lock(pair));
      await eventually(() => gate.arrivedCount === 1);
      const closing = locks.close();
      gate.open();
      await closing;
      expect(await waiting).toMatchObject({ code: 'LOCK_CLOSED' });
      await eventually(async () => (await storedLeftovers(database.db)).length === 0);
    }
  });

  it('never rejects and ends by the local deadline where the database gives no answer', async () => {
    const gate = new Gate();
    const silent = async (send: () => Promise<never>): Promise<never> => {
      await gate.pass();
      return send();
    };
    const silence = ['vacate', 'renewSession', 'endSession', 'condemnSession', 'readGrantsOf'] as const;
    const hooks = Object.fromEntries(silence.map((name) => [name, silent]));
    const client = await database.connected({ leaseDurationMS: 1_000 }, hooked(hooks));
    await client.locks.lock(pair);
    expect(await client.locks.close()).toBeUndefined();
    // Nothing is sent after it: what it left is free for others once its lease has lapsed.
    gate.open();
    const other = await database.connected({ leaseDurationMS: 1_000 });
    expect(await other.locks.exec({ ...pair, timeoutMS: 10_000, fn: () => 'mine' })).toBe('mine');
  });
});

describe('the connection', () => {
  it('is left alone where a MongoClient was given', async () => {
    const { locks, mongo } = await database.connected();
    await (await locks.lock(pair)).unlock();
    await locks.close();
    expect(await mongo.db().command({ ping: 1 })).toMatchObject({ ok: 1 });
  });

  it('is closed where a connection string was given, at whatever moment of the first call', async () => {
    const appName = `${database.name}-early`;
    const outcomes: unknown[] = [];
    for (let delayMS = 0; delayMS < 24; delayMS += 2) {
      const logger = { error: (...line: unknown[]) => outcomes.push(line) };
      const locks = new LockClient({ uri: `${database.uri}&appName=${appName}`, ...SETTINGS, logger });
      const first = locks.lock(pair).then(
        ({ signal }) => signal.aborted,
        ({ code }) => code,
      );
      await realPause(delayMS);
      await locks.close();
      outcomes.push(await first);
    }
    expect(outcomes.filter((outcome) => outcome !== 'LOCK_CLOSED' && typeof outcome !== 'boolean')).toEqual([]);
    await eventually(async () => (await connectionsCount(database.observer, appName)) === 0);
    await eventually(async () => (await storedLeftovers(database.db)).length === 0);
  });

  it.each(['openSession', 'tryGrant'] as const)(
    'is closed where a connection string was given, and not opened again by what was on its way, here %s',
    async (method) => {
      const gate = new Gate();
      const late = async <T>(send: () => Promise<T>): Promise<T> => {
        await gate.pass();
        return send();
      };
      const appName = `${database.name}-${method}`;
      const options = { uri: `${database.uri}&appName=${appName}`, ...SETTINGS, leaseDurationMS: 1_000 };
      const locks = new LockClient({ ...options, logger: { error: () => {} } }, hooked({ [method]: late }));
      const waiting = rejection(locks.lock(pair));
      await eventually(() => gate.arrivedCount === 1);
      await locks.close();
      expect(await waiting).toMatchObject({ code: 'LOCK_CLOSED' });
      gate.open();
      await realPause(100);
      await eventually(async () => (await connectionsCount(database.observer, appName)) === 0);
      expect(await storedLeftovers(database.db)).toEqual([]);
    },
  );

  it('is closed where a connection string was given', async () => {
    const appName = `${database.name}-close`;
    const locks = new LockClient({ uri: `${database.uri}&appName=${appName}`, ...SETTINGS });
    const lock = await locks.lock(pair);
    expect(await connectionsCount(database.observer, appName)).toBeGreaterThan(0);
    await lock.unlock();
    await locks.close();
    await eventually(async () => (await connectionsCount(database.observer, appName)) === 0);
  });
});

itLeavesNothingBehind(database);
