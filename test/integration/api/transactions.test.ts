/**
 * Fenced transactions and fenced updates on the real server: what is committed, what is not, and what arrivals and
 * take-overs meet. The proof with processes that are stopped is in `test/faults`.
 */
import type { Lock, TransactionSession } from 'mongo-distributed-locks';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, realPause, rejection } from '../../support/eventually.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };
const REASON = { reason: 'a test', by: 'a test' };

interface Account {
  readonly _id: number;
  balance: number;
}

function accounts(client: Pick<TestClient, 'mongo'>) {
  return client.mongo.db().collection<Account>('accounts');
}

async function balance(): Promise<number | undefined> {
  return (await database.db.collection<Account>('accounts').findOne({ _id: 7 }))?.balance;
}

function deposit(client: TestClient, session: TransactionSession): Promise<unknown> {
  return accounts(client).updateOne({ _id: 7 }, { $inc: { balance: 1 } }, { session });
}

/** Two callers of one process in one run: the lock of the first, and the call of the next. */
async function twoOfOneRun(): Promise<{ client: TestClient; first: Lock; next: Promise<Lock> }> {
  const client = await database.connected();
  const other = await database.connected();
  const gate = await other.locks.lock(PAIR);
  const calls = [client.locks.lock(PAIR), client.locks.lock(PAIR)] as const;
  await database.untilWaiting(PAIR, 2);
  await gate.unlock();
  return { client, first: await calls[0], next: calls[1] };
}

beforeAll(async () => {
  await database.db.createCollection('accounts');
});

beforeEach(async () => {
  await database.db.collection<Account>('accounts').replaceOne({ _id: 7 }, { balance: 0 }, { upsert: true });
});

describe('a fenced transaction', () => {
  it('commits what fn wrote, and gives what it returned', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    const result = await lock.withTransaction(async (session) => {
      await deposit(client, session);
      expect(await balance()).toBe(0);
      return 'done';
    });
    expect([result, await balance(), lock.held]).toEqual(['done', 1, true]);
    expect(await lock.unlock()).toBe(true);
  });

  it('rolls back where fn throws, and rejects with just that', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    const thrown = new Error('no');
    const failing = lock.withTransaction(async (session) => {
      await deposit(client, session);
      throw thrown;
    });
    expect(await rejection(failing)).toBe(thrown);
    expect([await balance(), await lock.unlock()]).toEqual([0, true]);
  });

  it('costs one write of the lock document beside what fn sends', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    client.commands.clear();
    await lock.withTransaction((session) => deposit(client, session));
    expect(client.commands.names).toEqual(['update', 'update', 'commitTransaction']);
    await lock.unlock();
  });

  it('is not committed once the lock was given to another, and says so', async () => {
    const client = await database.connected(SLOW);
    const operator = await database.connected(SLOW);
    const lock = await client.locks.lock(PAIR);
    const late = lock.withTransaction(async (session) => {
      await deposit(client, session);
      const forced = { ...PAIR, fencingToken: lock.fencingToken, ...REASON };
      expect(await operator.locks.forceRelease(forced)).toBe(true);
      // It does not know yet.
      expect(lock.held).toBe(true);
    });
    expect(await rejection(late)).toMatchObject({ code: 'LOCK_LOST', fencingToken: lock.fencingToken });
    expect(await balance()).toBe(0);
    await eventually(() => lock.signal.aborted);
  });

  it('is not started where the lock is not held', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    await lock.unlock();
    let called = false;
    const refused = lock.withTransaction(async () => {
      called = true;
    });
    expect(await rejection(refused)).toMatchObject({ code: 'LOCK_LOST' });
    expect(called).toBe(false);
  });

  it('is not committed where the lock was unlocked meanwhile, although the grant may stand for the next of its run', async () => {
    const { client, first, next } = await twoOfOneRun();
    const late = first.withTransaction(async (session) => {
      await deposit(client, session);
      expect(await first.unlock()).toBe(true);
      await next;
    });
    expect(await rejection(late)).toMatchObject({ code: 'LOCK_LOST' });
    expect(await balance()).toBe(0);
    const second = await next;
    await second.withTransaction((session) => deposit(client, session));
    expect([await balance(), await second.unlock()]).toEqual([1, true]);
  });

  it('is waited for by unlock once it is being committed', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    const order: string[] = [];
    let unlocked: Promise<void> | undefined;
    client.mongo.on('commandStarted', ({ commandName, command }) => {
      if (commandName !== 'update' || command.update !== 'dlocks' || unlocked !== undefined) return;
      unlocked = lock.unlock().then(() => void order.push('unlocked'));
    });
    await lock.withTransaction((session) => deposit(client, session)).then(() => order.push('committed'));
    await unlocked;
    expect([order, await balance()]).toEqual([['committed', 'unlocked'], 1]);
  });

  it('ends although others keep arriving while it runs: they wait for its second try', async () => {
    const client = await database.connected(SLOW);
    const others = await database.connected(SLOW);
    const lock = await client.locks.lock(PAIR);
    const waiting: Promise<unknown>[] = [];
    const controller = new AbortController();
    let triesCount = 0;
    await lock.withTransaction(async (session) => {
      triesCount += 1;
      await deposit(client, session);
      const before = triesCount === 1 ? await marks() : 0;
      waiting.push(rejection(others.locks.lock({ ...PAIR, signal: controller.signal })));
      // In the first try it arrives; in the second it has to wait.
      if (triesCount === 1) await eventually(async () => (await marks()) > before);
    });
    expect([triesCount, await balance()]).toEqual([2, 1]);
    controller.abort(new Error('enough'));
    await Promise.all(waiting);
    await lock.unlock();
  });

  it('whose commit was done although no answer came is found to be committed (INV-09)', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    const result = await lock.withTransaction(async (session) => {
      await deposit(client, session);
      const commit = session.commitTransaction.bind(session);
      session.commitTransaction = async () => {
        await commit();
        throw new Error('The answer was lost.');
      };
      return 'done';
    });
    expect([result, await balance(), await lock.unlock()]).toEqual(['done', 1, true]);
  });

  it('whose commit was not done is found not to be, where no answer came (INV-09)', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    const failing = lock.withTransaction(async (session) => {
      await deposit(client, session);
      session.commitTransaction = async () => {
        await session.abortTransaction();
        throw new Error('The answer was lost.');
      };
    });
    expect(await rejection(failing)).toMatchObject({ code: 'LOCK_UNAVAILABLE', retryable: true });
    expect([await balance(), await lock.unlock()]).toEqual([0, true]);
  });

  it('of which the outcome is not known yet keeps the lock from the next of its run', async () => {
    const { client, first, next } = await twoOfOneRun();
    const order: string[] = [];
    let commitNow!: () => Promise<void>;
    client.commands.clear();
    const committing = first.withTransaction(async (session) => {
      await deposit(client, session);
      commitNow = session.commitTransaction.bind(session);
      session.commitTransaction = () => Promise.reject(new Error('The answer was lost.'));
    });
    void committing.then(() => order.push('committed'));
    await eventually(() => client.commands.names.includes('findAndModify'));
    const unlocked = first.unlock();
    const second = next.then((lock) => {
      order.push('granted');
      return lock;
    });
    await realPause(200);
    expect(order).toEqual([]);
    await commitNow();
    await committing;
    expect([await unlocked, await balance()]).toEqual([true, 1]);
    await (await second).unlock();
    expect(order.sort()).toEqual(['committed', 'granted']);
  });

  it('conflicts with a take-over whatever another tool has put where its mark goes', async () => {
    const client = await database.connected(SLOW);
    const lock = await client.locks.lock(PAIR);
    for (const commit of [Number.NaN, Number.POSITIVE_INFINITY, 'x', [1], { a: 1 }]) {
      await database.db.collection('dlocks').updateOne({ grant: { $type: 'string' } }, { $set: { commit } });
      await lock.withTransaction((session) => deposit(client, session));
    }
    expect(await balance()).toBe(5);
    await lock.unlock();
  });

  it('is refused inside another one of the same lock, and beside it', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    await lock.withTransaction(async () => {
      const inner = lock.withTransaction((session) => deposit(client, session));
      expect(await rejection(inner)).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument: 'fn' });
    });
    await lock.withTransaction((session) => deposit(client, session));
    expect(await balance()).toBe(1);
    await lock.unlock();
  });

  it.each([
    [undefined, {}, 'fn'],
    [async () => {}, { readConcernLevel: 'linearizable' }, 'readConcernLevel'],
    [async () => {}, { maxCommitTimeMS: 0 }, 'maxCommitTimeMS'],
    [async () => {}, { writeConcern: { w: 1 } }, 'writeConcern'],
  ])('refuses (%s, %j)', async (fn, options, argument) => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    const error = await rejection(lock.withTransaction(fn as never, options as never));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument });
    await lock.unlock();
  });

  it('that was committed or rolled back by fn itself is refused', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    const ended = lock.withTransaction(async (session) => {
      await deposit(client, session);
      await session.abortTransaction();
    });
    expect(await rejection(ended)).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT' });
    expect(await balance()).toBe(0);
    await lock.unlock();
  });

  async function marks(): Promise<number> {
    return Number((await database.stored(PAIR))?.arrivals);
  }
});

