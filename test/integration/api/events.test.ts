/** Events and the logger: what is told in the life of a client, and that whoever listens cannot harm it. */
import { LockClient, type Logger } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { EVENTS, itLeavesNothingBehind, SETTINGS, useDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const ATTENTIVE = { heartbeatIntervalMS: 100 };

afterEach(() => {
  vi.restoreAllMocks();
});

/** Hooks with which every release fails once before it succeeds. */
function failingReleases() {
  let failed = false;
  const once = async <T>(send: () => Promise<T>): Promise<T> => {
    failed = !failed;
    if (failed) throw new Error('broken on purpose');
    return send();
  };
  return hooked({ vacate: once, handoff: once });
}

/** Everything a program can print by. */
function watchPrinting(): { calls: () => number } {
  const names = ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const;
  const spies = names.map((name) => vi.spyOn(console, name).mockImplementation(() => {}));
  const warnings = vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
  return { calls: () => [...spies, warnings].reduce((sum, { mock }) => sum + mock.calls.length, 0) };
}

describe('the events of a client', () => {
  it('tell its whole life in order, as plain facts', async () => {
    const holder = await database.connected();
    const client = database.client({ label: 'the waiter' });
    const lock = await holder.locks.lock(pair);
    const waiting = client.locks.lock({ ...pair, label: 'job 5' });
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    const mine = await waiting;
    await mine.unlock();
    await eventually(() => client.seen('session:ended').length === 1);
    const names = client.events.map(({ name }) => name);
    expect(names.filter((name) => !name.startsWith('stream'))).toEqual([
      'session:opened',
      'waiting',
      'granted',
      'released',
      'session:ended',
    ]);
    expect(names.filter((name) => name.startsWith('stream'))).toEqual(['stream:opened', 'stream:closed']);
    const { session, fencingToken } = { session: client.session, fencingToken: mine.fencingToken };
    expect(client.seen('granted')).toEqual([
      { ...pair, label: 'job 5', fencingToken, session, waitedMS: expect.any(Number) },
    ]);
    expect(client.seen('released')).toEqual([{ ...pair, fencingToken, session, heldMS: expect.any(Number) }]);
    // Facts, no objects of the library: they survive being written to a log.
    for (const { payload } of client.events) expect(JSON.parse(JSON.stringify(payload))).toEqual(payload);
  });

  it('are heard by once exactly once, and not any more after off', async () => {
    const { locks } = await database.connected();
    const heard: string[] = [];
    const always = (): void => void heard.push('always');
    locks.once('granted', () => heard.push('once'));
    locks.on('granted', always);
    await locks.exec({ ...pair, fn: () => 1 });
    await locks.exec({ ...pair, fn: () => 1 });
    locks.off('granted', always);
    await locks.exec({ ...pair, fn: () => 1 });
    expect(heard).toEqual(['once', 'always', 'always']);
  });

  it('harm nobody when nobody listens, an error included', async () => {
    const mongo = new MongoClient(database.uri);
    const logged: unknown[][] = [];
    const logger: Logger = { error: (...line) => logged.push(line) };
    const locks = new LockClient({ client: mongo, ...SETTINGS, logger }, failingReleases());
    expect(await locks.exec({ ...pair, fn: () => 'value' })).toBe('value');
    expect(logged).toEqual([[expect.any(String), expect.objectContaining({ message: 'broken on purpose' }), pair]]);
    await locks.close();
    await mongo.close();
  });
});

describe('listeners that fail', () => {
  it.each([
    [
      'throw',
      () => {
        throw new Error('a listener that throws');
      },
    ],
    ['reject', () => Promise.reject(new Error('a listener that throws'))],
  ] as const)('and %s harm nothing: locks are had, waited for, lost and had again', async (_how, listener) => {
    const client = await database.connected(ATTENTIVE, failingReleases());
    client.expectsErrors = true;
    const { locks } = client;
    for (const name of EVENTS) locks.on(name, listener);
    const first = await locks.lock(pair);
    const waiting = locks.lock(pair);
    await database.untilWaiting(pair, 1);
    expect(await first.unlock()).toBe(true);
    const second = await waiting;
    await database.db
      .collection<{ _id: string }>('dlocks.sessions')
      .updateOne({ _id: client.session }, { $set: { state: 'dead', until: new Date() } });
    await eventually(() => second.signal.aborted);
    expect(await locks.exec({ ...pair, timeoutMS: 5_000, fn: () => 'again' })).toBe('again');
    const failures = client.logged.filter(([message]) => String(message).includes('listener'));
    expect(failures.length).toBeGreaterThanOrEqual(8);
    expect(failures[0]?.[1]).toMatchObject({ message: 'a listener that throws' });
  });
});

describe('a logger that was given', () => {
  it('is the only one to be told: nothing is printed', async () => {
    const printing = watchPrinting();
    const client = await database.connected({}, failingReleases());
    client.expectsErrors = true;
    await client.locks.exec({ ...pair, fn: () => 1 });
    expect(client.logged).toHaveLength(1);
    expect(printing.calls()).toBe(0);
  });

  it('is told of failures, losses and the daily business by its three methods', async () => {
    const logger = { error: vi.fn(), warn: vi.fn(), debug: vi.fn() };
    const client = await database.connected({ ...ATTENTIVE, logger }, failingReleases());
    const lock = await client.locks.lock(pair);
    await database.db
      .collection<{ _id: string }>('dlocks.sessions')
      .updateOne({ _id: client.session }, { $set: { state: 'dead', until: new Date() } });
    await eventually(() => lock.signal.aborted);
    await client.locks.exec({ ...pair, timeoutMS: 5_000, fn: () => 1 });
    const said = (method: typeof logger.warn): string[] => method.mock.calls.map(([message]) => String(message));
    expect(new Set(said(logger.error))).toEqual(new Set(['A lock operation failed in the background.']));
    expect(said(logger.warn).slice(0, 2)).toEqual([
      'The lock session was lost; a new one is opened.',
      'A lock was lost.',
    ]);
    expect(said(logger.debug).filter((message) => message.includes('session was opened'))).toHaveLength(2);
    expect(logger.warn).toHaveBeenCalledWith(
      expect.any(String),
      expect.objectContaining({ code: 'LOCK_LOST' }),
      expect.objectContaining(pair),
    );
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('a logger that throws');
      },
    ],
    ['rejects', () => Promise.reject(new Error('a logger that throws'))],
  ] as const)('and %s harms nothing, and nothing is printed', async (_how, method) => {
    const printing = watchPrinting();
    const logger = { error: method, warn: method, debug: method };
    const { locks } = await database.connected({ ...ATTENTIVE, logger }, failingReleases());
    const first = await locks.lock(pair);
    const waiting = locks.lock(pair);
    await database.untilWaiting(pair, 1);
    expect(await first.unlock()).toBe(true);
    expect(await (await waiting).unlock()).toBe(true);
    expect(printing.calls()).toBe(0);
  });
});

describe('without a logger', () => {
  it('failures go to console.error, and nothing else is printed', async () => {
    const printing = watchPrinting();
    const mongo = new MongoClient(database.uri);
    const locks = new LockClient({ client: mongo, ...SETTINGS }, failingReleases());
    await locks.exec({ ...pair, fn: () => 1 });
    expect(console.error).toHaveBeenCalledTimes(1);
    expect(printing.calls()).toBe(1);
    await locks.close();
    await mongo.close();
  });
});

itLeavesNothingBehind(database);
