/**
 * `releaseLostLocks`: when a client passes on what it has lost, on the real server. Sessions are lost because their
 * renewals are held back at the port; everything else reaches the server, so that the client could pass its locks on at
 * once.
 */
import type { Lock, LockSettings } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually } from '../../support/eventually.js';
import { useWires, type Wire } from '../../support/wrapped-ports.js';

const database = useDatabase(import.meta.url);
const wired = useWires(database);
const pair = { resource: 'account', id: 7 };
const another = { resource: 'account', id: 8 };
const SETTINGS = { leaseDurationMS: 2_000, clockSkewMS: 60_000, idleMS: 60_000 } satisfies LockSettings;
const KEEPS = { ...SETTINGS, releaseLostLocks: 'on-unlock' } satisfies LockSettings;

interface Holder {
  readonly wire: Wire;
  readonly client: TestClient;
  readonly lock: Lock;
}

async function holder(settings: LockSettings): Promise<Holder> {
  const { wire, client } = await wired(settings);
  return { wire, client, lock: await client.locks.lock(pair) };
}

/** One of another process that waits for a lock. */
async function follower(which = pair): Promise<{ client: TestClient; next: Promise<Lock> }> {
  const client = await database.connected({ ...SETTINGS, leaseDurationMS: 30_000 });
  const next = client.locks.lock(which);
  await database.untilWaiting(which, 1);
  return { client, next };
}

/**
 * The lease is not renewed any more. Resolves when the loss was told, and the client has begun to clear up after its
 * old session.
 */
async function loseSession({ wire, lock }: Holder): Promise<void> {
  wire.holdRequest({ method: 'renewSession', times: Number.POSITIVE_INFINITY });
  await eventually(() => lock.signal.aborted);
  await eventually(() => {
    const cleared = wire.calls.findLastIndex(({ method }) => method === 'deleteTicketsOf');
    const since = cleared === -1 ? [] : wire.calls.slice(cleared);
    return since.some(({ method, state }) => method === 'readGrantsOf' && state === 'answered');
  });
}

/** Whether this client has written anything by which others may have the lock. */
function hasPassedOn(wire: Wire): boolean {
  return (['condemnSession', 'handoff', 'vacate'] as const).some((method) => wire.callsOf(method).length > 0);
}

describe('a client that passes on lost locks at once', () => {
  it('does so while the holder goes on', async () => {
    const held = await holder(SETTINGS);
    const { next } = await follower();
    await loseSession(held);
    expect((await next).held).toBe(true);
    expect(hasPassedOn(held.wire)).toBe(true);
    expect(await held.lock.unlock()).toBe(false);
    await (await next).unlock();
  });
});