describe('a fenced update', () => {
  it.each([
    ['operators', { $inc: { balance: 1 } }],
    ['a pipeline', [{ $set: { balance: { $add: ['$balance', 1] } } }]],
  ])('of %s applies with the newest token and a newer one, and not with an older', async (_, update) => {
    const client = await database.connected();
    const old = await client.locks.lock(PAIR);
    await old.unlock();
    const lock = await client.locks.lock(PAIR);
    const apply = async (by: typeof lock): Promise<number> => {
      const pair = by.fence({ _id: 7 }, update);
      return (await accounts(client).updateOne(pair.filter, pair.update)).modifiedCount;
    };
    expect([await apply(lock), await apply(lock), await apply(old)]).toEqual([1, 1, 0]);
    const next = await lock.unlock().then(() => client.locks.lock(PAIR));
    expect([await apply(next), await apply(lock), await balance()]).toEqual([1, 0, 3]);
    await next.unlock();
  });

  it('keeps its token in the field that is asked for', async () => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    const { filter, update } = lock.fence({ _id: 7 }, { $set: { balance: 5 } }, { field: 'guard.account' });
    await accounts(client).updateOne(filter, update);
    const stored = await database.db.collection<Account>('accounts').findOne({ _id: 7 });
    expect(stored).toEqual({ _id: 7, balance: 5, guard: { account: lock.fencingToken } });
    await lock.unlock();
  });

  it.each([
    [{ _id: 7 }, { balance: 1 }, {}, 'update'],
    [{ _id: 7 }, null, {}, 'update'],
    ['7', { $inc: {} }, {}, 'filter'],
    [{ _id: 7 }, { $inc: {} }, { field: '$where' }, 'field'],
    [{ _id: 7 }, { $inc: {} }, { name: 'token' }, 'name'],
  ])('refuses (%j, %j, %j)', async (filter, update, options, argument) => {
    const client = await database.connected();
    const lock = await client.locks.lock(PAIR);
    expect(() => lock.fence(filter as never, update as never, options as never)).toThrow(
      expect.objectContaining({ code: 'LOCK_INVALID_ARGUMENT', argument }),
    );
    await lock.unlock();
  });
});

itLeavesNothingBehind(database);
