/** Every command of the store against the server, one at a time: what it writes, what it answers, and what it leaves alone. */
import { Decimal128, Long, Timestamp } from 'mongodb';
import { beforeAll, describe, expect, it } from 'vitest';
import type { Command } from '#core/mongo/commands.js';
import {
  deleteTicketsOfCommand,
  readAwaitedCommand,
  readGrantsCommand,
  readQueueCommand,
} from '#core/mongo/queue-commands.js';
import type { LockStore } from '#core/ports.js';
import { readKey } from '#core/protocol/key.js';
import { eventually, rejection } from '../support/eventually.js';
import { isLong, type Stored, usePortsDatabase } from '../support/mongo-ports.js';

const database = usePortsDatabase(import.meta.url);
const { store } = database.ports();
const locks = database.db.collection<{ _id: string }>('dlocks');
const sessions = database.db.collection<{ _id: string }>('dlocks.sessions');

const ONE = { n: 1, callers: 1 };

beforeAll(async () => {
  await store.prepare();
});

/** A lock held by `holder` with ticket 1, and its state. */
async function held(key: string, holder = 'holder') {
  const lock = await store.tryGrant({ key, session: holder, ticket: ONE });
  return { ...lock, grant: String(lock.grant) };
}

/** A lock that was held and is vacant. */
async function vacant(key: string) {
  const { grant, arrivals } = await held(key);
  const lock = await store.vacate({ key, grant, arrivals, withoutSessions: [] });
  if (lock === null) throw new Error('The lock was not vacated');
  return lock;
}

function queueOf(key: string, limit = 100) {
  return store.readQueue({ key, withoutTickets: [], withoutSessions: [], limit });
}

/** The server's logical clock, as a token would have it. */
async function clusterToken(): Promise<number> {
  const reply = await database.db.command({ ping: 1 });
  const time: Timestamp = reply.$clusterTime.clusterTime;
  return time.getHighBitsUnsigned() * 1_000_000 + time.getLowBitsUnsigned();
}

/** What the oplog says was written to a document since a time. */
async function oplogCount(since: Timestamp, key: string): Promise<number> {
  const oplog = database.client.db('local').collection('oplog.rs');
  return oplog.countDocuments({
    ts: { $gt: since },
    ns: `${database.name}.dlocks`,
    $or: [{ 'o2._id': key }, { 'o._id': key }],
  });
}

async function operationTime(): Promise<Timestamp> {
  return (await database.db.command({ ping: 1 })).operationTime;
}

describe('TRY', () => {
  it('grants an absent lock, with the cluster time as its first token', async () => {
    const key = database.key();
    const before = await clusterToken();
    const lock = await store.tryGrant({ key, session: 'me', ticket: { n: 7, callers: 3 } });
    const after = await clusterToken();
    expect(lock.born).toBeGreaterThanOrEqual(before);
    expect(lock.born).toBeLessThanOrEqual(after);
    expect(lock).toEqual({
      key,
      version: 1,
      grant: `me/${lock.born}/7:3`,
      fence: lock.born + 2,
      arrivals: 0,
      firstArrival: null,
      born: lock.born,
    });
  });

  it('grants a vacant lock with the next token, and keeps what it was born with', async () => {
    const key = database.key();
    const before = await vacant(key);
    const lock = await store.tryGrant({ key, session: 'me', ticket: ONE });
    expect(lock).toMatchObject({ grant: `me/${before.fence + 1}/1:1`, fence: before.fence + 1, born: before.born });
    expect(await database.stored(key)).toHaveProperty('vacantAt', null);
  });

  it('writes nothing where the lock is held, not even to the oplog, and says who holds it', async () => {
    const key = database.key();
    const { grant } = await held(key);
    const stored = await database.stored(key);
    const since = await operationTime();
    const reply = await store.tryGrant({ key, session: 'other', ticket: ONE });
    expect(reply.grant).toBe(grant);
    expect(await database.stored(key)).toEqual(stored);
    expect(await oplogCount(since, key)).toBe(0);
  });

  it('sent again after it was applied, changes nothing and gives the same answer', async () => {
    const key = database.key();
    const request = { key, session: 'me', ticket: ONE };
    expect(await store.tryGrant(request)).toEqual(await store.tryGrant(request));
  });

  it('of 40 at once on an absent lock exactly one is granted, and all are told which', async () => {
    const key = database.key();
    const replies = await Promise.all(
      Array.from({ length: 40 }, (_, index) => store.tryGrant({ key, session: `s${index}`, ticket: ONE })),
    );
    expect(new Set(replies.map(({ grant }) => grant)).size).toBe(1);
  });
});

