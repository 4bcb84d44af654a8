/**
 * What is stored, and what others do to it: rows Q3, Q4, Q5, Q6, Q8 and Q9 of the failure table, on the real server.
 */

import type { Lock } from 'mongo-distributed-locks';
import { type Document, Long } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { readQueueCommand } from '#core/mongo/queue-commands.js';
import { type LockKeyPart, readKey } from '#core/protocol/key.js';
import { GRANTED_FIELDS, given, itLeavesNothingBehind, type Pair, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { Gate, hooked, type StoreHooks } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };
const QUICK = { leaseDurationMS: 1_500, patrolIntervalMS: 300, clockSkewMS: 300, idleMS: 60_000 };

const locks = () => database.db.collection<{ _id: string; [field: string]: unknown }>('dlocks');

/** How the server finds the head of a queue: every stage of its plan, and how many keys and documents it looked at. */
async function headPlan(pair: Pair): Promise<{ stages: string[]; keysCount: number; documentsCount: number }> {
  const request = { key: readKey(pair), withoutTickets: [], withoutSessions: [], limit: 64 };
  const { pipeline } = readQueueCommand('dlocks', request) as { pipeline: { $unionWith?: { pipeline: Document[] } }[] };
  const head = pipeline.find((stage) => stage.$unionWith !== undefined)?.$unionWith?.pipeline;
  const explain = { aggregate: 'dlocks', pipeline: head, cursor: {} };
  const answer = await database.db.command({ explain, verbosity: 'executionStats' });
  const found: Document = answer.executionStats ?? answer.stages[0].$cursor.executionStats;
  const stages = [...JSON.stringify(answer).matchAll(/"stage":"(\w+)"/g)].map(([, stage]) => String(stage));
  return { stages, keysCount: found.totalKeysExamined, documentsCount: found.totalDocsExamined };
}

describe('Q3: a queue of 10,000 tickets', () => {
  it('costs a release and an arrival what an empty one costs, and no document grows with it', async () => {
    const WAITERS_COUNT = 10_000;
    const holder = await database.connected(SLOW);
    const lock = await holder.locks.lock(PAIR);
    const client = await database.connected({ ...SLOW, runMaxCount: 1 });
    const controller = new AbortController();
    const first = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const sizes = [JSON.stringify(await database.stored(PAIR)).length];
    const others = Array.from({ length: WAITERS_COUNT - 1 }, () =>
      client.locks.lock({ ...PAIR, signal: controller.signal }).catch(() => 'left'),
    );
    await eventually(async () => (await locks().countDocuments({ key: readKey(PAIR) })) === WAITERS_COUNT, 15_000);
    sizes.push(JSON.stringify(await database.stored(PAIR)).length);
    expect(Number(sizes[1]) - Number(sizes[0])).toBeLessThan(10);

    const plan = await headPlan(PAIR);
    expect(plan.stages).toContain('IXSCAN');
    expect(plan.stages).not.toContain('COLLSCAN');
    expect(plan.stages).not.toContain('SORT');
    expect(plan.keysCount).toBeLessThanOrEqual(65);
    expect(plan.documentsCount).toBeLessThanOrEqual(65);

    const late = await database.connected({ ...SLOW });
    const last = late.locks.lock({ ...PAIR, signal: controller.signal }).catch(() => 'left');
    await eventually(() => late.commands.names.includes('update'));
    expect(late.commands.names.filter((name) => name === 'update')).toHaveLength(1);
    holder.commands.clear();
    await lock.unlock();
    expect(holder.commands.names).toEqual(['findAndModify']);
    const next = await first;
    expect(next.fencingToken).toBe(lock.fencingToken + 1);
    controller.abort();
    expect(new Set(await Promise.all([...others, last]))).toEqual(new Set(['left']));
    await next.unlock();
    await eventually(async () => (await locks().countDocuments({ key: readKey(PAIR) })) === 0);
    await eventually(async () => (await database.holder(PAIR)) === null);
  });
});

