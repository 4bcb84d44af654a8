/** `inspect` and `list`: what they show of holders, runs and queues, in one command each, and what they refuse. */
import type { LockPage } from 'mongo-distributed-locks';
import { Timestamp } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { rejection } from '../../support/eventually.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
const NAMED = { resource: 'account', id: '7' };

/** A client that says who it is. */
function labelled(label: string): Promise<TestClient> {
  return database.connected({ label });
}

describe('inspect', () => {
  it('shows a lock that was never taken, and one that is free again, as free', async () => {
    const { locks } = await database.connected();
    const free = { ...NAMED, holder: null, waiters: [], waitersCount: 0, forced: null };
    expect(await locks.inspect(PAIR)).toEqual(free);
    await locks.exec({ ...PAIR, fn: () => {} });
    expect(await locks.inspect(PAIR)).toEqual(free);
  });

  it('shows the holder with its process, its token, since when, and what is left of its lease', async () => {
    const holder = await labelled('the holder');
    const { locks } = await labelled('somebody else');
    const before = Date.now();
    const lock = await holder.locks.lock(PAIR);
    const { holder: seen, waiters } = await locks.inspect(PAIR);
    expect(seen).toMatchObject({
      session: holder.session,
      pid: process.pid,
      label: 'the holder',
      fencingToken: lock.fencingToken,
      lastFencingToken: lock.fencingToken,
      callersCount: 1,
    });
    expect(seen?.host).toEqual(expect.any(String));
    expect(Math.abs(Number(seen?.since) - before)).toBeLessThan(5_000);
    expect(seen?.leaseRemainingMS).toBeGreaterThan(0);
    expect(waiters).toEqual([]);
    await lock.unlock();
  });

  it('shows those who wait in the order in which they will be served, with the labels of their calls', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(PAIR);
    const [first, second] = [await labelled('first'), await labelled('second')];
    const waiting = [first.locks.lock({ ...PAIR, label: 'pays' })];
    await database.untilWaiting(PAIR, 1);
    waiting.push(second.locks.lock({ ...PAIR, label: '$refund' }), second.locks.lock(PAIR));
    await database.untilWaiting(PAIR, 3);
    const seen = await holder.locks.inspect(PAIR);
    expect(seen.waitersCount).toBe(3);
    expect(seen.waiters).toMatchObject([
      { session: first.session, label: 'first', labels: ['pays'], callersCount: 1 },
      { session: second.session, label: 'second', labels: ['$refund'], callersCount: 2 },
    ]);
    for (const { since } of seen.waiters) expect(Math.abs(Number(since) - Date.now())).toBeLessThan(10_000);
    await lock.unlock();
    for (const waiter of waiting) await (await waiter).unlock();
  });

  it('shows a run by its first and last token, and not among those who wait', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(PAIR);
    const { locks } = await database.connected();
    const calls = [1, 2, 3].map(() => locks.lock(PAIR));
    await database.untilWaiting(PAIR, 3);
    await lock.unlock();
    const one = await calls[0];
    const seen = await locks.inspect(PAIR);
    expect(seen.holder).toMatchObject({ callersCount: 3, fencingToken: one?.fencingToken });
    expect(seen.holder?.lastFencingToken).toBe(Number(one?.fencingToken) + 2);
    expect([seen.waiters, seen.waitersCount]).toEqual([[], 0]);
    for (const call of calls) await (await call).unlock();
  });

  it('takes one command, and a lock that is free one too', async () => {
    const { locks, commands } = await database.connected();
    const lock = await locks.lock(PAIR);
    for (const id of [7, 8]) {
      commands.clear();
      await locks.inspect({ ...PAIR, id });
      expect(commands.names).toEqual(['aggregate']);
    }
    await lock.unlock();
  });

  it('shows a holder whose session is gone without a lease', async () => {
    const { locks } = await database.connected({ idleMS: 60_000 });
    const grant = 'gone/5/1:1';
    const lock = {
      _id: 'lock:account/7' as never,
      v: 1,
      grant,
      fence: 5,
      arrivals: 0,
      born: 5,
      grantedAt: new Date(0),
    };
    await database.db.collection('dlocks').insertOne(lock);
    expect((await locks.inspect(PAIR)).holder).toEqual({
      session: 'gone',
      since: new Date(0),
      fencingToken: 5,
      lastFencingToken: 5,
      callersCount: 1,
      leaseRemainingMS: null,
    });
    await database.db.collection('dlocks').deleteMany({});
  });

  it.each([
    [{}, 'resource'],
    [{ ...PAIR, timeoutMS: 1 }, 'timeoutMS'],
    [null, 'request'],
  ])('refuses %j', async (request, argument) => {
    const { locks, commands } = await database.connected();
    expect(await rejection(locks.inspect(request as never))).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument });
    expect(commands.names).toEqual([]);
  });

  it('is refused by a client that was closed', async () => {
    const { locks } = await database.connected();
    await locks.close();
    expect(await rejection(locks.inspect(PAIR))).toMatchObject({ code: 'LOCK_CLOSED' });
  });
});

