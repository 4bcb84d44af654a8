/** Holding: what a Lock says of itself, how it is given back, and how its holder learns that it was lost. */
import { type Lock, LockClosedError, LockInvalidArgumentError, LockLostError } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from '#core/base/clock.js';
import { readKey } from '#core/protocol/key.js';
import { given, itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
/** So that a loss that only the server knows of is noticed soon. */
const ATTENTIVE = { heartbeatIntervalMS: 100 };

/** A clock that a test can put forward, as a machine does that was suspended. */
class JumpingClock implements Clock {
  aheadMS = 0;
  setTimer: Clock['setTimer'] = (callback, delayMS) => systemClock.setTimer(callback, delayMS);
  nextTurn: Clock['nextTurn'] = () => systemClock.nextTurn();
  nowMS(): number {
    return systemClock.nowMS() + this.aheadMS;
  }
}

async function declareDead({ session }: TestClient): Promise<void> {
  const { matchedCount } = await database.db
    .collection<{ _id: string }>('dlocks.sessions')
    .updateOne({ _id: session }, { $set: { state: 'dead', until: new Date() } });
  expect(matchedCount).toBe(1);
}

async function untilLost(lock: Lock): Promise<LockLostError> {
  await eventually(() => lock.signal.aborted);
  return lock.signal.reason;
}

function lockDocuments() {
  return database.db.collection<{ _id: string; grant?: unknown }>('dlocks');
}

describe('a Lock', () => {
  it('has the own values of the caller, a token, and a signal that is not aborted', async () => {
    const { locks } = await database.connected();
    const id = { _bsontype: 'ObjectId', toHexString: () => '0123456789abcdef01234567' } as const;
    const lock = await locks.lock({ resource: 'account', id });
    expect(lock.resource).toBe('account');
    expect(lock.id).toBe(id);
    expect(Number.isSafeInteger(lock.fencingToken)).toBe(true);
    expect(lock.signal).toBeInstanceOf(AbortSignal);
    expect(lock.signal.aborted).toBe(false);
    expect(lock.signal).toBe(lock.signal);
    await lock.unlock();
  });

  it('has a higher token than every hold before, also where the lock document was deleted (INV-02, Q5)', async () => {
    const clients = [await database.connected(), await database.connected()];
    const tokens: number[] = [];
    for (let round = 0; round < 6; round += 1) {
      const lock = await (clients[round % 2] as TestClient).locks.lock(pair);
      tokens.push(lock.fencingToken);
      await lock.unlock();
      if (round !== 2) continue;
      await lockDocuments().deleteOne({ _id: readKey(pair) });
      // Tokens of a document made anew start from the server's clock: by hand, it must be a later second.
      await eventually(() => Date.now() / 1_000 > Math.floor(lock.fencingToken / 1_000_000) + 1);
    }
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
  });

  it('has a token of its own where callers of one process are served by one grant', async () => {
    const { locks } = await database.connected();
    const tokens: number[] = [];
    const fn = ({ fencingToken }: { fencingToken: number }): unknown => tokens.push(fencingToken);
    await Promise.all(Array.from({ length: 20 }, () => locks.exec({ ...pair, fn })));
    expect(tokens).toEqual([...new Set(tokens)].sort((a, b) => a - b));
    expect(tokens).toHaveLength(20);
  });

  it('is held for longer than its lease while its process lives, although others wait', async () => {
    const holder = await database.connected({ leaseDurationMS: 1_500 });
    const waiter = await database.connected({ leaseDurationMS: 1_500 });
    const lock = await holder.locks.lock(pair);
    expect(await rejection(waiter.locks.lock({ ...pair, timeoutMS: 2_500 }))).toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect(lock.held).toBe(true);
    expect(lock.signal.aborted).toBe(false);
    expect(await lock.unlock()).toBe(true);
  });
});

describe('unlock', () => {
  it('gives true, makes held false at the call, and does not abort the signal', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(pair);
    expect(lock.held).toBe(true);
    const unlocking = lock.unlock();
    expect(lock.held).toBe(false);
    expect(await unlocking).toBe(true);
    expect(lock.signal.aborted).toBe(false);
    expect(await database.holder(pair)).toBeNull();
  });

  it('gives one true among calls at the same time; the others wait for it and give false (INV-07)', async () => {
    const gate = new Gate();
    const late = async <T>(send: () => Promise<T>): Promise<T> => {
      await gate.pass();
      return send();
    };
    const { locks } = await database.connected({}, hooked({ vacate: late }));
    const lock = await locks.lock(pair);
    let settledCount = 0;
    const calls = [lock.unlock(), lock.unlock(), locks.unlock(lock), lock.unlock()];
    for (const call of calls) void call.then(() => (settledCount += 1));
    await eventually(() => gate.arrivedCount === 1);
    expect(settledCount).toBe(0);
    gate.open();
    expect(await Promise.all(calls)).toEqual([true, false, false, false]);
  });

  it('gives false afterwards, and never touches a later hold (INV-07)', async () => {
    const { locks } = await database.connected();
    const first = await locks.lock(pair);
    expect(await first.unlock()).toBe(true);
    const second = await locks.lock(pair);
    expect(await first.unlock()).toBe(false);
    expect(await locks.unlock(first)).toBe(false);
    expect(second.held).toBe(true);
    expect(await database.holder(pair)).not.toBeNull();
    await second.unlock();
  });

  it('counts as released where the grant is gone by then', async () => {
    const { locks, logged } = await database.connected();
    const lock = await locks.lock(pair);
    await lockDocuments().deleteOne({ _id: readKey(pair) });
    expect(await lock.unlock()).toBe(true);
    expect(logged).toEqual([]);
  });

  it('refuses a Lock of another client, which stays held, and whatever is no Lock', async () => {
    const one = await database.connected();
    const other = await database.connected();
    const lock = await one.locks.lock(pair);
    for (const foreign of [lock, null, undefined, {}, { unlock: () => true }, Object.create(lock) as Lock]) {
      const error = await rejection(other.locks.unlock(foreign as Lock));
      expect(error).toBeInstanceOf(LockInvalidArgumentError);
      expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument: 'lock' });
    }
    expect(lock.held).toBe(true);
    expect(await one.locks.unlock(lock)).toBe(true);
  });

  it('emits that it was released, and for how long it was held', async () => {
    const { locks, seen, events } = await database.connected();
    const lock = await locks.lock(pair);
    await lock.unlock();
    const [released] = seen('released');
    expect(released).toEqual({
      ...pair,
      fencingToken: lock.fencingToken,
      heldMS: expect.any(Number),
      session: expect.any(String),
    });
    expect(events.map(({ name }) => name)).toEqual(['session:opened', 'granted', 'released']);
  });

  it('gives false at the local deadline where no acknowledgement comes, and never rejects', async () => {
    const never = new Gate();
    const lost = async <T>(send: () => Promise<T>): Promise<T> => {
      await never.pass();
      return send();
    };
    const client = await database.connected(
      { leaseDurationMS: 1_000 },
      hooked({ vacate: lost, renewSession: lost, condemnSession: lost }),
    );
    client.expectsErrors = true;
    const lock = await client.locks.lock(pair);
    expect(await lock.unlock()).toBe(false);
    expect(client.logged.length).toBeGreaterThan(0);
    never.open();
    await eventually(async () => (await database.holder(pair)) === null);
  });
});