describe('Q4: a lock key', () => {
  const NAMES: LockKeyPart[] = [
    ...['a.b', 'a', 'A', '.', '$', '$where', '$$ROOT', '{"$gt":""}', '__proto__', ' ', 'a ', 'ss', 'ß', 'ä', 'a\u0308'],
    ...['lock:a', 'x/y', 'x%2Fy', 'x', '😀', '\u0000', 'null', 'x'.repeat(509), '字'.repeat(169)],
  ];

  it('of any text is a value that nothing else is equal to, and never a name of a field', async () => {
    const { locks: client } = await database.connected(SLOW);
    const pairs = NAMES.flatMap((name): Pair[] => [
      { resource: name, id: 'i' },
      { resource: 'i', id: name },
    ]);
    const held = await Promise.all(pairs.map((pair) => client.tryLock(pair)));
    expect(held.map((lock) => lock?.held)).toEqual(pairs.map(() => true));
    const documents = await locks().find().toArray();
    expect(documents.map(({ _id }) => _id).sort()).toEqual(pairs.map(readKey).sort());
    const fields = new Set(documents.flatMap((document) => Object.keys(document)));
    expect([...fields].sort()).toEqual(GRANTED_FIELDS);
    await Promise.all(held.map((lock) => given(lock).unlock()));
  });

  it('of any text is passed on in order like any other', async () => {
    const holder = await database.connected(SLOW);
    const client = await database.connected(SLOW);
    const held = await Promise.all(NAMES.map((id) => holder.locks.lock({ resource: '$r.', id })));
    const waiting = NAMES.map((id) => client.locks.lock({ resource: '$r.', id }));
    await Promise.all(NAMES.map((id) => database.untilWaiting({ resource: '$r.', id }, 1)));
    await Promise.all(held.map((lock) => lock.unlock()));
    const next = await Promise.all(waiting);
    expect(next.map(({ fencingToken }) => fencingToken)).toEqual(held.map(({ fencingToken }) => fencingToken + 1));
    await Promise.all(next.map((lock) => lock.unlock()));
  });

  it('is refused where the collection would take different texts for one', async () => {
    await database.db.createCollection('insensitive', { collation: { locale: 'en', strength: 1 } });
    const client = database.client({ ...SLOW, collectionName: 'insensitive' });
    const error = await rejection(client.locks.lock(PAIR));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION' });
    expect(String(error)).toContain('collation');
    expect(await database.db.collection('insensitive').countDocuments()).toBe(0);
  });
});

