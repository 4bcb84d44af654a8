/** What locking costs, counted by the driver's command monitoring and by the oplog: exact numbers, not rates. */
import type { Lock } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { given, itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, realPause, rejection } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';
import { openCursors, storedLeftovers } from '../../support/leaks.js';
import { oplogEnd, oplogSince } from '../../support/oplog.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
/** So long that no heartbeat and no patrol falls into what is counted. */
const QUIET = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };

/** Nothing is on its way at this client's ports. */
async function untilAnswered(...clients: TestClient[]): Promise<void> {
  await eventually(() => clients.every(({ ports }) => ports.commandsCount === 0));
}

function writes({ commands }: TestClient): string[] {
  return commands.names.filter((name) => !name.startsWith('aggregate'));
}

/** A hundred at a time: as many as the connection has room for, so that none waits long enough to be sent again. */
async function inParts<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += 100) {
    results.push(...(await Promise.all(items.slice(start, start + 100).map(work))));
  }
  return results;
}

/** A holder, and a caller of another client that waits for it, all of its reads done. */
async function handedOver(): Promise<{ holder: TestClient; waiter: TestClient; lock: Lock; waiting: Promise<Lock> }> {
  const holder = await database.connected(QUIET);
  const waiter = await database.connected(QUIET);
  const lock = await holder.locks.lock(pair);
  const waiting = waiter.locks.lock(pair);
  await database.untilWaiting(pair, 1);
  await untilAnswered(holder, waiter);
  return { holder, waiter, lock, waiting };
}

/** A hold that came from the queue, and a caller of another client that came behind it, all reads done. */
async function heldBefore(): Promise<{ holder: TestClient; waiter: TestClient; mine: Lock; behind: Promise<Lock> }> {
  const { holder, waiter, lock, waiting } = await handedOver();
  await lock.unlock();
  const mine = await waiting;
  // Its own ticket is deleted beside, and would be counted as one that waits.
  await eventually(async () => (await database.waitersCount(pair)) === 0);
  const behind = holder.locks.lock(pair);
  await database.untilWaiting(pair, 1);
  await untilAnswered(holder, waiter);
  return { holder, waiter, mine, behind };
}

describe('without contention', () => {
  it('lock is one command, and unlock is one command, after connect', async () => {
    const { locks, commands } = await database.connected(QUIET);
    for (let round = 0; round < 3; round += 1) {
      const lock = await locks.lock(pair);
      expect(commands.names).toEqual(['findAndModify']);
      commands.clear();
      await lock.unlock();
      expect(commands.names).toEqual(['findAndModify']);
      commands.clear();
    }
  });

  it('tryLock and exec cost the same', async () => {
    const { locks, commands } = await database.connected(QUIET);
    const lock = given(await locks.tryLock(pair));
    expect(commands.names).toEqual(['findAndModify']);
    await lock.unlock();
    commands.clear();
    await locks.exec({ ...pair, fn: () => expect(commands.names).toEqual(['findAndModify']) });
    expect(commands.names).toEqual(['findAndModify', 'findAndModify']);
  });

  it('lock and unlock are one oplog entry each', async () => {
    const { locks } = await database.connected(QUIET);
    const start = await oplogEnd(database.observer);
    const lock = await locks.lock(pair);
    expect(await oplogSince(database.observer, database.name, start)).toEqual(['i dlocks']);
    await lock.unlock();
    await (await locks.lock(pair)).unlock();
    expect(await oplogSince(database.observer, database.name, start)).toEqual([
      'i dlocks',
      'u dlocks',
      'u dlocks',
      'u dlocks',
    ]);
  });

  it('an unlock that comes second sends nothing', async () => {
    const { locks, commands } = await database.connected(QUIET);
    const lock = await locks.lock(pair);
    await lock.unlock();
    commands.clear();
    await lock.unlock();
    expect(commands.all).toEqual([]);
  });

  it('100 callers of one process that come together are served by two commands and two oplog entries', async () => {
    const { locks, commands } = await database.connected(QUIET);
    const start = await oplogEnd(database.observer);
    await Promise.all(Array.from({ length: 100 }, () => locks.exec({ ...pair, fn: () => 1 })));
    expect(commands.names).toEqual(['findAndModify', 'findAndModify']);
    expect(await oplogSince(database.observer, database.name, start)).toEqual(['i dlocks', 'u dlocks']);
  });
});

