/**
 * Being woken: rows S1, S12, S14 of the failure table, and Q11, on the real server, with the interleavings arranged at the ports. No patrol comes round
 * within a test: whoever is woken was woken by an event, or by a read that belongs to waiting itself.
 */
import type { LockEventName } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, useDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { openCursors } from '../../support/leaks.js';
import { useWires, type Wire } from '../../support/wrapped-ports.js';

const database = useDatabase(import.meta.url);
const wired = useWires(database);
const PAIR = { resource: 'account', id: 7 };
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };

interface Held {
  reached(): Promise<unknown>;
  letGo(): void;
}

/** Every place between "the lock is held" and "I am woken" at which a waiter can be overtaken by the release. */
const PLACES: Readonly<Record<string, (wire: Wire) => Held>> = {
  'before its try is sent': (wire) => wire.holdRequest({ method: 'tryGrant' }),
  'before its try is answered': (wire) => wire.holdReply({ method: 'tryGrant' }),
  'before its stream is open': (wire) => wire.holdOpened(),
  'before its arrival is sent': (wire) => wire.holdRequest({ method: 'arrive' }),
  'before its arrival is answered': (wire) => wire.holdReply({ method: 'arrive' }),
  'before its first look is sent': (wire) => wire.holdRequest({ method: 'readAwaited', times: 9 }),
  'before its first look is answered': (wire) => wire.holdReply({ method: 'readAwaited', times: 9 }),
  'before its event is told': (wire) => wire.holdFact(),
};

/** Every place of a release, of a lock that was won without waiting or from the queue, at which an arrival can come. */
const RELEASES = ['holdRequest', 'holdReply'] as const;

describe('S1: a release', () => {
  it.each(Object.keys(PLACES))('that is over %s wakes the waiter', async (place) => {
    const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
    const { wire, client } = await wired(SLOW);
    const gate = PLACES[place]?.(wire);
    const waiting = client.locks.lock(PAIR);
    // What is never sent once the lock is had is not waited for: the release itself lets it come, or not.
    if (place !== 'before its event is told') await gate?.reached();
    expect(await holder.unlock()).toBe(true);
    gate?.letGo();
    const lock = await waiting;
    expect(lock.fencingToken).toBe(holder.fencingToken + 1);
    await lock.unlock();
    expect(await database.holder(PAIR)).toBeNull();
  });

  it.each(RELEASES)('of a lock won at once wakes who arrives during it (%s)', async (hold) => {
    const { wire, client } = await wired(SLOW);
    const holder = await client.locks.lock(PAIR);
    const release = wire[hold]({ method: 'vacate' });
    const released = holder.unlock();
    await release.reached();
    const waiting = (await database.connected(SLOW)).locks.lock(PAIR);
    await eventually(
      async () => (await database.waitersCount(PAIR)) === 1 || (await database.holder(PAIR)) !== client.session,
    );
    release.letGo();
    expect(await released).toBe(true);
    await (await waiting).unlock();
  });

  it.each(['readQueue', 'vacate'] as const)(
    'of a lock won from the queue wakes who arrives during it (%s)',
    async (method) => {
      for (const hold of RELEASES) {
        const before = await (await database.connected(SLOW)).locks.lock(PAIR);
        const { wire, client } = await wired(SLOW);
        const reading = wire[hold]({ method });
        const first = client.locks.lock(PAIR);
        await database.untilWaiting(PAIR, 1);
        await before.unlock();
        const released = (await first).unlock();
        await reading.reached();
        const waiting = (await database.connected(SLOW)).locks.lock(PAIR);
        await eventually(async () => {
          const holder = await database.holder(PAIR);
          return holder !== client.session || (await database.stored(PAIR))?.firstArrival;
        });
        reading.letGo();
        expect(await released).toBe(true);
        await (await waiting).unlock();
      }
    },
  );

  it('wakes a waiter whose stream was open before, and who arrives again and again', async () => {
    const a = await database.connected(SLOW);
    const b = await database.connected(SLOW);
    const turns: string[] = [];
    const take = async (name: string, { locks }: typeof a): Promise<void> => {
      for (let turn = 0; turn < 50; turn += 1) await locks.exec({ ...PAIR, fn: () => void turns.push(name) });
    };
    await Promise.all([take('a', a), take('b', b)]);
    expect(turns.filter((name) => name === 'a')).toHaveLength(50);
    expect(turns).toHaveLength(100);
  });
});