describe('Q5: a lock document that an operator deletes', () => {
  /** Within the second that made it nothing is promised. */
  async function deleteLater(lock: Lock): Promise<void> {
    await eventually(() => Date.now() / 1_000 - 1 > lock.fencingToken / 1_000_000);
    await locks().deleteOne({ _id: readKey(PAIR) });
  }

  it('while it is free comes back with a higher token', async () => {
    const { locks: client } = await database.connected(SLOW);
    const lock = await client.lock(PAIR);
    await lock.unlock();
    await deleteLater(lock);
    const next = await client.lock(PAIR);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    await next.unlock();
  });

  it('while it is held is lost to its holder, and goes to the waiters in their order with higher tokens', async () => {
    const holder = await database.connected(QUICK);
    const lock = await holder.locks.lock(PAIR);
    const first = (await database.connected(QUICK)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const second = (await database.connected(QUICK)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 2);
    await deleteLater(lock);
    const next = await first;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    await eventually(() => lock.signal.aborted);
    expect(lock.held).toBe(false);
    const stored = await database.stored(PAIR);
    expect(await lock.unlock()).toBe(false);
    expect((await database.stored(PAIR))?.grant).toBe(stored?.grant);
    await next.unlock();
    const last = await second;
    expect(last.fencingToken).toBe(next.fencingToken + 1);
    await last.unlock();
  });

  it('and puts back later is released by the session that lost it, so that INV-05 holds for the next caller', async () => {
    const holder = await database.connected({ ...QUICK, heartbeatIntervalMS: 100 });
    const lock = await holder.locks.lock(PAIR);
    const document = await locks().findOne({ _id: readKey(PAIR) });
    await deleteLater(lock);
    await eventually(() => lock.signal.aborted);
    await locks().insertOne({ ...document, _id: readKey(PAIR) });
    const next = await (await database.connected(SLOW)).locks.lock({ ...PAIR, timeoutMS: 10_000 });
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    expect(holder.seen('session:lost')).toEqual([]);
    await next.unlock();
  });

  it('and puts back later stays with a holder that has yet to unlock, where its client releases lost locks then', async () => {
    const settings = { ...SLOW, heartbeatIntervalMS: 100, releaseLostLocks: 'on-unlock' } as const;
    const holder = await database.connected(settings);
    const lock = await holder.locks.lock(PAIR);
    const document = await locks().findOne({ _id: readKey(PAIR) });
    await deleteLater(lock);
    await eventually(() => lock.signal.aborted);
    await locks().insertOne({ ...document, _id: readKey(PAIR) });
    // The only reads of a client at rest are its grant checks.
    const checksCount = () => holder.commands.names.filter((name) => name === 'aggregate').length;
    const before = checksCount();
    await eventually(() => checksCount() > before + 2);
    expect((await database.stored(PAIR))?.grant).toBe(document?.grant);
    expect(await lock.unlock()).toBe(false);
    await eventually(async () => (await database.holder(PAIR)) === null);
  });

  it('with all the tickets beside it costs nobody the lock: who waited arrives again', async () => {
    const holder = await database.connected(QUICK);
    const lock = await holder.locks.lock(PAIR);
    const waiting = (await database.connected(QUICK)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await eventually(() => Date.now() / 1_000 - 1 > lock.fencingToken / 1_000_000);
    await locks().deleteMany({});
    const next = await waiting;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    await eventually(() => lock.signal.aborted);
    await next.unlock();
  });
});

describe('Q5: a session document that an operator deletes', () => {
  it('INV-01 costs its holder nothing before its lease has passed, where those who wait have a shorter one', async () => {
    const LEASE_MS = 3_000;
    // It is cut off, so that nothing but its local deadline ends its hold.
    const gate = new Gate();
    const renewSession: StoreHooks['renewSession'] = async (send) => {
      await gate.pass();
      return send();
    };
    const holder = await database.connected(
      { ...SLOW, leaseDurationMS: LEASE_MS, patrolIntervalMS: LEASE_MS },
      hooked({ renewSession }),
    );
    const lock = await holder.locks.lock(PAIR);
    const waiter = await database.connected({ ...QUICK, leaseDurationMS: 1_000, patrolIntervalMS: 100 });
    const waiting = waiter.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const readSessions = () => waiter.commands.names.filter((name) => name === 'aggregate.sessions').length;
    const count = readSessions();
    await eventually(() => readSessions() > count + 1);
    await database.db.collection<{ _id: string }>('dlocks.sessions').deleteOne({ _id: holder.session });
    const next = await waiting;
    expect(lock.held).toBe(false);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    gate.open();
    await next.unlock();
  });
});

describe('Q6: an index that is missing', () => {
  it('because there is no collection yet is made before the first grant', async () => {
    await database.db.dropDatabase();
    const lock = await database.client(SLOW).locks.lock(PAIR);
    expect(lock.held).toBe(true);
    expect((await headPlan(PAIR)).stages).toContain('IXSCAN');
    await lock.unlock();
  });

  it('because an operator dropped it stops nobody, and the next client makes it again', async () => {
    const holder = await database.connected(SLOW);
    const lock = await holder.locks.lock(PAIR);
    await locks().dropIndexes();
    await database.db.collection('dlocks.sessions').dropIndexes();
    expect((await headPlan(PAIR)).stages).toContain('COLLSCAN');
    const waiting = holder.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await lock.unlock();
    const next = await waiting;
    const third = (await database.connected(SLOW)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    expect((await headPlan(PAIR)).stages).not.toContain('COLLSCAN');
    await next.unlock();
    await (await third).unlock();
  });
});

describe('Q8: what a newer version wrote', () => {
  const newer = { $set: { v: 2 } };

  it.each(['free', 'held'])('into a lock document that is %s is refused, and not touched', async (state) => {
    const before = await database.connected(SLOW);
    const held = await before.locks.lock(PAIR);
    if (state === 'free') await held.unlock();
    await locks().updateOne({ _id: readKey(PAIR) }, newer);
    const stored = await database.stored(PAIR);
    const client = await database.connected(SLOW);
    expect(await rejection(client.locks.lock(PAIR))).toMatchObject({ code: 'LOCK_NEWER_VERSION' });
    expect(await rejection(client.locks.tryLock(PAIR))).toMatchObject({ code: 'LOCK_NEWER_VERSION' });
    expect(await database.stored(PAIR)).toEqual(stored);
    await locks().updateOne({ _id: readKey(PAIR) }, { $set: { v: 1 } });
    await held.unlock();
  });

  it('while somebody waits is told to who waits, and the holder goes on holding', async () => {
    const holder = await database.connected(QUICK);
    const lock = await holder.locks.lock(PAIR);
    const client = await database.connected(QUICK);
    const waiting = rejection(client.locks.lock(PAIR));
    await database.untilWaiting(PAIR, 1);
    await locks().updateOne({ _id: readKey(PAIR) }, newer);
    expect(await waiting).toMatchObject({ code: 'LOCK_NEWER_VERSION' });
    await eventually(async () => (await database.waitersCount(PAIR)) === 0);
    expect(lock.held).toBe(true);
    await locks().updateOne({ _id: readKey(PAIR) }, { $set: { v: 1 } });
    await lock.unlock();
    await eventually(async () => (await database.holder(PAIR)) === null);
  });

  it('into its own session is reaped by nobody of this version, long after it expired', async () => {
    const client = await database.connected(QUICK);
    const lock = await client.locks.lock(PAIR);
    await lock.unlock();
    const sessions = database.db.collection<{ _id: string; [field: string]: unknown }>('dlocks.sessions');
    const session = { _id: 'newer', v: 2, state: 'alive', until: new Date(0), leaseMS: 1_000, beats: 1 };
    await sessions.insertOne(session);
    const grant = `newer/${lock.fencingToken + 1}/1:1`;
    const taken = { $set: { grant, fence: Long.fromNumber(lock.fencingToken + 1) }, $unset: { vacantAt: '' } } as const;
    await locks().updateOne({ _id: readKey(PAIR) }, taken);
    const timeoutMS = 4 * QUICK.patrolIntervalMS;
    expect(await rejection(client.locks.lock({ ...PAIR, timeoutMS }))).toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect(await sessions.findOne({ _id: 'newer' })).toEqual(session);
    expect((await database.stored(PAIR))?.grant).toBe(grant);
    await sessions.updateOne({ _id: 'newer' }, { $set: { v: 1 } });
    await (await client.locks.lock(PAIR)).unlock();
  });

  it('into one’s own session ends its holds, which are passed on', async () => {
    const client = await database.connected(QUICK);
    const lock = await client.locks.lock(PAIR);
    const sessions = database.db.collection<{ _id: string }>('dlocks.sessions');
    await sessions.updateOne({ _id: client.session }, newer);
    await eventually(() => lock.signal.aborted);
    const next = await (await database.connected(QUICK)).locks.lock(PAIR);
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    await next.unlock();
    await sessions.deleteMany({});
  });
});

describe('Q9: a lock taken again by its own holder', () => {
  it('waits like any other: the deadlock ends with the timeout, which names the holder', async () => {
    const client = await database.connected(SLOW);
    const nested = client.locks.exec({
      ...PAIR,
      fn: ({ lock }) => rejection(client.locks.exec({ ...PAIR, timeoutMS: 200, fn: () => lock.fencingToken })),
    });
    const holder = { session: client.session, pid: process.pid };
    expect(await nested).toMatchObject({ code: 'LOCK_TIMEOUT', holder });
    await eventually(async () => (await database.holder(PAIR)) === null);
  });
});

itLeavesNothingBehind(database);
