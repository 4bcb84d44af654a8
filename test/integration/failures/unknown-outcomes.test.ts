/**
 * Writes of which nobody knows whether they were applied, and writes that are applied late, twice or between the halves of another: rows W1, W3, W4,
 * W11, Q1 and Q2 of the failure table, on the real server, with the interleavings arranged at the ports. Where leases are long, nothing in a test is
 * put right by somebody who found somebody else dead, or by a patrol.
 */
import type { Lock } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { systemClock } from '#core/base/clock.js';
import { LockMissingPrivilegesError, LockUnavailableError } from '#core/errors.js';
import { arriveCommand } from '#core/mongo/queue-commands.js';
import type { LockStore } from '#core/ports.js';
import { given, itLeavesNothingBehind, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { type StoreCall, useWires, type Wire } from '../../support/wrapped-ports.js';

const database = useDatabase(import.meta.url);
const wired = useWires(database);
const PAIR = { resource: 'account', id: 7 };
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };
const ALL = Number.POSITIVE_INFINITY;

async function locked(settings = SLOW): Promise<Lock> {
  return (await database.connected(settings)).locks.lock(PAIR);
}

/** Resolves when the lock is free and nobody is in its queue. */
async function untilFree(limitMS?: number): Promise<void> {
  await eventually(
    async () => (await database.holder(PAIR)) === null && (await database.waitersCount(PAIR)) === 0,
    limitMS,
  );
}

/** No grant was written that nobody saw. */
async function expectLastToken(token: number): Promise<void> {
  expect((await database.stored(PAIR))?.fence).toBe(token);
}

describe('W1 (INV-09): an arrival of which the outcome is unknown', () => {
  it.each(['dropRequest', 'dropReply'] as const)('(%s) has one ticket, one place and one grant', async (drop) => {
    const before = await locked();
    const holding = locked();
    await database.untilWaiting(PAIR, 1);
    const { wire, client } = await wired(SLOW);
    client.expectsErrors = true;
    const lost = wire[drop]({ method: 'arrive' });
    const again = wire.holdRequest({ method: 'arrive' });
    const waiting = client.locks.lock(PAIR);
    await lost.reached();
    await again.reached();
    // What was applied has its place; what was not has none yet.
    if (drop === 'dropRequest') again.letGo();
    await database.untilWaiting(PAIR, 2);
    const behind = locked();
    await database.untilWaiting(PAIR, 3);
    again.letGo();
    await eventually(() => wire.callsOf('arrive').at(-1)?.state === 'answered');
    expect(await database.waitersCount(PAIR)).toBe(3);
    await before.unlock();
    // It reads the queue behind it when it is granted: the order is that of the tickets.
    const holder = await holding;
    await holder.unlock();
    const first = await waiting;
    expect(first.fencingToken).toBe(holder.fencingToken + 1);
    await first.unlock();
    const second = await behind;
    expect(second.fencingToken).toBe(holder.fencingToken + 2);
    await second.unlock();
    await untilFree();
    expect(client.seen('granted')).toHaveLength(1);
  });

  it('is resolved before its hold is released, however long that takes', async () => {
    const holder = await locked();
    const { wire, client } = await wired(SLOW);
    client.expectsErrors = true;
    wire.dropReply({ method: 'arrive' });
    const again = wire.holdRequest({ method: 'arrive', where: () => wire.callsOf('arrive').length > 1 });
    const waiting = client.locks.lock(PAIR);
    await again.reached();
    await holder.unlock();
    const lock = await waiting;
    const unlocked = lock.unlock();
    expect(lock.held).toBe(false);
    expect(wire.callsOf('vacate')).toEqual([]);
    again.letGo();
    expect(await unlocked).toBe(true);
    await untilFree();
    expect(client.seen('granted')).toHaveLength(1);
    await expectLastToken(lock.fencingToken);
  });
});