describe('ARRIVE', () => {
  it('queues the tickets in order, counts one arrival, and notes the first ticket', async () => {
    const key = database.key();
    const { grant } = await held(key);
    await store.arrive({
      key,
      session: 'a',
      tickets: [
        { n: 11, callers: 2 },
        { n: 12, callers: 1 },
      ],
    });
    await store.arrive({ key, session: 'b', tickets: [ONE] });
    const { lock, head, full } = await queueOf(key);
    expect(lock).toMatchObject({ grant, arrivals: 2, firstArrival: '1/a/11:2' });
    expect(head).toEqual([
      { session: 'a', n: 11, callers: 2 },
      { session: 'a', n: 12, callers: 1 },
      { session: 'b', ...ONE },
    ]);
    expect(full).toBe(false);
  });

  it('sent again keeps every place, and only counts once more', async () => {
    const key = database.key();
    await held(key);
    const request = { key, session: 'c', tickets: [{ n: 1, callers: 1 }] };
    await store.arrive(request);
    const before = await database.stored('c/1');
    await store.arrive({ key, session: 'd', tickets: [ONE] });
    await store.arrive(request);
    expect(await database.stored('c/1')).toEqual(before);
    const { lock, head } = await queueOf(key);
    expect(head.map(({ session }) => session)).toEqual(['c', 'd']);
    expect(lock?.arrivals).toBe(3);
  });

  it('on a vacant lock grants its first ticket in the same write', async () => {
    const key = database.key();
    const { fence } = await vacant(key);
    await store.arrive({
      key,
      session: 'e',
      tickets: [
        { n: 4, callers: 5 },
        { n: 5, callers: 1 },
      ],
    });
    const { lock } = await queueOf(key);
    expect(lock).toMatchObject({ grant: `e/${fence + 1}/4:5`, fence: fence + 5, arrivals: 1, firstArrival: null });
    expect(await database.stored(key)).toHaveProperty('vacantAt', null);
  });

  it('on an absent lock creates and grants it', async () => {
    const key = database.key();
    await store.arrive({ key, session: 'f', tickets: [ONE] });
    const { lock } = await queueOf(key);
    expect(lock).toMatchObject({ grant: `f/${lock?.born}/1:1`, fence: lock?.born, arrivals: 1 });
  });

  it('of 40 at once on an absent lock none fails: each counts, each has its ticket, one is granted', async () => {
    const key = database.key();
    const names = Array.from({ length: 40 }, (_, index) => `crowd${index}`);
    await Promise.all(names.map((session) => store.arrive({ key, session, tickets: [ONE, { n: 2, callers: 1 }] })));
    const { lock, head } = await queueOf(key, 1_000);
    expect(lock?.arrivals).toBe(40);
    expect(names.map((session) => `${session}/${lock?.born}/1:1`)).toContain(lock?.grant);
    expect(head).toHaveLength(80);
    expect(lock?.firstArrival).toMatch(/^2\/crowd/);
  });

  it('orders tickets by the server clock, then session, then number as a number', async () => {
    const key = database.key();
    await held(key);
    const at = Timestamp.fromBits(5, 9);
    const later = Timestamp.fromBits(6, 9);
    const ticket = (session: string, n: number, time: Timestamp) => ({
      _id: `${session}/${n}`,
      key,
      at: time,
      n: Long.fromNumber(n),
      session,
      callers: Long.fromNumber(1),
    });
    await locks.insertMany([
      ticket('order-a', 10, later),
      ticket('order-b', 10, at),
      ticket('order-b', 9, at),
      ticket('order-c', 1, at),
    ]);
    const { head } = await queueOf(key);
    expect(head.map(({ session, n }) => `${session}/${n}`)).toEqual([
      'order-b/9',
      'order-b/10',
      'order-c/1',
      'order-a/10',
    ]);
  });
});

describe('HANDOFF', () => {
  it('passes a lock on, and refuses when sent again', async () => {
    const key = database.key();
    const { grant, fence } = await held(key);
    await store.arrive({ key, session: 'g', tickets: [{ n: 3, callers: 4 }] });
    const request = { key, grant, next: `g/${fence + 1}/3:4`, fence: fence + 4 };
    expect(await store.handoff(request)).toBe(true);
    expect((await queueOf(key)).lock).toMatchObject({
      grant: request.next,
      fence: fence + 4,
      firstArrival: null,
      arrivals: 1,
    });
    expect(await store.handoff(request)).toBe(false);
    expect((await queueOf(key)).lock?.grant).toBe(request.next);
  });

  it('refuses where the grant is another, or the lock is absent', async () => {
    const key = database.key();
    const { grant, fence } = await held(key);
    expect(await store.handoff({ key, grant: `${grant}0`, next: `x/${fence + 1}/1:1`, fence: fence + 1 })).toBe(false);
    expect(await store.handoff({ key: database.key(), grant, next: `x/${fence + 1}/1:1`, fence: fence + 1 })).toBe(
      false,
    );
    expect((await queueOf(key)).lock?.grant).toBe(grant);
  });
});