describe('list', () => {
  it('shows the locks that are held, by their keys, a page at a time, each once', async () => {
    const { locks, session } = await database.connected();
    const ids = ['1', '2', '3', '4', '5'];
    const held = await Promise.all(ids.map((id) => locks.lock({ resource: 'job', id })));
    await locks.exec({ resource: 'job', id: 'free', fn: () => {} });
    const seen: string[] = [];
    let after: string | null = null;
    do {
      const page = await locks.list({ limit: 2, ...(after !== null && { after }) });
      expect(page.locks.length).toBeLessThanOrEqual(2);
      seen.push(...page.locks.map(({ id }) => id));
      for (const { holder, waitersCount } of page.locks) expect([holder.session, waitersCount]).toEqual([session, 0]);
      ({ after } = page);
    } while (after !== null);
    expect(seen).toEqual(ids);
    for (const lock of held) await lock.unlock();
  });

  it('shows those of resources that begin as asked, whatever characters they have', async () => {
    const { locks } = await database.connected();
    const resources = ['a/b', 'a/b%', 'a', 'b', 'a/c'];
    const held = await Promise.all(resources.map((resource) => locks.lock({ resource, id: 1 })));
    const found = async (prefix: string): Promise<string[]> =>
      (await locks.list({ prefix })).locks.map(({ resource }) => resource).sort();
    expect(await found('a/b')).toEqual(['a/b', 'a/b%']);
    expect(await found('a')).toEqual(['a', 'a/b', 'a/b%', 'a/c']);
    expect(await found('x')).toEqual([]);
    expect(await found('')).toHaveLength(5);
    for (const lock of held) await lock.unlock();
  });

  it('leaves out what another tool has spoilt, and goes on behind it', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock({ resource: 'job', id: 2 });
    const spoilt = { _id: 'lock:job/1' as never, grant: 'no grant', fence: 'x' };
    const newer = { _id: 'lock:job/0' as never, grant: 'a/1/1:1', v: 9 };
    const waiter = { _id: 'a/1' as never, key: 'lock:job/2', at: [new Timestamp({ t: 1, i: 1 })], n: 'x', session: {} };
    await database.db.collection('dlocks').insertMany([newer, spoilt, waiter]);
    const seen: string[] = [];
    for (let after: string | null | undefined; after !== null; ) {
      const page: LockPage = await locks.list({ limit: 1, ...(after !== undefined && { after }) });
      seen.push(...page.locks.map(({ id }) => id));
      ({ after } = page);
    }
    expect(seen).toEqual(['2']);
    expect((await locks.inspect({ resource: 'job', id: 2 })).waiters).toEqual([]);
    expect(await rejection(locks.inspect({ resource: 'job', id: 0 }))).toMatchObject({ code: 'LOCK_NEWER_VERSION' });
    await database.db.collection('dlocks').deleteMany({ _id: { $in: [newer, spoilt, waiter].map(({ _id }) => _id) } });
    await lock.unlock();
  });

  it('counts who waits', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(PAIR);
    const other = await database.connected();
    const waiting = [other.locks.lock(PAIR), other.locks.lock(PAIR)];
    await database.untilWaiting(PAIR, 2);
    expect((await locks.list()).locks).toMatchObject([{ ...NAMED, waitersCount: 2 }]);
    await lock.unlock();
    for (const waiter of waiting) await (await waiter).unlock();
  });

  it.each([
    [{ limit: 0 }, 'limit'],
    [{ limit: 1_001 }, 'limit'],
    [{ prefix: 1 }, 'prefix'],
    [{ after: {} }, 'after'],
    [{ page: 1 }, 'page'],
  ])('refuses %j', async (request, argument) => {
    const { locks } = await database.connected();
    expect(await rejection(locks.list(request as never))).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument });
  });
});

itLeavesNothingBehind(database);