describe('W3 (INV-07, INV-09): a release of which the outcome is unknown', () => {
  it('changes nothing when it is sent again after its successor, and the one after that, were granted', async () => {
    const before = await locked();
    const { wire, client } = await wired(SLOW);
    client.expectsErrors = true;
    const waiting = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const next = locked();
    await database.untilWaiting(PAIR, 2);
    const last = locked();
    await database.untilWaiting(PAIR, 3);
    await before.unlock();
    const lock = await waiting;
    const { again, unlocked } = await releaseTwice(wire, lock);
    expect(wire.callsOf('handoff')).toHaveLength(2);
    const second = await next;
    await second.unlock();
    const third = await last;
    const stored = await database.stored(PAIR);
    again.letGo();
    expect(await unlocked).toBe(true);
    expect(await database.stored(PAIR)).toEqual(stored);
    expect(third.held).toBe(true);
    expect([second.fencingToken, third.fencingToken]).toEqual([lock.fencingToken + 1, lock.fencingToken + 2]);
    await third.unlock();
  });

  it('changes nothing when it is sent again after somebody else took the free lock', async () => {
    const { wire, client } = await wired(SLOW);
    client.expectsErrors = true;
    const lock = await client.locks.lock(PAIR);
    const { again, unlocked } = await releaseTwice(wire, lock);
    const taken = await locked();
    const stored = await database.stored(PAIR);
    again.letGo();
    expect(await unlocked).toBe(true);
    expect(await database.stored(PAIR)).toEqual(stored);
    expect(taken.held).toBe(true);
    await taken.unlock();
  });

  /** The release is applied, its answer is lost, and what is sent then waits at a gate. */
  async function releaseTwice(
    wire: Wire,
    lock: Lock,
  ): Promise<{ unlocked: Promise<boolean>; again: { letGo(): void } }> {
    const releases = (): StoreCall[] => [...wire.callsOf('handoff'), ...wire.callsOf('vacate')];
    const before = releases().length;
    for (const method of ['handoff', 'vacate'] as const)
      wire.dropReply({ method, where: () => releases().length === before + 1 });
    const gates = (['handoff', 'vacate'] as const).map((method) =>
      wire.holdRequest({ method, times: ALL, where: () => releases().length > before + 1 }),
    );
    const unlocked = lock.unlock();
    await eventually(() => gates.some(({ taken }) => taken.length > 0));
    const letGo = (): void => {
      for (const gate of gates) gate.letGo();
    };
    return { unlocked, again: { letGo } };
  }
});

describe('W2 (INV-09): a first try of which the outcome is unknown', () => {
  const unavailable = async (): Promise<never> => {
    throw new LockUnavailableError('No primary was found.');
  };

  it.each(['dropRequest', 'dropReply'] as const)(
    '(%s) is not reported as not done, though then no primary is found',
    async (drop) => {
      const { wire, client } = await wired(SLOW);
      client.expectsErrors = true;
      wire[drop]({ method: 'tryGrant' });
      const refused = wire.replaceRequest({ method: 'tryGrant', times: 2 }, unavailable);
      const lock = await client.locks.lock(PAIR);
      expect(refused.taken).toHaveLength(2);
      expect(await lock.unlock()).toBe(true);
      await untilFree();
    },
  );

  it('is gone on with for a call that only tries, and leaves nothing when the user is refused meanwhile', async () => {
    const { wire, client } = await wired(SLOW);
    client.expectsErrors = true;
    wire.dropReply({ method: 'tryGrant' });
    wire.replaceRequest({ method: 'tryGrant' }, async () => {
      throw new LockMissingPrivilegesError('The user may not write.');
    });
    const lock = given(await client.locks.tryLock(PAIR));
    expect(await lock.unlock()).toBe(true);
    await untilFree();
  });
});

describe('INV-08: a copy of an arrival that comes when its caller has gone', () => {
  it('leaves a ticket that its session finds and deletes, while the lock is still held', async () => {
    const LEASE_MS = 1_500;
    const holder = await locked();
    const { wire, client } = await wired({ ...SLOW, leaseDurationMS: LEASE_MS, patrolIntervalMS: LEASE_MS });
    // Sent again after half a lease.
    const late = wire.holdRequest({ method: 'arrive' });
    const controller = new AbortController();
    const waiting = client.locks.lock({ ...PAIR, signal: controller.signal });
    await late.reached();
    await database.untilWaiting(PAIR, 1);
    controller.abort(new Error('enough'));
    expect(await rejection(waiting)).toEqual(new Error('enough'));
    await eventually(() => wire.callsOf('deleteTickets').some(({ state }) => state === 'answered'));
    expect(await database.waitersCount(PAIR)).toBe(0);
    // Keeps its session open.
    const other = await client.locks.lock({ ...PAIR, id: 'other' });
    late.letGo();
    await database.untilWaiting(PAIR, 1);
    const arrivedAt = systemClock.nowMS();
    await eventually(async () => (await database.waitersCount(PAIR)) === 0);
    expect(systemClock.nowMS() - arrivedAt).toBeLessThan(LEASE_MS);
    expect((await client.locks.inspect(PAIR)).waiters).toEqual([]);
    await other.unlock();
    await holder.unlock();
    await untilFree();
  });
});