describe('VACATE', () => {
  it('makes the lock vacant when nobody has arrived since', async () => {
    const key = database.key();
    const { grant, fence } = await held(key);
    const lock = await store.vacate({ key, grant, arrivals: 0, withoutSessions: [] });
    expect(lock).toMatchObject({ grant: null, fence, arrivals: 0, firstArrival: null });
    expect((await database.stored(key))?.vacantAt).toBeInstanceOf(Date);
  });

  it('grants the first arrival when it is the very next one', async () => {
    const key = database.key();
    const { grant, fence } = await held(key);
    await store.arrive({ key, session: 'h', tickets: [{ n: 21, callers: 3 }] });
    await store.arrive({ key, session: 'i', tickets: [ONE] });
    const lock = await store.vacate({ key, grant, arrivals: 0, withoutSessions: ['other'] });
    expect(lock).toMatchObject({ grant: `h/${fence + 1}/21:3`, fence: fence + 3, arrivals: 2, firstArrival: null });
    expect(isLong((await database.stored(key))?.fence)).toBe(true);
  });

  it.each([
    {
      why: 'somebody arrived between the look at the queue and the first arrival noted',
      tickets: [{ n: 1, callers: 1 }],
      arrivals: 1,
      without: [],
    },
    {
      why: 'the first arrival is a ticket of this very grant',
      tickets: [{ n: 1, callers: 1 }],
      session: 'holder',
      arrivals: 0,
      without: [],
    },
    {
      why: 'the first arrival is of a session to be left out',
      tickets: [{ n: 9, callers: 1 }],
      arrivals: 0,
      without: ['j'],
    },
  ])('changes nothing when $why', async ({ tickets, session = 'j', arrivals, without }) => {
    const key = database.key();
    const { grant } = await held(key);
    await store.arrive({ key, session, tickets });
    if (arrivals > 0) await store.arrive({ key, session: 'k', tickets: [ONE] });
    const before = await database.stored(key);
    const lock = await store.vacate({ key, grant, arrivals, withoutSessions: without });
    expect(lock).toMatchObject({ grant, arrivals: arrivals + 1 });
    expect(await database.stored(key)).toEqual(before);
  });

  it('answers null where the grant stands no more, also to itself sent again', async () => {
    const key = database.key();
    const { grant } = await held(key);
    const request = { key, grant, arrivals: 0, withoutSessions: [] };
    expect(await store.vacate(request)).not.toBeNull();
    expect(await store.vacate(request)).toBeNull();
  });

  it('grants a first arrival with counters that can be read, whatever type another tool has given them', async () => {
    const key = database.key();
    const { grant } = await held(key);
    const spoilt = { arrivals: Decimal128.fromString('1'), firstArrival: '1/x/1:1', born: 5.0 };
    await locks.updateOne({ _id: key }, { $set: spoilt });
    const reply = await store.vacate({ key, grant, arrivals: 0, withoutSessions: [] });
    expect(reply).toMatchObject({ arrivals: 1, firstArrival: null });
    expect(reply?.grant).toMatch(/^x\/[0-9]+\/1:1$/);
  });

  it.each(['1/x/9999999999999999:1', '1/x/1:1\n'])(
    'does not grant the first arrival %j, which nobody could read',
    async (firstArrival) => {
      const key = database.key();
      const { grant } = await held(key);
      await locks.updateOne({ _id: key }, { $set: { firstArrival, arrivals: Long.fromNumber(1) } });
      expect(await store.vacate({ key, grant, arrivals: 0, withoutSessions: [] })).toMatchObject({ grant });
    },
  );

  it('takes the queue for not empty where a grant of another tool has thousands of tickets', async () => {
    const key = database.key();
    const { fence } = await held(key);
    const tickets = Array.from({ length: 5_000 }, (_, index) => `${index + 1}:1`).join(',');
    const grant = `own/${fence + 1}/${tickets}`;
    await locks.updateOne({ _id: key }, { $set: { grant, firstArrival: '1/x/1:1', arrivals: Long.fromNumber(1) } });
    expect(await store.vacate({ key, grant, arrivals: 0, withoutSessions: [] })).toMatchObject({ grant });
  });

  it('does not trip over a first arrival that another tool has spoilt', async () => {
    const key = database.key();
    const { grant } = await held(key);
    for (const firstArrival of ['1/x', '1/x/1', 7, '1/x/a:b', '']) {
      await locks.updateOne({ _id: key }, { $set: { firstArrival, arrivals: Long.fromNumber(1) } });
      const stored = await database.stored(key);
      await store.vacate({ key, grant, arrivals: 0, withoutSessions: [] }).catch(() => {});
      expect(await database.stored(key)).toEqual(stored);
    }
  });
});