describe('await using', () => {
  it('unlocks at the end of the block', async () => {
    const { locks } = await database.connected();
    {
      await using lock = await locks.lock(pair);
      expect(lock.held).toBe(true);
    }
    expect(await database.holder(pair)).toBeNull();
  });

  it('unlocks where the block throws, and the error comes through', async () => {
    const { locks } = await database.connected();
    const block = async (): Promise<void> => {
      await using lock = await locks.lock(pair);
      throw new Error(`with token ${lock.fencingToken}`);
    };
    expect(await rejection(block())).toMatchObject({ message: expect.stringContaining('with token') });
    expect(await database.holder(pair)).toBeNull();
  });

  it('never rejects, also where the lock was unlocked, lost, or its client closed', async () => {
    const client = await database.connected(ATTENTIVE);
    const unlocked = await client.locks.lock({ resource: 'account', id: 'unlocked' });
    await unlocked.unlock();
    const lost = await client.locks.lock({ resource: 'account', id: 'lost' });
    await declareDead(client);
    await untilLost(lost);
    const closed = await client.locks.lock({ resource: 'account', id: 'closed' });
    await client.locks.close();
    const disposals = [unlocked, lost, closed].map((lock) => lock[Symbol.asyncDispose]());
    expect(await Promise.all(disposals)).toEqual([undefined, undefined, undefined]);
  });
});