describe('W4: a renewal', () => {
  const LEASE_MS = 1_500;
  const SETTINGS = { leaseDurationMS: LEASE_MS, clockSkewMS: 500, idleMS: 60_000 };
  const MARGIN_MS = LEASE_MS / 10;

  /** Watches a hold until that instant has passed; says what it should not have said. */
  async function watchUntil(deadlineAt: number, lock: Pick<Lock, 'held'>): Promise<string[]> {
    const faults: string[] = [];
    await eventually(() => {
      const before = systemClock.nowMS();
      const { held } = lock;
      const after = systemClock.nowMS();
      if (!held && after < deadlineAt) faults.push(`lost ${deadlineAt - after} ms before its deadline`);
      if (held && before >= deadlineAt) faults.push(`held ${before - deadlineAt} ms after its deadline`);
      return before >= deadlineAt;
    });
    return faults;
  }

  it('would be seen to end too late, or too early', async () => {
    expect(await watchUntil(systemClock.nowMS() + 50, { held: true })).toHaveLength(1);
    expect((await watchUntil(systemClock.nowMS() + 50, { held: false })).length).toBeGreaterThan(0);
  });

  it('that was applied, but is not answered, leaves the older deadline', async () => {
    const { wire, client } = await wired(SETTINGS);
    const lock = await client.locks.lock(PAIR);
    const renewed = await eventually(() => wire.callsOf('renewSession').find(({ state }) => state === 'answered'));
    const silent = wire.holdReply({ method: 'renewSession', times: ALL });
    expect(await watchUntil(renewed.at + LEASE_MS - MARGIN_MS, lock)).toEqual([]);
    expect(silent.taken.length).toBeGreaterThan(1);
    await eventually(() => lock.signal.aborted);
    silent.letGo();
    expect(await lock.unlock()).toBe(false);
    expect(lock.held).toBe(false);
  });

  it('that is refused, as for a user who is made anew, is sent again until the local deadline', async () => {
    const { wire, client } = await wired(SETTINGS);
    client.expectsErrors = true;
    const lock = await client.locks.lock(PAIR);
    const refuse = async (): Promise<never> => {
      throw new LockMissingPrivilegesError('The database user could not log in.');
    };
    const refused = wire.replaceRequest({ method: 'renewSession', times: 2 }, refuse);
    await eventually(() => refused.taken.length === 2);
    const last = refused.taken.at(-1)?.at ?? 0;
    await eventually(() => wire.callsOf('renewSession').some(({ at, state }) => at > last && state === 'answered'));
    await eventually(() => systemClock.nowMS() > last + LEASE_MS - MARGIN_MS);
    expect(client.seen('session:lost')).toEqual([]);
    expect(await lock.unlock()).toBe(true);
  });

  it('that is refused for good ends the session at its local deadline, not before', async () => {
    const { wire, client } = await wired(SETTINGS);
    client.expectsErrors = true;
    const lock = await client.locks.lock(PAIR);
    const renewed = await eventually(() => wire.callsOf('renewSession').find(({ state }) => state === 'answered'));
    wire.replaceRequest({ method: 'renewSession', times: ALL }, async () => {
      throw new LockMissingPrivilegesError('The database user could not log in.');
    });
    expect(await watchUntil(renewed.at + LEASE_MS - MARGIN_MS, lock)).toEqual([]);
    await eventually(() => lock.signal.aborted);
    expect(await lock.unlock()).toBe(false);
  });

  it('that is answered late counts from its start, not from its answer', async () => {
    const { wire, client } = await wired(SETTINGS);
    const lock = await client.locks.lock(PAIR);
    const late = wire.holdReply({ method: 'renewSession' });
    const renewal = await late.reached();
    wire.holdRequest({ method: 'renewSession', times: ALL });
    await eventually(() => systemClock.nowMS() > renewal.at + 0.25 * LEASE_MS);
    late.letGo();
    expect(await watchUntil(renewal.at + LEASE_MS - MARGIN_MS, lock)).toEqual([]);
    expect(renewal.state).toBe('answered');
    await eventually(() => lock.signal.aborted);
  });
});