describe('RESCUE', () => {
  it('grants the head of a vacant lock at exactly this fence, once', async () => {
    const key = database.key();
    const { fence } = await vacant(key);
    const request = {
      key,
      fence,
      session: 'l',
      tickets: [
        { n: 1, callers: 2 },
        { n: 2, callers: 1 },
      ],
    };
    expect(await store.rescue({ ...request, fence: fence - 1 })).toBe(false);
    expect(await store.rescue(request)).toBe(true);
    expect((await queueOf(key)).lock).toMatchObject({ grant: `l/${fence + 1}/1:2,2:1`, fence: fence + 3 });
    expect(await store.rescue(request)).toBe(false);
    expect(await database.stored(key)).toHaveProperty('vacantAt', null);
  });

  it('inserts an absent lock, and refuses where there is one, held or vacant', async () => {
    const key = database.key();
    const before = await clusterToken();
    const request = {
      key,
      fence: null,
      session: 'm',
      tickets: [
        { n: 1, callers: 2 },
        { n: 2, callers: 1 },
      ],
    };
    expect(await store.rescue(request)).toBe(true);
    const { lock } = await queueOf(key);
    expect(lock?.born).toBeGreaterThanOrEqual(before);
    expect(lock).toMatchObject({
      grant: `m/${lock?.born}/1:2,2:1`,
      fence: Number(lock?.born) + 2,
      arrivals: 0,
      version: 1,
    });
    expect(await store.rescue(request)).toBe(false);
    const other = database.key();
    await vacant(other);
    expect(await store.rescue({ ...request, key: other })).toBe(false);
    expect((await queueOf(other)).lock?.grant).toBeNull();
  });

  it('of 20 at once on an absent lock exactly one succeeds', async () => {
    const key = database.key();
    const rescues = Array.from({ length: 20 }, (_, index) =>
      store.rescue({ key, fence: null, session: `r${index}`, tickets: [ONE] }),
    );
    expect((await Promise.all(rescues)).filter((won) => won)).toHaveLength(1);
  });
});

describe('fencing tokens', () => {
  it('go on higher after the lock document was deleted by hand', async () => {
    const key = database.key();
    const { fence } = await held(key);
    // The token of a recreated document comes from the cluster time: it is only greater once that has ticked.
    await locks.deleteOne({ _id: key });
    const again = await store.tryGrant({ key, session: 'me', ticket: ONE });
    expect(again.born).toBeGreaterThan(fence);
  });

  it('are 64-bit integers, as are all counters, after every transition', async () => {
    const key = database.key();
    const seen: Stored[] = [];
    const look = async () => seen.push((await database.stored(key)) ?? {});
    const { grant, fence } = await held(key);
    await look();
    await store.arrive({ key, session: 'n', tickets: [{ n: 2 ** 40, callers: 2 }] });
    await look();
    await store.handoff({ key, grant, next: `n/${fence + 1}/${2 ** 40}:2`, fence: fence + 2 });
    await look();
    await store.vacate({ key, grant: `n/${fence + 1}/${2 ** 40}:2`, arrivals: 1, withoutSessions: [] });
    await look();
    await store.rescue({ key, fence: fence + 2, session: 'n', tickets: [ONE] });
    await look();
    for (const { fence: stored, arrivals, born } of seen) expect([stored, arrivals, born].every(isLong)).toBe(true);
    const ticket = await database.stored(`n/${2 ** 40}`);
    expect([ticket?.n, ticket?.callers].every(isLong)).toBe(true);
    expect((await queueOf(key)).head).toEqual([{ session: 'n', n: 2 ** 40, callers: 2 }]);
  });
});

describe('tickets', () => {
  it('are deleted one by one or by session, and absent ones are fine', async () => {
    const key = database.key();
    await held(key);
    for (const session of ['p', 'p-q', 'p0']) {
      await store.arrive({ key, session, tickets: [ONE, { n: 2, callers: 1 }, { n: 3, callers: 1 }] });
    }
    await store.deleteTickets({ ids: ['p/1', 'p/77', 'p-q/2'] });
    await store.deleteTickets({ ids: [] });
    await store.deleteTicketsOf({ session: 'p' });
    const { head } = await queueOf(key);
    expect(head.map(({ session, n }) => `${session}/${n}`)).toEqual(['p-q/1', 'p-q/3', 'p0/1', 'p0/2', 'p0/3']);
  });
});