describe('a client that passes on lost locks when they are unlocked', () => {
  it('does so when the holder has unlocked, and not before', async () => {
    const held = await holder(KEEPS);
    const { next, client } = await follower();
    const session = await database.holder(pair);
    await loseSession(held);
    expect(hasPassedOn(held.wire)).toBe(false);
    expect([await database.holder(pair), client.seen('granted')]).toEqual([session, []]);
    expect(await held.lock.unlock()).toBe(false);
    expect((await next).held).toBe(true);
    // By this client, and not because others have found its lease lapsed.
    expect(held.wire.callsOf('handoff')).toHaveLength(1);
    expect(client.seen('session:reaped')).toEqual([]);
    await (await next).unlock();
  });

  it('does so when the function of an exec has settled', async () => {
    const { wire, client } = await wired(KEEPS);
    let end = (): void => {};
    let lock: Lock | undefined;
    const running = client.locks.exec({
      ...pair,
      fn: (context) => {
        lock = context.lock;
        return new Promise<void>((resolve) => {
          end = resolve;
        });
      },
    });
    running.catch(() => {});
    const { next } = await follower();
    await loseSession({ wire, client, lock: lock as Lock });
    expect(hasPassedOn(wire)).toBe(false);
    end();
    await expect(running).rejects.toMatchObject({ code: 'LOCK_LOST' });
    expect((await next).held).toBe(true);
    expect(wire.callsOf('handoff')).toHaveLength(1);
    await (await next).unlock();
  });

  it('waits for all holders of the session', async () => {
    const held = await holder(KEEPS);
    const second = await held.client.locks.lock(another);
    const { next, client } = await follower();
    await loseSession(held);
    await held.lock.unlock();
    expect(hasPassedOn(held.wire)).toBe(false);
    expect(client.seen('granted')).toEqual([]);
    await second.unlock();
    expect((await next).held).toBe(true);
    await (await next).unlock();
  });

  it('keeps no place in a queue meanwhile: its own callers wait under a new session at once', async () => {
    const other = await database.connected({ ...SETTINGS, leaseDurationMS: 30_000 });
    const theirs = await other.locks.lock(another);
    const held = await holder(KEEPS);
    const session = String(await database.holder(pair));
    const waiting = held.client.locks.lock(another);
    await database.untilWaiting(another, 1);
    await loseSession(held);
    const tickets = database.db.collection<{ session: string }>('dlocks', { readConcern: { level: 'majority' } });
    await eventually(async () => {
      const sessions = await tickets.distinct('session');
      return sessions.length === 1 && sessions[0] !== session;
    });
    expect(await database.holder(pair)).toBe(session);
    await theirs.unlock();
    expect((await waiting).held).toBe(true);
    await held.lock.unlock();
    await (await waiting).unlock();
  });

  it('gives its own next caller the lock when it is unlocked, too', async () => {
    const held = await holder(KEEPS);
    const waiting = held.client.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await loseSession(held);
    await held.lock.unlock();
    const next = await waiting;
    expect(next.held).toBe(true);
    expect(next.fencingToken).toBeGreaterThan(held.lock.fencingToken);
    await next.unlock();
  });

  it('leaves the lock to others when its lease has lapsed, though nobody unlocks it', async () => {
    const held = await holder(KEEPS);
    const { next, client } = await follower();
    await loseSession(held);
    expect((await next).held).toBe(true);
    expect(hasPassedOn(held.wire)).toBe(false);
    await eventually(() => client.seen('session:reaped').length === 1);
    await (await next).unlock();
    await held.lock.unlock();
  });

  it('gives it up itself a lease and the clock skew later, where nobody else wants it', async () => {
    const held = await holder({ ...KEEPS, clockSkewMS: 0 });
    await loseSession(held);
    expect(await database.holder(pair)).not.toBeNull();
    await eventually(async () => (await database.holder(pair)) === null);
    expect(held.wire.callsOf('condemnSession')).toHaveLength(1);
  });

  it('closes when they have been unlocked, and passes them on then', async () => {
    const held = await holder({ ...KEEPS, leaseDurationMS: 60_000 });
    const { next, client } = await follower();
    const closing = held.client.locks.close();
    await eventually(() => held.lock.signal.aborted);
    expect(hasPassedOn(held.wire)).toBe(false);
    expect(client.seen('granted')).toEqual([]);
    await held.lock.unlock();
    await closing;
    expect((await next).held).toBe(true);
    await (await next).unlock();
  });

  it('closes by its local deadline where they are not, and leaves them to lapse', async () => {
    const held = await holder(KEEPS);
    const { next, client } = await follower();
    await held.client.locks.close();
    expect(hasPassedOn(held.wire)).toBe(false);
    expect((await next).held).toBe(true);
    await eventually(() => client.seen('session:reaped').length === 1);
    await (await next).unlock();
    expect(await held.lock.unlock()).toBe(false);
  });
});

describe('lock.reliableForMS', () => {
  it('is the time to the local deadline, and 0 when the lock is not held', async () => {
    const { lock } = await holder(SETTINGS);
    const deadlineMS = SETTINGS.leaseDurationMS * 0.9;
    expect(lock.reliableForMS).toBeGreaterThan(deadlineMS / 2);
    expect(lock.reliableForMS).toBeLessThanOrEqual(deadlineMS);
    await lock.unlock();
    expect(lock.reliableForMS).toBe(0);
  });

  it('is moved by each renewal', async () => {
    const { client, lock } = await holder(SETTINGS);
    const seen: number[] = [];
    client.locks.on('session:renewed', () => seen.push(lock.reliableForMS));
    await eventually(() => seen.length === 2);
    for (const reliableForMS of seen) expect(reliableForMS).toBeGreaterThan(SETTINGS.leaseDurationMS * 0.5);
    await lock.unlock();
  });
});

itLeavesNothingBehind(database);