describe('a handoff', () => {
  it('is one command of the releaser between unlock and its answer, where the lock was free when it came', async () => {
    const { holder, lock, waiting } = await handedOver();
    holder.commands.clear();
    expect(await lock.unlock()).toBe(true);
    expect(holder.commands.names).toEqual(['findAndModify']);
    await (await waiting).unlock();
  });

  it('is one command of the releaser also where the lock came to it from the queue', async () => {
    const { waiter, mine, behind } = await heldBefore();
    // It looked at the queue behind it when its hold began; nobody was there then, so the release finds out.
    waiter.commands.clear();
    expect(await mine.unlock()).toBe(true);
    expect(waiter.commands.names).toEqual(['findAndModify']);
    await (await behind).unlock();
  });

  it('to whom had waited already when the hold began is one update', async () => {
    const { holder, waiter, lock, waiting } = await handedOver();
    const behind = holder.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    await lock.unlock();
    const mine = await waiting;
    await untilAnswered(holder, waiter);
    waiter.commands.clear();
    expect(await mine.unlock()).toBe(true);
    expect(waiter.commands.names).toEqual(['update']);
    await (await behind).unlock();
  });

  it('costs the new holder no command before its fn runs', async () => {
    const { holder, waiter, lock, waiting } = await handedOver();
    const third = holder.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    waiter.commands.clear();
    let sent: readonly string[] | null = null;
    const running = waiting.then((mine) => {
      sent = waiter.commands.names;
      return mine.unlock();
    });
    await lock.unlock();
    await running;
    expect(sent).toEqual([]);
    await (await third).unlock();
  });

  it('goes on while the deletion of the ticket it came by is on its way, and who finds that ticket passes it on', async () => {
    const deletions = new Gate();
    const holder = await database.connected(QUIET);
    const hooks = hooked({ deleteTickets: (send) => deletions.pass().then(send) });
    const waiter = await database.connected(QUIET, hooks);
    const lock = await holder.locks.lock(pair);
    const waiting = waiter.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    const behind = holder.locks.lock(pair);
    await database.untilWaiting(pair, 2);
    await lock.unlock();
    expect(await (await waiting).unlock()).toBe(true);
    const last = await behind;
    expect(deletions.arrivedCount).toBe(1);
    await untilAnswered(holder);
    expect(await last.unlock()).toBe(true);
    // Granted once more to the ticket that was served: it is passed on when it is deleted, lest others find it again.
    expect(await database.holder(pair)).toBe(waiter.session);
    deletions.open();
    await eventually(async () => (await database.holder(pair)) === null);
    expect((await database.stored(pair))?.fence).toBe(last.fencingToken + 1);
  });

  it('between two processes that cannot delete their tickets comes to a stop, instead of going to and fro', async () => {
    const deletions = new Gate();
    const hooks = hooked({ deleteTickets: (send) => deletions.pass().then(send) });
    const holder = await database.connected(QUIET);
    const stuck = [await database.connected(QUIET, hooks), await database.connected(QUIET, hooks)];
    const lock = await holder.locks.lock(pair);
    const served: Promise<unknown>[] = [];
    for (const { locks } of stuck) {
      served.push(locks.exec({ ...pair, fn: () => {} }));
      await database.untilWaiting(pair, served.length);
    }
    const behind = holder.locks.lock(pair);
    await database.untilWaiting(pair, 3);
    await lock.unlock();
    await Promise.all(served);
    // Each was served once; the first is then granted its ticket again, and waits for the deletion.
    await eventually(() => deletions.arrivedCount >= 3);
    await realPause(300);
    const handoffs = stuck.flatMap(({ commands }) => commands.names).filter((name) => name === 'update');
    expect(handoffs.length).toBeLessThanOrEqual(4);
    deletions.open();
    await (await behind).unlock();
  });

  it('with a hold of 0 needs one read at most, and no more than four commands a grant', async () => {
    const clients = [await database.connected(QUIET), await database.connected(QUIET)] as const;
    const [first, second] = clients;
    const lock = await first.locks.lock(pair);
    const grants: Promise<unknown>[] = [];
    for (let index = 0; index < 20; index += 1) {
      grants.push((clients[index % 2] ?? second).locks.exec({ ...pair, fn: () => {} }));
      await database.untilWaiting(pair, index + 1);
    }
    await untilAnswered(first, second);
    for (const { commands } of clients) commands.clear();
    await lock.unlock();
    await Promise.all(grants);
    await untilAnswered(first, second);
    const sent = clients.flatMap(({ commands }) => commands.names);
    const reads = sent.filter((name) => name.startsWith('aggregate'));
    const releases = sent.filter((name) => ['update', 'findAndModify'].includes(name));
    expect(reads.length).toBeLessThanOrEqual(releases.length);
    // One handoff, one deletion and one read each; more only where a ticket is found before it is deleted.
    expect(sent.length).toBeLessThanOrEqual(4 * grants.length);
  });

  it('is followed by one update where the releaser comes again at once: it knows that the lock is held', async () => {
    const { waiter, mine, behind } = await heldBefore();
    waiter.commands.clear();
    await mine.unlock();
    const again = waiter.locks.lock(pair);
    const theirs = await behind;
    await database.untilWaiting(pair, 1);
    await untilAnswered(waiter);
    expect(waiter.commands.names).toEqual(['findAndModify', 'update']);
    await theirs.unlock();
    await (await again).unlock();
  });

  it('is followed by an attempt where the releaser only tries', async () => {
    const { waiter, mine, behind } = await heldBefore();
    waiter.commands.clear();
    await mine.unlock();
    expect(await waiter.locks.tryLock(pair)).toBeNull();
    expect(writes(waiter)).toEqual(['findAndModify', 'findAndModify']);
    await (await behind).unlock();
  });

  it('has the ticket deleted and the queue behind it read while the lock is held', async () => {
    const { waiter, lock, waiting } = await handedOver();
    waiter.commands.clear();
    await lock.unlock();
    const mine = await waiting;
    await untilAnswered(waiter);
    expect([...waiter.commands.names].sort()).toEqual(['aggregate', 'delete']);
    await mine.unlock();
  });

  it('is five oplog entries from arrival to release: ticket, mark, grant, ticket deleted, release', async () => {
    const { lock, waiting, waiter } = await handedOver();
    await lock.unlock();
    await (await waiting).unlock();
    const next = await waiter.locks.lock(pair);
    const start = await oplogEnd(database.observer);
    const other = await database.connected(QUIET);
    const mine = other.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await next.unlock();
    await (await mine).unlock();
    await untilAnswered(other);
    const entries = await oplogSince(database.observer, database.name, start);
    expect(entries.filter((entry) => entry.endsWith(' dlocks')).sort()).toEqual([
      'd dlocks',
      'i dlocks',
      'u dlocks',
      'u dlocks',
      'u dlocks',
    ]);
  });

  it('costs the same with 10 and with 60 waiters in the queue, and with 200 locks held beside (INV-10)', async () => {
    const costs: number[] = [];
    for (const [waitersCount, heldCount] of [
      [10, 0],
      [60, 0],
      [10, 200],
    ] as const) {
      const clients = [
        await database.connected({ ...QUIET, runMaxCount: 1 }),
        await database.connected({ ...QUIET, runMaxCount: 1 }),
      ] as const;
      const [first, second] = clients;
      const beside = Array.from({ length: heldCount }, (_, id) => first.locks.lock({ resource: 'beside', id }));
      const held = await Promise.all(beside);
      const lock = await first.locks.lock(pair);
      const served: Promise<unknown>[] = [];
      for (let index = 0; index < waitersCount; index += 1) {
        served.push((clients[index % 2] ?? second).locks.exec({ ...pair, fn: () => untilAnswered(first, second) }));
        await database.untilWaiting(pair, index + 1);
      }
      await untilAnswered(first, second);
      for (const { commands } of clients) commands.clear();
      await lock.unlock();
      await Promise.all(served);
      await untilAnswered(first, second);
      costs.push((first.commands.sent.length + second.commands.sent.length) / waitersCount);
      await Promise.all(held.map((other) => other.unlock()));
    }
    // Per waiter: its ticket deleted, its look at the queue, its handoff; once in all the first release and the last.
    const [few = 0, many = 0, beside = 0] = costs;
    expect(few).toBeLessThanOrEqual(3.2);
    expect(many).toBeLessThanOrEqual(few);
    expect(beside).toBeLessThanOrEqual(few);
  });
});