describe('PREFETCH', () => {
  it('leaves out tickets and sessions before it counts to the limit', async () => {
    const key = database.key();
    await held(key);
    await store.arrive({ key, session: 'q1', tickets: [ONE, { n: 2, callers: 1 }] });
    await store.arrive({ key, session: 'q2', tickets: [ONE] });
    await store.arrive({ key, session: 'q3', tickets: [ONE] });
    const view = await store.readQueue({ key, withoutTickets: ['q1/1'], withoutSessions: ['q2'], limit: 2 });
    expect(view.head.map(({ session, n }) => `${session}/${n}`)).toEqual(['q1/2', 'q3/1']);
    expect(view.full).toBe(true);
  });

  it('says so where there is neither lock nor ticket, and reads tickets of an absent lock', async () => {
    const key = database.key();
    expect(await queueOf(key)).toEqual({ lock: null, head: [], full: false });
    await store.arrive({ key, session: 'q4', tickets: [ONE] });
    await locks.deleteOne({ _id: key });
    expect(await queueOf(key)).toEqual({ lock: null, head: [{ session: 'q4', ...ONE }], full: false });
  });

  it('never lets a malformed document of another tool take a place on the page', async () => {
    const key = database.key();
    const { store: other } = database.ports({ collectionName: 'shared' });
    await other.prepare();
    await other.tryGrant({ key, session: 'holder', ticket: ONE });
    const at = Timestamp.fromBits(0, 1);
    const one = Long.fromNumber(1);
    const good = { key, at, n: one, session: 'z', callers: one };
    await database.db
      .collection<{ _id: string }>('shared')
      .insertMany([
        { ...good, _id: 'z/x' },
        { ...good, _id: 'z/1', n: 1.5 as never },
        { ...good, _id: 'z/2', n: 2 as never },
        { ...good, _id: 'z/3', n: Long.fromNumber(3), at: new Date(0) as never },
        { ...good, _id: 'z/4', n: Long.fromNumber(4), callers: Long.fromNumber(0) },
        { ...good, _id: 'z/5', n: Long.fromNumber(5), session: ['z'] as never },
        { ...good, _id: 'z,y/6', n: Long.fromNumber(6), session: 'z,y' },
        { ...good, _id: 'z/-7', n: Long.fromNumber(-7) },
        { _id: 'junk', key } as never,
      ]);
    await other.arrive({ key, session: 'zz', tickets: [ONE] });
    const view = await other.readQueue({ key, withoutTickets: [], withoutSessions: [], limit: 1 });
    expect(view.head).toEqual([{ session: 'zz', ...ONE }]);
    const awaited = await other.readAwaited({ keys: [key], ticketIds: [], headLimit: 1 });
    expect(awaited.locks.get(key)?.head).toEqual([{ session: 'zz', ...ONE }]);
  });
});

describe('the patrol’s read', () => {
  it('gives awaited locks with the heads of their queues, and which of our tickets exist', async () => {
    const [first, second, absent, foreign, newer] = [0, 1, 2, 3, 4].map(() => database.key()) as [
      string,
      string,
      string,
      string,
      string,
    ];
    await held(first);
    await store.arrive({ key: first, session: 't1', tickets: [ONE, { n: 2, callers: 1 }, { n: 3, callers: 1 }] });
    await vacant(second);
    await locks.insertOne({ _id: foreign, grant: 5 } as never);
    await held(newer);
    await locks.updateOne({ _id: newer }, { $set: { v: 2 } });
    const view = await store.readAwaited({
      keys: [first, second, absent, foreign, newer],
      ticketIds: ['t1/1', 't1/3', 't1/4'],
      headLimit: 2,
    });
    expect([...view.locks.keys()].sort()).toEqual([first, second].sort());
    expect(view.locks.get(first)?.head).toEqual([
      { session: 't1', ...ONE },
      { session: 't1', n: 2, callers: 1 },
    ]);
    expect(view.locks.get(second)).toMatchObject({ lock: { grant: null }, head: [] });
    expect([...view.unreadable].sort()).toEqual([foreign, newer].sort());
    expect([...view.tickets].sort()).toEqual(['t1/1', 't1/3']);
  });

  it('takes any number of keys and tickets, and none', async () => {
    const keys = Array.from({ length: 2_300 }, (_, index) => `lock:many/${index}`);
    await locks.insertMany(keys.map((key) => ({ _id: key, grant: null }) as never));
    const view = await store.readAwaited({
      keys,
      ticketIds: keys.map((_, index) => `many/${index + 1}`),
      headLimit: 1,
    });
    expect(view.locks.size).toBe(keys.length);
    await locks.deleteMany({ _id: { $in: keys } });
    expect(await store.readAwaited({ keys: [], ticketIds: [], headLimit: 1 })).toEqual({
      locks: new Map(),
      unreadable: [],
      tickets: new Set(),
    });
  });

  it('is read in parts where an answer is larger than one batch of 16 MB', async () => {
    const keys = Array.from({ length: 600 }, (_, index) => `lock:heavy/${index}`);
    await locks.insertMany(keys.map((key) => ({ _id: key, grant: null, ballast: 'x'.repeat(64_000) }) as never));
    const view = await store.readAwaited({ keys, ticketIds: [], headLimit: 1 });
    expect(view.locks.size).toBe(keys.length);
    await locks.deleteMany({ _id: { $in: keys } });
  });
});

describe('the audit’s read', () => {
  it('finds every lock a session holds, and none of a session with a similar name', async () => {
    const keys = Array.from({ length: 30 }, () => database.key());
    for (const [index, key] of keys.entries()) {
      await store.tryGrant({ key, session: 'audit', ticket: { n: index + 1, callers: 1 } });
    }
    for (const session of ['audit-', 'audit0', 'audi', 'Audit']) await held(database.key(), session);
    const grants = await store.readGrantsOf({ session: 'audit' });
    expect(grants.map(({ key }) => key).sort()).toEqual([...keys].sort());
    expect(grants.every(({ grant }) => grant.startsWith('audit/'))).toBe(true);
  });
});