describe('W11: the race to make a lock document', () => {
  it('is won by one of many, and its losers wait without an error', async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => database.connected(SLOW)));
    const ids = Array.from({ length: 20 }, (_, id) => id);
    const held: number[][] = ids.map(() => []);
    const calls = clients.flatMap(({ locks }) =>
      ids.map((id) => locks.exec({ resource: 'new', id, fn: ({ fencingToken }) => void held[id]?.push(fencingToken) })),
    );
    await Promise.all(calls);
    for (const id of ids) {
      const born = Number((await database.stored({ resource: 'new', id }))?.born);
      // A ticket that was served may be found before it is deleted, and be granted once more: then a token is left out.
      expect(held[id]).toHaveLength(clients.length);
      expect(held[id]?.[0]).toBe(born);
      expect(held[id]).toEqual([...new Set(held[id])].sort((a, b) => a - b));
    }
  });

  it('gives one of those that only try the lock, and the others null', async () => {
    const clients = await Promise.all(Array.from({ length: 4 }, () => database.connected(SLOW)));
    for (let id = 0; id < 10; id += 1) {
      const tried = await Promise.all(clients.map(({ locks }) => locks.tryLock({ resource: 'new', id })));
      const locks = tried.filter((lock) => lock !== null);
      expect(locks).toHaveLength(1);
      await given(locks[0] ?? null).unlock();
    }
  });
});

/** ARRIVE in two halves: first the ticket alone, and at the gate the ticket again, with the mark. */
function arriveInHalves(wire: Wire): { written: Promise<unknown>; mark: () => void } {
  let mark!: () => void;
  const marked = new Promise<void>((resolve) => {
    mark = resolve;
  });
  let written!: () => void;
  const ticket = new Promise<void>((resolve) => {
    written = resolve;
  });
  wire.replaceRequest({ method: 'arrive' }, async ({ request }, send) => {
    const { key, session, tickets } = request as unknown as Parameters<LockStore['arrive']>[0];
    const [first, ...others] = tickets;
    if (first === undefined) throw new Error('An arrival without a ticket');
    const whole = arriveCommand('dlocks', { key, session, tickets: [first, ...others] });
    await database.db.command({ ...whole, updates: (whole.updates as unknown[]).slice(0, -1) });
    written();
    await marked;
    return send();
  });
  return { written: ticket, mark };
}

describe('Q1: two arrivals that interleave', () => {
  it('behind a holder are both granted once, in either order', async () => {
    const holder = await locked();
    const a = await wired(SLOW);
    const b = await wired(SLOW);
    const halves = arriveInHalves(a.wire);
    const first = a.client.locks.lock(PAIR);
    await halves.written;
    const second = b.client.locks.lock(PAIR);
    await eventually(() => b.wire.callsOf('arrive')[0]?.state === 'answered');
    halves.mark();
    await eventually(() => a.wire.callsOf('arrive')[0]?.state === 'answered');
    await holder.unlock();
    const tokens = await Promise.all([first, second].map(async (waiting) => unlockedToken(await waiting)));
    expect(tokens.sort()).toEqual([holder.fencingToken + 1, holder.fencingToken + 2]);
    await untilFree();
  });

  it('where the lock becomes free in between are both granted once, though one is granted before its mark', async () => {
    const holder = await locked();
    const a = await wired(SLOW);
    const b = await wired(SLOW);
    // A patrol that looks while the lock is free would give it to the first ticket, marked or not.
    const rescues = [a, b].map(({ wire }) => wire.holdRequest({ method: 'rescue', times: ALL }));
    const halves = arriveInHalves(a.wire);
    const first = a.client.locks.lock(PAIR);
    await halves.written;
    const arrival = b.wire.holdRequest({ method: 'arrive' });
    const second = b.client.locks.lock(PAIR);
    await arrival.reached();
    await holder.unlock();
    expect(await database.holder(PAIR)).toBeNull();
    arrival.letGo();
    // Its mark finds the lock free; the queue behind it begins with the ticket that is not marked yet.
    const mine = await second;
    // Else its ticket may be found once more, and granted.
    await eventually(() => b.wire.callsOf('deleteTickets')[0]?.state === 'answered');
    expect(unlockedToken(mine)).toBe(holder.fencingToken + 1);
    const lock = await first;
    expect(lock.fencingToken).toBe(holder.fencingToken + 2);
    const unlocked = lock.unlock();
    halves.mark();
    expect(await unlocked).toBe(true);
    for (const rescue of rescues) rescue.letGo();
    await untilFree();
    expect([...a.client.seen('granted'), ...b.client.seen('granted')]).toHaveLength(2);
    await expectLastToken(lock.fencingToken);
  });

  it('where the lock is free and stays so until the mark are both granted once', async () => {
    const holder = await locked();
    const a = await wired(SLOW);
    const rescue = a.wire.holdRequest({ method: 'rescue', times: ALL });
    const halves = arriveInHalves(a.wire);
    const first = a.client.locks.lock(PAIR);
    await halves.written;
    await holder.unlock();
    // An arrival is complete when it is marked: until then the lock is free for whoever tries.
    const between = await locked();
    expect(between.fencingToken).toBe(holder.fencingToken + 1);
    await between.unlock();
    expect(await database.holder(PAIR)).toBeNull();
    rescue.letGo();
    halves.mark();
    expect(unlockedToken(await first)).toBe(holder.fencingToken + 2);
    await untilFree();
  });

  function unlockedToken(lock: Lock): number {
    void lock.unlock();
    return lock.fencingToken;
  }
});