describe('a burst of 1,000 callers of one process', () => {
  const burst = async ({ locks }: TestClient): Promise<unknown> =>
    Promise.all(Array.from({ length: 1_000 }, () => locks.exec({ ...pair, fn: () => {} })));

  it('is two commands where the lock is free', async () => {
    const client = await database.connected(QUIET);
    await burst(client);
    expect(client.commands.names).toEqual(['findAndModify', 'findAndModify']);
  });

  it('is two writes to arrive where it is held, and four with all of them served', async () => {
    const holder = await database.connected(QUIET);
    const waiter = await database.connected(QUIET);
    const lock = await holder.locks.lock(pair);
    const calls = burst(waiter);
    await database.untilWaiting(pair, 1_000);
    expect(writes(waiter)).toEqual(['findAndModify', 'update']);
    await lock.unlock();
    await calls;
    await untilAnswered(waiter);
    expect(writes(waiter).sort()).toEqual(['delete', 'findAndModify', 'findAndModify', 'update']);
  });

  it('is two writes to arrive also where a ticket bears 256 of them: one command writes several', async () => {
    const holder = await database.connected(QUIET);
    const waiter = await database.connected({ ...QUIET, runMaxCount: 256 });
    const lock = await holder.locks.lock(pair);
    const calls = burst(waiter);
    await database.untilWaiting(pair, 1_000);
    expect(writes(waiter)).toEqual(['findAndModify', 'update']);
    await lock.unlock();
    await calls;
  });
});

