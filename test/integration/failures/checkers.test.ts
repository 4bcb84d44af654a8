/** The checkers that the tests of failures rely on, shown to fail when they should: what they would never see cannot be relied on. */
import { describe, expect, it } from 'vitest';
import { readKey } from '#core/protocol/key.js';
import { itLeavesNothingBehind, useDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { endOrphanedCursors, openCursors, storedLeftovers } from '../../support/leaks.js';
import { useWires } from '../../support/wrapped-ports.js';

const database = useDatabase(import.meta.url);
const wired = useWires(database);
const PAIR = { resource: 'account', id: 7 };
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };

describe('the check of what is left', () => {
  it('finds tickets, grants, living sessions and streams', async () => {
    const lock = await (await database.connected(SLOW)).locks.lock(PAIR);
    const waiting = (await database.connected(SLOW)).locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    const left = await storedLeftovers(database.db);
    expect(left.map((what) => what.split(' ')[0]).sort()).toEqual(['grant', 'session', 'session', 'ticket']);
    expect(await openCursors(database.observer, database.name)).toHaveLength(1);
    await lock.unlock();
    await (await waiting).unlock();
  });

  it('finds the cursor of a client that was closed under its stream, until that is ended', async () => {
    const cursor = await database.observer.db(database.name).collection('other').watch();
    await cursor.tryNext();
    expect(await openCursors(database.observer, database.name)).toHaveLength(1);
    await endOrphanedCursors(database.observer, database.name);
    expect(await openCursors(database.observer, database.name)).toEqual([]);
    await cursor.close();
  });
});

describe('a hand on the ports', () => {
  it('takes as many calls as it was told, of the method and the key it was told, and no other', async () => {
    const { wire, client } = await wired(SLOW);
    const other = { ...PAIR, id: 'other' };
    const held = wire.holdReply({ method: 'tryGrant', key: readKey(other), times: 2 });
    await (await client.locks.lock(PAIR)).unlock();
    expect(held.taken).toEqual([]);
    const first = client.locks.lock(other);
    await held.reached();
    // Executed, and not answered.
    expect(await database.holder(other)).toBe(client.session);
    expect(client.seen('granted')).toHaveLength(1);
    held.letGo();
    await (await first).unlock();
    await (await client.locks.lock(other)).unlock();
    await (await client.locks.lock(other)).unlock();
    expect(held.taken).toHaveLength(2);
  });

  it('drops a request before it is executed and a reply after, repeats a request when it is told, and counts them all', async () => {
    const { wire, client } = await wired(SLOW);
    client.expectsErrors = true;
    const [request, reply] = [wire.dropRequest({ method: 'tryGrant' }), wire.dropReply({ method: 'tryGrant' })];
    const repeated = wire.repeatRequest({ method: 'vacate' });
    const lock = await client.locks.lock(PAIR);
    expect(wire.callsOf('tryGrant').map(({ state }) => state)).toEqual(['failed', 'failed', 'answered']);
    expect([request.taken, reply.taken].map((taken) => taken.length)).toEqual([1, 1]);
    await lock.unlock();
    const next = await client.locks.lock(PAIR);
    repeated.letGo();
    // A copy of the release that comes after the next grant finds that it is not meant.
    await eventually(() => repeated.copiesDone.length === 1);
    expect(await Promise.all(repeated.copiesDone)).toEqual([null]);
    expect(next.held).toBe(true);
    await next.unlock();
  });

  it('keeps facts back, drops and repeats them', async () => {
    const holder = await database.connected(SLOW);
    const { wire, client } = await wired(SLOW);
    let lock = await holder.locks.lock(PAIR);
    const waiting = client.locks.lock(PAIR);
    await wire.untilArrived();
    const kept = wire.holdFact({ key: readKey(PAIR) });
    await lock.unlock();
    await kept.reached();
    expect(client.seen('granted')).toEqual([]);
    kept.letGo();
    lock = await waiting;
    expect(wire.facts).toEqual([{ key: readKey(PAIR), grant: (await database.stored(PAIR))?.grant }]);
    await lock.unlock();
  });
});

itLeavesNothingBehind(database);