describe('S12: 1,000 waiters in one process', () => {
  it.each([1, 10, 100])(
    'on %i keys share one stream, and while they wait they use one connection',
    async (keysCount) => {
      const holder = await database.connected(SLOW);
      const ids = Array.from({ length: keysCount }, (_, id) => id);
      const holds = await Promise.all(ids.map((id) => holder.locks.lock({ ...PAIR, id })));
      const wire = await wired(SLOW);
      const { mongo, locks } = wire.client;
      let usedCount = 0;
      mongo.on('connectionCheckedOut', () => {
        usedCount += 1;
      });
      mongo.on('connectionCheckedIn', () => {
        usedCount -= 1;
      });
      const orders = ids.map((): number[] => []);
      const waiters = Array.from({ length: 1_000 }, (_, number) => {
        const id = number % keysCount;
        return locks.exec({ ...PAIR, id, fn: () => void orders[id]?.push(number) });
      });
      await eventually(async () => {
        const counts = await Promise.all(ids.map((id) => database.waitersCount({ ...PAIR, id })));
        return counts.reduce((sum, count) => sum + count, 0) === 1_000;
      });
      await eventually(() => usedCount === 1);
      expect(wire.wire.openedCount).toBe(1);
      expect(await openCursors(database.observer, database.name)).toHaveLength(1);
      await Promise.all(holds.map((lock) => lock.unlock()));
      await Promise.all(waiters);
      expect(wire.wire.openedCount).toBe(1);
      // The tickets of those served last may still be on their way out.
      await eventually(() => usedCount === 1);
      for (const order of orders) expect(order).toEqual(order.toSorted((a, b) => a - b));
    },
  );
});

describe('S14: a listener that throws', () => {
  it('harms neither the stream nor what it was told of', async () => {
    const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
    const { wire, client } = await wired(SLOW);
    client.expectsErrors = true;
    const names: LockEventName[] = ['waiting', 'granted', 'released', 'stream:opened', 'session:opened'];
    for (const name of names) {
      client.locks.on(name, () => {
        throw new Error(`thrown by a listener of ${name}`);
      });
    }
    const first = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const others = (await database.connected(SLOW)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 2);
    const second = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 3);
    await holder.unlock();
    await (await first).unlock();
    await (await others).unlock();
    await (await second).unlock();
    expect(wire.openedCount).toBe(1);
    expect(wire.facts).toHaveLength(2);
    expect(client.logged.flat().join()).toContain('thrown by a listener of granted');
  });

  it('inside the library harms the stream as little: the next event is told', async () => {
    const holder = await (await database.connected(SLOW)).locks.lock(PAIR);
    const { wire, client } = await wired(SLOW);
    const first = client.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const others = await (await database.connected(SLOW)).locks.lock({ ...PAIR, id: 'other' });
    const second = client.locks.lock({ ...PAIR, id: 'other' });
    await database.untilWaiting({ ...PAIR, id: 'other' }, 1);
    wire.replaceFact({}, (_, tell) => {
      tell();
      throw new Error('thrown at the port');
    });
    await holder.unlock();
    await (await first).unlock();
    await others.unlock();
    await (await second).unlock();
    expect(wire.openedCount).toBe(1);
    expect(client.seen('stream:interrupted')).toEqual([]);
  });
});

describe('Q11: a key that is stuck', () => {
  it('by its holder keeps nobody of another key waiting', async () => {
    const stuck = await (await database.connected(SLOW)).locks.lock({ ...PAIR, id: 'stuck' });
    const { client } = await wired(SLOW);
    const waiting = client.locks.lock({ ...PAIR, id: 'stuck' });
    await database.untilWaiting({ ...PAIR, id: 'stuck' }, 1);
    await passOnManyKeys(client.locks);
    await stuck.unlock();
    await (await waiting).unlock();
  });

  it.each(['tryGrant', 'arrive', 'vacate', 'deleteTickets'] as const)(
    'by a command without an answer (%s) keeps nobody of another key waiting',
    async (method) => {
      const { wire, client } = await wired(SLOW);
      const stuck = { ...PAIR, id: 'stuck' };
      const isStuck = (request: object): boolean =>
        JSON.stringify(request).includes('stuck') || method === 'deleteTickets';
      const holder = method === 'tryGrant' ? null : await (await database.connected(SLOW)).locks.lock(stuck);
      const silent = wire.holdReply({ method, where: isStuck });
      const waiting = client.locks.exec({ ...stuck, fn: () => 'done' });
      if (method === 'vacate' || method === 'deleteTickets') {
        await database.untilWaiting(stuck, 1);
        await holder?.unlock();
      }
      await silent.reached();
      await passOnManyKeys(client.locks);
      silent.letGo();
      if (method === 'arrive') await holder?.unlock();
      expect(await waiting).toBe('done');
    },
  );

  /** Another client and this one hand twenty other keys to each other. */
  async function passOnManyKeys(locks: {
    lock: (pair: { resource: string; id: number }) => Promise<{ unlock(): Promise<boolean> }>;
  }): Promise<void> {
    const ids = Array.from({ length: 20 }, (_, id) => id);
    const other = await database.connected(SLOW);
    const holds = await Promise.all(ids.map((id) => other.locks.lock({ ...PAIR, id })));
    const waiting = ids.map((id) => locks.lock({ resource: PAIR.resource, id }));
    await Promise.all(ids.map((id) => database.untilWaiting({ ...PAIR, id }, 1)));
    await Promise.all(holds.map((lock) => lock.unlock()));
    const locked = await Promise.all(waiting);
    expect(await Promise.all(locked.map((lock) => lock.unlock()))).toEqual(ids.map(() => true));
  }
});

itLeavesNothingBehind(database);
