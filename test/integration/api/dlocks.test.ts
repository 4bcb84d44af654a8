/** The static façade on a real server: the surface of the older package, over one default client. */
import DLocks, * as exported from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { itLeavesNothingBehind, SETTINGS, useDatabase } from '../../support/database.js';
import { realPause, rejection } from '../../support/eventually.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };

/** A copy of the module in which nothing was configured or registered yet. */
async function freshModule(): Promise<typeof DLocks> {
  vi.resetModules();
  const { DLocks: fresh } = await import('mongo-distributed-locks');
  return fresh;
}

describe('DLocks', () => {
  afterEach(async () => {
    await DLocks.close();
  });

  it('has the other exports as statics, for require', () => {
    for (const [name, value] of Object.entries(exported)) {
      if (name === 'default' || name === 'module.exports') expect(value).toBe(DLocks);
      else expect(DLocks[name as keyof typeof DLocks], name).toBe(value);
    }
    expect(Object.keys(exported).length).toBeGreaterThan(15);
  });

  it('locks and unlocks with one line of configuration', async () => {
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    const lock = await DLocks.lock(pair);
    expect(lock).toBeInstanceOf(exported.Lock);
    expect(await DLocks.tryLock(pair)).toBeNull();
    expect(await DLocks.unlock(lock)).toBe(true);
    expect(await DLocks.unlock(lock)).toBe(false);
    expect(await DLocks.exec({ ...pair, fn: ({ fencingToken }) => fencingToken > lock.fencingToken })).toBe(true);
  });

  it('has an instance form, whose exec may be called again', async () => {
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    let calls = 0;
    const counted = new DLocks({
      ...pair,
      fn: async () => {
        calls += 1;
        return calls;
      },
    });
    expect(await counted.exec()).toBe(1);
    expect(await counted.exec()).toBe(2);
  });

  it('serves callers of one lock one after the other, as the older package did', async () => {
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    let balance = 0;
    const book = async (): Promise<void> => {
      const before = balance;
      await new Promise((resolve) => setImmediate(resolve));
      balance = before + 1;
    };
    await Promise.all(Array.from({ length: 50 }, () => new DLocks({ resource: 'user', id: 'a', fn: book }).exec()));
    expect(balance).toBe(50);
  });

  it('lock accepts an fn and ignores it', async () => {
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    const fn = vi.fn();
    const lock = await DLocks.lock({ ...pair, fn });
    expect(lock.held).toBe(true);
    expect(fn).not.toHaveBeenCalled();
    await lock.unlock();
  });

  it('has methods that may be taken off the class', async () => {
    const { configure, exec, lock, tryLock, unlock, close } = DLocks;
    configure({ uri: database.uri, ...SETTINGS });
    expect(await exec({ ...pair, fn: () => 'value' })).toBe('value');
    const held = await lock(pair);
    expect(await tryLock(pair)).toBeNull();
    expect(await unlock(held)).toBe(true);
    await close();
  });

  it('refuses a Lock of another client, and that client one of the default client', async () => {
    const { locks } = await database.connected();
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    const mine = await DLocks.lock(pair);
    const other = await locks.lock({ resource: 'account', id: 8 });
    for (const call of [locks.unlock(mine), DLocks.unlock(other)]) {
      expect(await rejection(call)).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument: 'lock' });
    }
    expect(await DLocks.unlock(mine)).toBe(true);
    await other.unlock();
  });

  it('takes a MongoClient, and its database', async () => {
    const client = new MongoClient(database.uri);
    DLocks.configure({ client, ...SETTINGS });
    await DLocks.exec({ ...pair, fn: () => 1 });
    await DLocks.close();
    DLocks.configure({ db: client.db(), ...SETTINGS });
    await DLocks.exec({ ...pair, fn: () => 1 });
    await DLocks.close();
    expect(await database.stored(pair)).not.toBeNull();
    await client.close();
  });
});

describe('without configure', () => {
  it('every method that needs the default client rejects with LOCK_NOT_CONFIGURED, which says what to do', async () => {
    const fresh = await freshModule();
    const calls = [
      fresh.lock(pair),
      fresh.tryLock(pair),
      fresh.exec({ ...pair, fn: () => 1 }),
      fresh.unlock({} as never),
      new fresh({ ...pair, fn: () => 1 }).exec(),
    ];
    for (const call of calls) {
      const error = await rejection(call);
      expect(error).toMatchObject({ code: 'LOCK_NOT_CONFIGURED', name: 'LockNotConfiguredError', retryable: false });
      expect((error as Error).message).toContain('DLocks.configure');
    }
    expect(await fresh.close()).toBeUndefined();
  });
});