describe('sessions', () => {
  const draft = { session: 'u', leaseMS: 5_000, host: '$host', pid: 42, label: '$label' };

  it('are written alive for one lease, with the texts as they were given', async () => {
    const state = await store.openSession({ ...draft, session: 'u1' });
    expect(state).toEqual({
      session: 'u1',
      version: 1,
      state: 'alive',
      remainingMS: 5_000,
      leaseMS: 5_000,
      beats: 0,
      host: '$host',
      pid: 42,
      label: '$label',
    });
    const stored = await database.stored('u1', 'dlocks.sessions');
    expect([stored?.leaseMS, stored?.beats].every(isLong)).toBe(true);
    expect(stored?.until).toBeInstanceOf(Date);
  });

  it('are renewed from the server’s now, with one more beat', async () => {
    await store.openSession({ ...draft, session: 'u2' });
    expect(await store.renewSession({ session: 'u2', leaseMS: 9_000 })).toMatchObject({
      remainingMS: 9_000,
      beats: 1,
      leaseMS: 9_000,
    });
    expect(await store.renewSession({ session: 'u2', leaseMS: 9_000 })).toMatchObject({ beats: 2 });
    expect(isLong((await database.stored('u2', 'dlocks.sessions'))?.beats)).toBe(true);
  });

  it('that are absent or dead cannot be renewed, and are not made', async () => {
    expect(await store.renewSession({ session: 'u3', leaseMS: 1_000 })).toBeNull();
    expect(await database.stored('u3', 'dlocks.sessions')).toBeNull();
    await store.condemnSession({ session: 'u3' });
    expect(await store.renewSession({ session: 'u3', leaseMS: 1_000 })).toBeNull();
  });

  it('that are dead stay dead when they are opened again', async () => {
    await store.condemnSession({ session: 'u4' });
    expect(await store.openSession({ ...draft, session: 'u4' })).toMatchObject({ state: 'dead' });
  });

  it('are condemned at once, whether they exist or not', async () => {
    await store.openSession({ ...draft, session: 'u5' });
    for (const session of ['u5', 'u6']) {
      await store.condemnSession({ session });
      const [state] = await store.readSessions({ sessions: [session] });
      expect(state).toMatchObject({ session, state: 'dead' });
      expect(state?.remainingMS).toBeLessThanOrEqual(0);
    }
  });

  it('are ended, and read where they exist', async () => {
    await store.openSession({ ...draft, session: 'u7' });
    await store.openSession({ ...draft, session: 'u8' });
    await store.endSession({ session: 'u7' });
    await store.endSession({ session: 'u7' });
    const states = await store.readSessions({ sessions: ['u7', 'u8', 'u9'] });
    expect(states.map(({ session }) => session)).toEqual(['u8']);
    expect(await store.readSessions({ sessions: [] })).toEqual([]);
  });

  it('of 20 opened at once under one id fail not', async () => {
    const states = await Promise.all(Array.from({ length: 20 }, () => store.openSession({ ...draft, session: 'u10' })));
    expect(states.every(({ state }) => state === 'alive')).toBe(true);
  });
});

describe('REAP', () => {
  const draft = { leaseMS: 60_000, host: 'h', pid: 1 };

  async function lapsed(session: string, byMS: number) {
    await store.openSession({ ...draft, session });
    await sessions.updateOne({ _id: session }, [{ $set: { until: { $subtract: ['$$NOW', byMS] } } }]);
  }

  it('leaves a session alone that is alive', async () => {
    await store.openSession({ ...draft, session: 'v1' });
    const before = await database.stored('v1', 'dlocks.sessions');
    const request = { session: 'v1', clockSkewMS: 0, leaseMS: 1_000 };
    expect(await store.reapSession(request)).toMatchObject({ state: 'alive' });
    expect(await store.reapSession({ ...request, unchangedBeats: 0 })).toMatchObject({ state: 'alive' });
    expect(await database.stored('v1', 'dlocks.sessions')).toEqual(before);
  });

  it('convicts one that has lapsed by more than the clock skew, and keeps when', async () => {
    await lapsed('v2', 2_000);
    expect(await store.reapSession({ session: 'v2', clockSkewMS: 60_000, leaseMS: 1_000 })).toMatchObject({
      state: 'alive',
    });
    const dead = await store.reapSession({ session: 'v2', clockSkewMS: 1_000, leaseMS: 1_000 });
    expect(dead.state).toBe('dead');
    expect(dead.remainingMS).toBeLessThanOrEqual(-2_000);
  });

  it('convicts one that has lapsed at all when its beats stand still', async () => {
    await lapsed('v3', 10);
    const request = { session: 'v3', clockSkewMS: 60_000, leaseMS: 1_000 };
    expect(await store.reapSession({ ...request, unchangedBeats: 1 })).toMatchObject({ state: 'alive' });
    expect(await store.reapSession({ ...request, unchangedBeats: 0 })).toMatchObject({ state: 'dead' });
  });

  it('marks an absent one, and the mark convicts a lease of the reaper later', async () => {
    const request = { session: 'v4', clockSkewMS: 60_000, leaseMS: 300 };
    const marked = await store.reapSession(request);
    expect(marked).toMatchObject({ state: 'dead', remainingMS: 300, leaseMS: 300, beats: 0 });
    const convicted = await eventually(async () => {
      const state = await store.reapSession(request);
      return state.remainingMS <= 0 ? state : null;
    });
    expect(convicted.state).toBe('dead');
  });

  it('changes nothing about one that is dead already', async () => {
    await store.reapSession({ session: 'v5', clockSkewMS: 0, leaseMS: 50_000 });
    const before = await database.stored('v5', 'dlocks.sessions');
    expect(await store.reapSession({ session: 'v5', clockSkewMS: 0, leaseMS: 90_000 })).toMatchObject({
      state: 'dead',
      leaseMS: 50_000,
    });
    expect(await database.stored('v5', 'dlocks.sessions')).toEqual(before);
  });

  it('is the end of the session: a renewal that comes late is refused', async () => {
    await lapsed('v6', 10);
    await store.reapSession({ session: 'v6', clockSkewMS: 0, leaseMS: 1_000 });
    expect(await store.renewSession({ session: 'v6', leaseMS: 1_000 })).toBeNull();
    await store.condemnSession({ session: 'v6' });
    expect((await store.readSessions({ sessions: ['v6'] }))[0]?.remainingMS).toBeLessThan(0);
  });
});