describe('a lock that is lost', () => {
  it('aborts its signal with a LockLostError, is not held, and says so once (INV-06)', async () => {
    const client = await database.connected(ATTENTIVE);
    const lock = await client.locks.lock(pair);
    await declareDead(client);
    const reason = await untilLost(lock);
    expect(reason).toBeInstanceOf(LockLostError);
    expect(reason).toMatchObject({
      code: 'LOCK_LOST',
      retryable: false,
      ...pair,
      fencingToken: lock.fencingToken,
    });
    expect(lock.held).toBe(false);
    expect(await lock.unlock()).toBe(false);
    expect(client.seen('lost')).toEqual([expect.objectContaining({ ...pair, error: reason })]);
    expect(client.seen('released')).toEqual([]);
    expect(client.seen('session:lost')).toHaveLength(1);
  });

  it('is told to every holder of the client, when its session was declared dead by others', async () => {
    const client = await database.connected(ATTENTIVE);
    const locks = await Promise.all(Array.from({ length: 20 }, (_, id) => client.locks.lock({ resource: 'many', id })));
    await declareDead(client);
    await Promise.all(locks.map(untilLost));
    expect(locks.map(({ held }) => held)).toEqual(locks.map(() => false));
    expect(client.seen('lost')).toHaveLength(20);
  });

  it('is noticed when the session document was removed by hand', async () => {
    const client = await database.connected(ATTENTIVE);
    const lock = await client.locks.lock(pair);
    await database.db.collection<{ _id: string }>('dlocks.sessions').deleteOne({ _id: client.session });
    expect(await untilLost(lock)).toMatchObject({ code: 'LOCK_LOST' });
  });

  it('is noticed by the audit when the lock document was deleted by hand', async () => {
    const { locks, seen } = await database.connected(ATTENTIVE);
    const lock = await locks.lock(pair);
    await lockDocuments().deleteOne({ _id: readKey(pair) });
    expect(await untilLost(lock)).toMatchObject({ code: 'LOCK_LOST' });
    expect(seen('session:lost')).toEqual([]);
  });

  it('is noticed by the audit when the grant was given to somebody else, whose hold is not touched', async () => {
    const { locks } = await database.connected(ATTENTIVE);
    const lock = await locks.lock(pair);
    await lockDocuments().updateOne({ _id: readKey(pair) }, { $set: { grant: 'another/99/1:1' } });
    expect(await untilLost(lock)).toMatchObject({ code: 'LOCK_LOST' });
    expect(await lock.unlock()).toBe(false);
    expect(await database.holder(pair)).toBe('another');
    await lockDocuments().deleteOne({ _id: readKey(pair) });
  });

  it('is not held from the local deadline on, at once, whatever the timers do (P5)', async () => {
    const clock = new JumpingClock();
    const client = await database.connected({}, { clock });
    const lock = await client.locks.lock(pair);
    expect(lock.held).toBe(true);
    clock.aheadMS = 2_700;
    expect(lock.held).toBe(false);
    expect(await untilLost(lock)).toMatchObject({ code: 'LOCK_LOST' });
    expect(await lock.unlock()).toBe(false);
  });

  it('whose signal is first asked for afterwards has it aborted already', async () => {
    const client = await database.connected(ATTENTIVE);
    const lock = await client.locks.lock(pair);
    await declareDead(client);
    await eventually(() => client.seen('lost').length === 1);
    expect(lock.signal.aborted).toBe(true);
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', fencingToken: lock.fencingToken });
  });

  it('does not keep its client from locking again, under a new session, with a higher token', async () => {
    const client = await database.connected(ATTENTIVE);
    const lock = await client.locks.lock(pair);
    const before = client.session;
    await declareDead(client);
    await untilLost(lock);
    const again = await client.locks.lock({ ...pair, timeoutMS: 5_000 });
    expect(again.fencingToken).toBeGreaterThan(lock.fencingToken);
    expect(client.session).not.toBe(before);
    await again.unlock();
  });

  it('goes to who waits, and callers of the lost session that wait go on waiting and are served', async () => {
    const client = await database.connected(ATTENTIVE);
    const other = await database.connected(ATTENTIVE);
    const lock = await client.locks.lock(pair);
    const own = client.locks.lock({ ...pair, timeoutMS: 10_000 });
    await database.untilWaiting(pair, 1);
    const others = other.locks.lock({ ...pair, timeoutMS: 10_000 });
    await database.untilWaiting(pair, 2);
    await declareDead(client);
    await untilLost(lock);
    const tokens: number[] = [];
    for (const waiting of [own, others]) {
      void waiting.then(async (next) => {
        tokens.push(next.fencingToken);
        expect(await next.unlock()).toBe(true);
      });
    }
    await eventually(() => tokens.length === 2);
    expect(Math.min(...tokens)).toBeGreaterThan(lock.fencingToken);
  });
});

describe('a Lock of a closed client', () => {
  it('is not held, has its signal aborted because of the close, and unlocks to false', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(pair);
    await locks.close();
    expect(lock.held).toBe(false);
    expect(lock.signal.reason).toBeInstanceOf(LockLostError);
    expect(lock.signal.reason.cause).toBeInstanceOf(LockClosedError);
    expect(await lock.unlock()).toBe(false);
    expect(await locks.unlock(lock)).toBe(false);
  });

  it('that had been unlocked before keeps a signal that never aborted', async () => {
    const { locks } = await database.connected();
    const lock = given(await locks.tryLock(pair));
    const { signal } = lock;
    await lock.unlock();
    await locks.close();
    expect(signal.aborted).toBe(false);
  });
});

itLeavesNothingBehind(database);