describe('configure', () => {
  beforeEach(() => DLocks.configure({ uri: database.uri, ...SETTINGS }));
  afterEach(async () => {
    await DLocks.close();
  });

  it('over an open default client throws LOCK_INVALID_OPTION, and that client goes on', async () => {
    const again = (): void => DLocks.configure({ uri: database.uri });
    expect(again).toThrow(expect.objectContaining({ code: 'LOCK_INVALID_OPTION' }));
    expect(again).toThrow('DLocks.close()');
    expect(await DLocks.exec({ ...pair, fn: () => 'still' })).toBe('still');
  });

  it('may be called again after close, whose client stays closed', async () => {
    const lock = await DLocks.lock(pair);
    await DLocks.close();
    expect(lock.held).toBe(false);
    expect(await rejection(DLocks.lock(pair))).toMatchObject({ code: 'LOCK_CLOSED' });
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    expect(await DLocks.exec({ ...pair, fn: () => 'again' })).toBe('again');
  });

  it('may be called again from the call of close on', async () => {
    const lock = await DLocks.lock(pair);
    const closing = DLocks.close();
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    expect(await DLocks.exec({ ...pair, timeoutMS: 5_000, fn: () => 'again' })).toBe('again');
    await closing;
    expect(lock.held).toBe(false);
  });

  it('that is refused leaves nothing configured', async () => {
    await DLocks.close();
    expect(() => DLocks.configure({ uri: '' })).toThrow(expect.objectContaining({ code: 'LOCK_INVALID_OPTION' }));
    expect(() => DLocks.configure(undefined as never)).toThrow(
      expect.objectContaining({ code: 'LOCK_INVALID_OPTION' }),
    );
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    expect(await DLocks.exec({ ...pair, fn: () => 'configured' })).toBe('configured');
  });
});

/** Something that goes wrong in the background: the release of a lock whose collection was replaced by a view, until it is dropped. */
async function failInBackground(locks: typeof DLocks = DLocks): Promise<void> {
  const lock = await locks.lock(pair);
  await database.db.collection('dlocks').drop();
  await database.db.createCollection('dlocks', { viewOn: 'other', pipeline: [] });
  const releasing = lock.unlock();
  await realPause(100);
  await database.db.collection('dlocks').drop();
  expect(await releasing).toBe(true);
}

describe('registerLoggerErrorFn', () => {
  afterEach(async () => {
    await DLocks.close();
    DLocks.registerLoggerErrorFn(console.error);
    vi.restoreAllMocks();
  });

  it('may come before configure, and after; the last one is told of what fails in the background', async () => {
    const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
    const before = vi.fn();
    const after = vi.fn();
    DLocks.registerLoggerErrorFn(before);
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    await failInBackground();
    expect(before).toHaveBeenCalledWith(expect.any(String), expect.any(Error), expect.objectContaining(pair));
    DLocks.registerLoggerErrorFn(after);
    before.mockClear();
    await failInBackground();
    expect(after).toHaveBeenCalled();
    expect(before).not.toHaveBeenCalled();
    expect(printed).not.toHaveBeenCalled();
  });

  it('is console.error where nothing was registered', async () => {
    const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
    const fresh = await freshModule();
    fresh.configure({ uri: database.uri, ...SETTINGS });
    await failInBackground(fresh);
    await fresh.close();
    expect(printed).toHaveBeenCalledWith(expect.any(String), expect.any(Error), expect.objectContaining(pair));
  });

  it('gives way to a logger of configure', async () => {
    const printed = vi.spyOn(console, 'error').mockImplementation(() => {});
    const registered = vi.fn();
    const error = vi.fn();
    DLocks.registerLoggerErrorFn(registered);
    DLocks.configure({ uri: database.uri, ...SETTINGS, logger: { error } });
    await failInBackground();
    expect(error).toHaveBeenCalled();
    expect(registered).not.toHaveBeenCalled();
    expect(printed).not.toHaveBeenCalled();
  });

  it('refuses what is no function', () => {
    expect(() => DLocks.registerLoggerErrorFn('console.error' as never)).toThrow(
      expect.objectContaining({ code: 'LOCK_INVALID_ARGUMENT', argument: 'fn' }),
    );
  });
});

itLeavesNothingBehind(database);
