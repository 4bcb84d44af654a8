/** What the library does to its process: it keeps none alive, adds no listeners, and works under fake timers and in a child that ends. */

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { LockClient } from 'mongo-distributed-locks';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { itLeavesNothingBehind, SETTINGS, useDatabase } from '../../support/database.js';
import { eventually, realPause, rejection } from '../../support/eventually.js';
import { storedLeftovers } from '../../support/leaks.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Runs a child to its end; `code` is null where it had to be killed. */
async function runChild(...args: string[]): Promise<{ code: number | null; lines: string[] }> {
  const file = fileURLToPath(new URL('./children/locks-and-finishes.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], { cwd: ROOT });
  let output = '';
  for (const channel of [child.stdout, child.stderr]) channel.on('data', (text) => (output += text));
  const limit = setTimeout(() => child.kill('SIGKILL'), 12_000);
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(limit);
  return { code, lines: output.trim().split('\n') };
}

describe('a process that finishes without closing its lock client', () => {
  it.concurrent.each(['uri', 'client'])(
    'exits by itself, where the client was made of { %s }, with no listener, warning or rejection',
    async (source) => {
      const uri = database.uri.replace(database.name, `${database.name}_${source}`);
      const { code, lines } = await runChild(source, uri);
      expect(lines).toEqual(['listeners unchanged', 'done', 'exit']);
      expect(code).toBe(0);
      const db = database.observer.db(`${database.name}_${source}`);
      // With its own client it had the time to end its session; the given one was closed under it.
      const left = await storedLeftovers(db);
      expect(left.filter((what) => !what.startsWith('session'))).toEqual([]);
      expect(left).toHaveLength(source === 'uri' ? 0 : 1);
      await db.dropDatabase();
    },
  );

  it('exits by itself also when it still holds a lock and its MongoClient was closed', async () => {
    const { code, lines } = await runChild('client', database.uri, 'held');
    expect(lines).toEqual(['listeners unchanged', 'done', 'exit']);
    expect(code).toBe(0);
    // Its lock is free again when its lease has lapsed.
    const { locks } = await database.connected();
    expect(await locks.exec({ ...pair, timeoutMS: 10_000, fn: () => 'mine' })).toBe('mine');
  });
});

describe('the process', () => {
  it('gets no listener at any time', async () => {
    const listeners = (): string =>
      process
        .eventNames()
        .map((name) => `${String(name)}:${process.listenerCount(name)}`)
        .join();
    const before = listeners();
    const locks = new LockClient({ uri: database.uri, ...SETTINGS });
    const lock = await locks.lock(pair);
    expect(listeners()).toBe(before);
    const controller = new AbortController();
    const waiting = rejection(locks.lock({ ...pair, signal: controller.signal }));
    await database.untilWaiting(pair, 1);
    expect(listeners()).toBe(before);
    controller.abort();
    await waiting;
    await lock.unlock();
    await locks.close();
    expect(listeners()).toBe(before);
  });
});

describe('fake timers of a test framework', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  const FAKED = [
    'setTimeout',
    'clearTimeout',
    'setInterval',
    'clearInterval',
    'Date',
    'performance',
    'hrtime',
  ] as const;

  it('do not stop heartbeats: a lock is held for longer than its lease, and waiters wait', async () => {
    const holder = await database.connected({ leaseDurationMS: 1_500 });
    const waiter = await database.connected({ leaseDurationMS: 1_500 });
    vi.useFakeTimers({ toFake: [...FAKED] });
    const lock = await holder.locks.lock(pair);
    const waiting = waiter.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await realPause(2_000);
    expect(lock.held).toBe(true);
    expect(waiter.seen('granted')).toEqual([]);
    await lock.unlock();
    const next = await waiting;
    expect(next.held).toBe(true);
    await next.unlock();
  });

  it('do not stop time-outs, nor the idle shutdown', async () => {
    const holder = await database.connected();
    const waiter = await database.connected();
    vi.useFakeTimers({ toFake: [...FAKED] });
    const lock = await holder.locks.lock(pair);
    expect(await rejection(waiter.locks.lock({ ...pair, timeoutMS: 100 }))).toMatchObject({ code: 'LOCK_TIMEOUT' });
    await lock.unlock();
    await eventually(() => holder.seen('session:ended').length === 1 && waiter.seen('session:ended').length === 1);
    expect(waiter.seen('session:lost')).toEqual([]);
  });

  it('that jump ahead by hours lose no lock and end no wait', async () => {
    const holder = await database.connected();
    const waiter = await database.connected();
    vi.useFakeTimers({ toFake: [...FAKED] });
    const lock = await holder.locks.lock(pair);
    const waiting = waiter.locks.lock({ ...pair, timeoutMS: 60_000 });
    await database.untilWaiting(pair, 1);
    vi.setSystemTime(Date.now() + 7_200_000);
    vi.advanceTimersByTime(7_200_000);
    await realPause(100);
    expect(lock.held).toBe(true);
    await lock.unlock();
    expect(await (await waiting).unlock()).toBe(true);
  });
});

itLeavesNothingBehind(database);