describe('Q2: a grant to a ticket that nobody waits for any more', () => {
  it('by the late mark of one that left is passed on at once', async () => {
    const holder = await locked();
    const { wire, client } = await wired(SLOW);
    const arrival = wire.holdRequest({ method: 'arrive' });
    const controller = new AbortController();
    const waiting = rejection(client.locks.lock({ ...PAIR, signal: controller.signal }));
    await arrival.reached();
    await holder.unlock();
    controller.abort(new Error('left'));
    await waiting;
    arrival.letGo();
    await eventually(() => wire.callsOf('vacate').some(({ state }) => state === 'answered'));
    await untilFree();
    expect(client.seen('granted')).toEqual([]);
    expect((await database.stored(PAIR))?.fence).toBe(holder.fencingToken + 1);
  });

  it('by a late copy of the arrival of one that was served is passed on at once, and its ticket goes again', async () => {
    const holder = await locked();
    const { wire, client } = await wired({ ...SLOW, leaseDurationMS: 1_500, patrolIntervalMS: 1_500 });
    const late = wire.holdRequest({ method: 'arrive' });
    const waiting = client.locks.lock(PAIR);
    // Unanswered for too long, it is sent again.
    await eventually(() => wire.callsOf('arrive')[1]?.state === 'answered');
    await holder.unlock();
    const lock = await waiting;
    expect(await lock.unlock()).toBe(true);
    await untilFree();
    late.letGo();
    await eventually(() => late.taken[0]?.state === 'answered');
    await eventually(async () => Number((await database.stored(PAIR))?.fence) > lock.fencingToken);
    await untilFree();
    expect(client.seen('granted')).toHaveLength(1);
  });

  it('by a late copy of an arrival behind a holder is passed on at once, and its ticket goes a lease later', async () => {
    const holder = await locked();
    const { wire, client } = await wired({ ...SLOW, leaseDurationMS: 1_500, patrolIntervalMS: 1_500 });
    const late = wire.holdRequest({ method: 'arrive' });
    const waiting = client.locks.lock(PAIR);
    await eventually(() => wire.callsOf('arrive')[1]?.state === 'answered');
    await holder.unlock();
    await (await waiting).unlock();
    const other = await locked();
    late.letGo();
    await eventually(() => late.taken[0]?.state === 'answered');
    expect(await database.waitersCount(PAIR)).toBe(1);
    await eventually(async () => (await database.waitersCount(PAIR)) === 0);
    await other.unlock();
    await untilFree();
    expect(client.seen('granted')).toHaveLength(1);
  });

  it('by a release that had read the queue before it left is passed on at once to the next', async () => {
    const before = await locked();
    const a = await wired(SLOW);
    const holding = a.client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const leaving = await wired(SLOW);
    const controller = new AbortController();
    const left = rejection(leaving.client.locks.lock({ ...PAIR, signal: controller.signal }));
    await database.untilWaiting(PAIR, 2);
    const behind = locked();
    await database.untilWaiting(PAIR, 3);
    await before.unlock();
    const holder = await holding;
    await eventually(() => a.wire.callsOf('readQueue').some(({ state }) => state === 'answered'));
    controller.abort(new Error('left'));
    await left;
    await eventually(() => leaving.wire.callsOf('deleteTickets').some(({ state }) => state === 'answered'));
    await holder.unlock();
    const next = await behind;
    expect(next.fencingToken).toBe(holder.fencingToken + 2);
    expect(leaving.client.seen('granted')).toEqual([]);
    await next.unlock();
  });

  it('or a grant that is told again, once or much later, is served once', async () => {
    const holder = await locked();
    const { wire, client } = await wired(SLOW);
    const again = wire.repeatFact();
    const waiting = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    await holder.unlock();
    const lock = await waiting;
    const second = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    again.letGo();
    await lock.unlock();
    const next = await second;
    for (const fact of [...wire.facts]) wire.tell(fact);
    expect(next.held).toBe(true);
    expect(next.fencingToken).toBe(lock.fencingToken + 1);
    await next.unlock();
    await untilFree();
    expect(client.seen('granted')).toHaveLength(2);
  });
});

itLeavesNothingBehind(database);