describe('callers of one process that come again as soon as they were served', () => {
  it('share an attempt and a release: two commands for all of them', async () => {
    const { locks, commands } = await database.connected(QUIET);
    const callersCount = 50;
    const roundsCount = 40;
    const again = async (): Promise<void> => {
      for (let round = 0; round < roundsCount; round += 1) await locks.exec({ ...pair, fn: () => {} });
    };
    await Promise.all(Array.from({ length: callersCount }, again));
    // The last caller of a run comes again only when its release is acknowledged, and is served with the next but one.
    expect(commands.names.length).toBeLessThanOrEqual(2 * (roundsCount + 2) * 1.5);
  });
});

describe('waiting', () => {
  it('is one attempt and one arrival for 200 callers of a process that come together', async () => {
    const holder = await database.connected(QUIET);
    const waiter = await database.connected(QUIET);
    const lock = await holder.locks.lock(pair);
    const start = await oplogEnd(database.observer);
    const calls = Array.from({ length: 200 }, () => waiter.locks.exec({ ...pair, fn: () => 1 }));
    await database.untilWaiting(pair, 200);
    expect(writes(waiter)).toEqual(['findAndModify', 'update']);
    expect(await oplogSince(database.observer, database.name, start)).toEqual(['i dlocks', 'u dlocks']);
    await lock.unlock();
    await Promise.all(calls);
  });

  it('patrols with two reads, however many callers and keys', async () => {
    const holder = await database.connected();
    const waiter = await database.connected({ ...QUIET, patrolIntervalMS: 100 });
    const pairs = Array.from({ length: 100 }, (_, id) => ({ resource: 'many', id }));
    const held = await Promise.all(pairs.map((one) => holder.locks.lock(one)));
    const calls = [...pairs, ...pairs].map((one) => waiter.locks.exec({ ...one, fn: () => 1 }));
    const tickets = database.db.collection('dlocks');
    await eventually(async () => {
      const waiting = await tickets.find({ key: { $exists: true } }).toArray();
      return waiting.reduce((sum, { callers }) => sum + Number(callers), 0) === calls.length;
    });
    await untilAnswered(waiter);
    waiter.commands.clear();
    await eventually(() => waiter.commands.sent.length >= 6);
    const ns = waiter.commands.sent.slice(0, 6).map(({ name, collection }) => `${name} ${collection}`);
    expect(new Set(ns)).toEqual(new Set(['aggregate dlocks', 'aggregate dlocks.sessions']));
    expect(ns.filter((read) => read === 'aggregate dlocks')).toHaveLength(3);
    await Promise.all(held.map((lock) => lock.unlock()));
    await Promise.all(calls);
  });

  it('is ended by an abort with one update of its note, one delete, and an audit', async () => {
    const { waiter, lock, waiting } = await handedOver();
    await lock.unlock();
    const mine = await waiting;
    const third = await database.connected(QUIET);
    const controller = new AbortController();
    const leaving = rejection(third.locks.lock({ ...pair, signal: controller.signal }));
    await database.untilWaiting(pair, 1);
    await untilAnswered(third, waiter);
    third.commands.clear();
    controller.abort('gone');
    await leaving;
    await database.untilWaiting(pair, 0);
    await untilAnswered(third);
    expect(third.commands.names).toEqual(['update', 'delete', 'aggregate']);
    await mine.unlock();
  });
});