describe('documents of a newer version', () => {
  it('are changed by no transition, and refused by name where one is read', async () => {
    const key = database.key();
    const { grant, fence } = await held(key);
    await locks.updateOne({ _id: key }, { $set: { v: 2 } });
    const stored = await database.stored(key);
    expect(await rejection(store.tryGrant({ key, session: 'w', ticket: ONE }))).toMatchObject({
      code: 'LOCK_NEWER_VERSION',
    });
    expect(await rejection(queueOf(key))).toMatchObject({ code: 'LOCK_NEWER_VERSION' });
    await store.arrive({ key, session: 'w', tickets: [ONE] });
    expect(await store.handoff({ key, grant, next: `w/${fence + 1}/1:1`, fence: fence + 1 })).toBe(false);
    expect(await store.vacate({ key, grant, arrivals: 0, withoutSessions: [] })).toBeNull();
    expect(await store.rescue({ key, fence, session: 'w', tickets: [ONE] })).toBe(false);
    expect(await database.stored(key)).toEqual(stored);
  });

  it('are not granted when they are vacant', async () => {
    const key = database.key();
    const { fence } = await vacant(key);
    await locks.updateOne({ _id: key }, { $set: { v: 2 } });
    const stored = await database.stored(key);
    await store.tryGrant({ key, session: 'w', ticket: ONE }).catch(() => {});
    await store.arrive({ key, session: 'w', tickets: [ONE] });
    await store.rescue({ key, fence, session: 'w', tickets: [ONE] });
    expect(await database.stored(key)).toEqual(stored);
  });

  it('are left alone among sessions as well', async () => {
    await store.openSession({ session: 'w1', leaseMS: 1_000, host: 'h', pid: 1 });
    await sessions.updateOne({ _id: 'w1' }, { $set: { v: 2, until: new Date(0) } });
    const stored = await database.stored('w1', 'dlocks.sessions');
    const newer = { code: 'LOCK_NEWER_VERSION' };
    expect(await store.renewSession({ session: 'w1', leaseMS: 1_000 })).toBeNull();
    expect(await rejection(store.openSession({ session: 'w1', leaseMS: 1_000, host: 'h', pid: 1 }))).toMatchObject(
      newer,
    );
    expect(await rejection(store.reapSession({ session: 'w1', clockSkewMS: 0, leaseMS: 1_000 }))).toMatchObject(newer);
    await store.condemnSession({ session: 'w1' });
    await store.endSession({ session: 'w1' });
    expect(await database.stored('w1', 'dlocks.sessions')).toEqual(stored);
  });

  it('without a version count as version 1', async () => {
    const key = database.key();
    const { grant } = await held(key);
    await locks.updateOne({ _id: key }, { $unset: { v: '' } });
    expect(await store.vacate({ key, grant, arrivals: 0, withoutSessions: [] })).toMatchObject({
      grant: null,
      version: 1,
    });
    expect(await store.tryGrant({ key, session: 'me', ticket: ONE })).toMatchObject({ version: 1 });
  });

  it('and those that are no lock documents at all are refused by name', async () => {
    const key = database.key();
    await locks.insertOne({ _id: key, grant: 'x', fence: 'y' } as never);
    const error = await rejection(store.tryGrant({ key, session: 'w', ticket: ONE }));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION' });
    expect(String(error)).toContain('collectionName');
  });
});

describe('keys', () => {
  const values = [
    'a.b.c',
    '$set',
    '$$ROOT',
    '.',
    '{"$gt":""}',
    'sp ace\n\t"quote"\'',
    'ünïcödé 🔒 \u0000 nul',
    'e\u0301',
    'é',
    'A',
    'a',
    'x'.repeat(511),
  ];

  it.each(values.map((id) => [id]))('of any text go through every command as values: %j', async (id) => {
    const key = readKey({ resource: '$', id });
    const { grant, fence } = await held(key);
    await store.arrive({ key, session: 'y', tickets: [ONE] });
    const view = await store.readQueue({ key, withoutTickets: [], withoutSessions: [], limit: 5 });
    expect(view).toMatchObject({ lock: { key, grant }, head: [{ session: 'y', ...ONE }] });
    expect(
      (await store.readAwaited({ keys: [key], ticketIds: ['y/1'], headLimit: 1 })).locks.get(key)?.head,
    ).toHaveLength(1);
    const lock = await store.vacate({ key, grant, arrivals: 0, withoutSessions: [] });
    expect(lock?.grant).toBe(`y/${fence + 1}/1:1`);
    await store.deleteTickets({ ids: ['y/1'] });
    expect(await store.vacate({ key, grant: String(lock?.grant), arrivals: 1, withoutSessions: [] })).toMatchObject({
      grant: null,
    });
  });

  it('that only look alike are different locks', async () => {
    const found = await locks.countDocuments({ _id: { $in: values.map((id) => readKey({ resource: '$', id })) } });
    expect(found).toBe(values.length);
  });
});

describe('reads', () => {
  it('see our own last write', async () => {
    const key = database.key();
    let { grant, fence } = await held(key);
    for (let round = 0; round < 50; round += 1) {
      const next = `me/${fence + 1}/${round + 1}:1`;
      expect(await store.handoff({ key, grant, next, fence: fence + 1 })).toBe(true);
      expect((await queueOf(key)).lock?.grant).toBe(next);
      grant = next;
      fence += 1;
    }
  });
});

describe('with 10,000 tickets in one queue, by the server’s own account', () => {
  const key = 'lock:long queue/1';
  const session = 'long';

  beforeAll(async () => {
    await held(key);
    for (let first = 1; first < 10_000; first += 500) {
      await store.arrive({
        key,
        session,
        tickets: Array.from({ length: 500 }, (_, index) => ({ n: first + index, callers: 1 })),
      });
    }
    const keys = Array.from({ length: 200 }, (_, index) => index + 1);
    await Promise.all(
      keys.map((n) => store.tryGrant({ key: `lock:long holds/${n}`, session, ticket: { n: 20_000 + n, callers: 1 } })),
    );
  });

  async function examined(command: Command) {
    const { maxTimeMS: _, ...explained } = command;
    const plan = await database.db.command({ explain: explained, verbosity: 'executionStats' });
    const text = JSON.stringify(plan);
    const sum = (name: string) =>
      [...text.matchAll(new RegExp(`"${name}":(\\d+)`, 'g'))].reduce((total, [, count]) => total + Number(count), 0);
    return {
      scans: text.includes('COLLSCAN') || sum('collectionScans') > 0,
      documents: sum('totalDocsExamined'),
      keys: sum('totalKeysExamined'),
    };
  }

  it('PREFETCH looks at the lock and one page of tickets', async () => {
    const request = { key, withoutTickets: ['long/1', 'long/2'], withoutSessions: ['dead'], limit: 10 };
    const { scans, documents, keys } = await examined(readQueueCommand('dlocks', request));
    expect(scans).toBe(false);
    expect(documents).toBe(1 + 12);
    expect(keys).toBe(1 + 12);
  });

  it('the patrol looks at the awaited locks and the heads of their queues', async () => {
    const request = {
      keys: [key, 'lock:long holds/1', 'lock:nowhere'],
      ticketIds: ['long/5', 'long/10001'],
      headLimit: 2,
    };
    const { scans, documents } = await examined(readAwaitedCommand('dlocks', request));
    expect(scans).toBe(false);
    expect(documents).toBeLessThan(10);
  });

  it('the audit looks at nothing but the index, however many tickets there are', async () => {
    const { scans, documents, keys } = await examined(readGrantsCommand('dlocks', { session, after: null }));
    expect(scans).toBe(false);
    expect(documents).toBe(0);
    expect(keys).toBeLessThanOrEqual(201);
    expect(await store.readGrantsOf({ session })).toHaveLength(200);
  });

  it('deleting the tickets of a session looks at those tickets only', async () => {
    const before = await database.db.collection('dlocks').countDocuments({});
    const command = deleteTicketsOfCommand('dlocks', { session });
    const { scans, documents } = await examined({ delete: command.delete, deletes: command.deletes });
    expect(scans).toBe(false);
    expect(documents).toBe(10_000);
    await store.deleteTicketsOf({ session });
    expect(await database.db.collection('dlocks').countDocuments({})).toBe(before - 10_000);
  });
});

describe('a second store', () => {
  it('is refused once closed, may be prepared and used again, and closing twice is fine', async () => {
    const other: LockStore = database.ports().store;
    await other.prepare();
    await other.close();
    await other.close();
    await expect(other.renewSession({ session: 'me', leaseMS: 1_000 })).rejects.toMatchObject({ code: 'LOCK_CLOSED' });
    await other.prepare();
    expect(await other.tryGrant({ key: database.key(), session: 'me', ticket: ONE })).toMatchObject({ arrivals: 0 });
  });
});