describe('tryLock on a lock that is held', () => {
  it('is one command to its answer and writes nothing; a look at the holder follows once in a patrol', async () => {
    const holder = await database.connected(QUIET);
    const other = await database.connected(QUIET);
    const lock = await holder.locks.lock(pair);
    const start = await oplogEnd(database.observer);
    for (let call = 0; call < 20; call += 1) expect(await other.locks.tryLock(pair)).toBeNull();
    await untilAnswered(other);
    expect(writes(other)).toEqual(Array.from({ length: 20 }, () => 'findAndModify'));
    expect(other.commands.names.filter((name) => name.startsWith('aggregate'))).toEqual([
      'aggregate',
      'aggregate.sessions',
    ]);
    expect(await oplogSince(database.observer, database.name, start)).toEqual([]);
    await lock.unlock();
  });

  it('sends nothing where the holder is of the same client', async () => {
    const { locks, commands } = await database.connected(QUIET);
    const lock = await locks.lock(pair);
    commands.clear();
    expect(await locks.tryLock(pair)).toBeNull();
    expect(commands.all).toEqual([]);
    await lock.unlock();
  });
});

describe('a heartbeat', () => {
  it('is one write and one read, also with 1,000 locks held', async () => {
    const client = await database.connected({ ...QUIET, heartbeatIntervalMS: 1_000 });
    const ids = Array.from({ length: 1_000 }, (_, id) => id);
    const held = await inParts(ids, (id) => client.locks.lock({ resource: 'many', id }));
    const renewed = (): boolean => client.commands.names.includes('findAndModify.sessions');
    await untilAnswered(client);
    client.commands.clear();
    const start = await oplogEnd(database.observer);
    await eventually(renewed);
    await untilAnswered(client);
    expect([...client.commands.names].sort()).toEqual(['aggregate', 'findAndModify.sessions']);
    expect(await oplogSince(database.observer, database.name, start)).toEqual(['u dlocks.sessions']);
    expect(held.every(({ held: still }) => still)).toBe(true);
    await inParts(held, (lock) => lock.unlock());
  });
});

describe('an idle client', () => {
  const BUSY = { leaseDurationMS: 3_000, heartbeatIntervalMS: 100, patrolIntervalMS: 100, idleMS: 500 };

  it('sends nothing any more after idleMS, its session and its stream ended, whatever it did before', async () => {
    const connected = await database.connected(BUSY);
    const held = await database.connected(BUSY);
    const waited = await database.connected(BUSY);
    const lock = await held.locks.lock(pair);
    const waiting = waited.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    await (await waiting).unlock();
    for (const client of [connected, held, waited]) {
      await eventually(() => client.seen('session:ended').length === 1);
      await untilAnswered(client);
    }
    expect(waited.seen('stream:closed')).toHaveLength(1);
    expect(await storedLeftovers(database.db)).toEqual([]);
    await eventually(async () => (await openCursors(database.observer, database.name)).length === 0);
    for (const { ports, commands } of [connected, held, waited]) {
      await eventually(() => ports.open.length === 0);
      commands.clear();
    }
    await realPause(500);
    expect([connected, held, waited].flatMap(({ commands }) => commands.all)).toEqual([]);
  });

  it('starts again with the next call, under a new session, without making sure of the indexes again', async () => {
    const client = await database.connected(BUSY);
    const before = client.session;
    await eventually(() => client.seen('session:ended').length === 1);
    await untilAnswered(client);
    client.commands.clear();
    const lock = await client.locks.lock(pair);
    expect(client.session).not.toBe(before);
    expect(client.commands.names).toEqual(['findAndModify.sessions', 'findAndModify']);
    await lock.unlock();
  });

  it('that still holds has closed its stream, once nobody has waited for idleMS', async () => {
    const holder = await database.connected(QUIET);
    const client = await database.connected(BUSY);
    const lock = await holder.locks.lock(pair);
    const waiting = client.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await lock.unlock();
    const mine = await waiting;
    await eventually(() => client.seen('stream:closed').length === 1);
    await eventually(async () => (await openCursors(database.observer, database.name)).length === 0);
    expect(client.seen('session:ended')).toEqual([]);
    expect(mine.held).toBe(true);
    await mine.unlock();
  });

  it('is none while a lock is held or waited for: heartbeats go on, and the stream stays', async () => {
    const holder = await database.connected(BUSY);
    const waiter = await database.connected(BUSY);
    const lock = await holder.locks.lock(pair);
    const waiting = waiter.locks.lock(pair);
    await realPause(1_200);
    for (const client of [holder, waiter]) expect(client.seen('session:ended')).toEqual([]);
    expect(waiter.seen('stream:closed')).toEqual([]);
    expect(waiter.ports.streamsCount).toBe(1);
    expect(lock.held).toBe(true);
    await lock.unlock();
    await (await waiting).unlock();
  });
});

itLeavesNothingBehind(database);
