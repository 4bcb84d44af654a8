/** `exec`: what `fn` is given, what comes back, and when the lock is released. */
import { LockLostError } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { readKey } from '#core/protocol/key.js';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const ATTENTIVE = { heartbeatIntervalMS: 100 };

/** An `fn` that runs until a test ends it. */
class Running<T> {
  startedCount = 0;
  resolve!: (value: T) => void;
  reject!: (error: unknown) => void;
  readonly #end = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
  readonly fn = (): Promise<T> => {
    this.startedCount += 1;
    return this.#end;
  };

  async started(): Promise<void> {
    await eventually(() => this.startedCount === 1);
  }
}

async function declareDead({ session }: TestClient): Promise<void> {
  await database.db
    .collection<{ _id: string }>('dlocks.sessions')
    .updateOne({ _id: session }, { $set: { state: 'dead', until: new Date() } });
}

/** A client that gets no answer to a release, nor to a renewal: its releases end at the local deadline. */
async function withoutReleases(): Promise<{ client: TestClient; gate: Gate }> {
  const gate = new Gate();
  const late = async <T>(send: () => Promise<T>): Promise<T> => {
    await gate.pass();
    return send();
  };
  const hooks = hooked({ vacate: late, handoff: late, renewSession: late, condemnSession: late });
  const client = await database.connected({ leaseDurationMS: 1_000 }, hooks);
  client.expectsErrors = true;
  return { client, gate };
}

type Fn = () => string | PromiseLike<string>;

const RETURNS: readonly (readonly [string, Fn])[] = [
  ['a value', () => 'value'],
  ['a promise', async () => 'value'],
  // biome-ignore lint/suspicious/noThenProperty: a thenable is the case
  ['a thenable', () => ({ then: (resolve: (value: string) => void) => resolve('value') }) as PromiseLike<string>],
];

const FAILS: readonly (readonly [string, Fn])[] = [
  [
    'throws',
    () => {
      throw 'reason';
    },
  ],
  ['rejects', () => Promise.reject('reason')],
  [
    'returns a thenable that rejects',
    // biome-ignore lint/suspicious/noThenProperty: a thenable is the case
    () => ({ then: (_: unknown, reject: (error: unknown) => void) => reject('reason') }) as PromiseLike<string>,
  ],
];

describe('fn', () => {
  it('is given a signal, a fencing token and the lock, and nothing else', async () => {
    const { locks } = await database.connected();
    const context = await locks.exec({ ...pair, fn: (given) => ({ ...given, heldThen: given.lock.held }) });
    expect(Object.keys(context).sort()).toEqual(['fencingToken', 'heldThen', 'lock', 'signal']);
    expect(context.heldThen).toBe(true);
    expect(context.lock.fencingToken).toBe(context.fencingToken);
    expect(context.lock.signal).toBe(context.signal);
    expect(context.signal.aborted).toBe(false);
  });

  it.each(RETURNS)('may return %s; exec gives what it comes to', async (_what, fn) => {
    const { locks } = await database.connected();
    expect(await locks.exec({ ...pair, fn })).toBe('value');
    expect(await database.holder(pair)).toBeNull();
  });

  it.each(FAILS)('that %s makes exec reject with that very reason, and the lock is released', async (_what, fn) => {
    const { locks } = await database.connected();
    expect(await rejection(locks.exec({ ...pair, fn }))).toBe('reason');
    expect(await database.holder(pair)).toBeNull();
  });

  it('may return undefined, and may throw undefined', async () => {
    const { locks } = await database.connected();
    expect(await locks.exec({ ...pair, fn: () => undefined })).toBeUndefined();
    expect(await rejection(locks.exec({ ...pair, fn: () => Promise.reject(undefined) }))).toBeUndefined();
  });

  it('may unlock by itself: the next gets the lock while fn still runs', async () => {
    const { locks } = await database.connected();
    const other = await database.connected();
    const run = new Running<string>();
    const running = locks.exec({
      ...pair,
      fn: async ({ lock }) => {
        expect(await lock.unlock()).toBe(true);
        return run.fn();
      },
    });
    await run.started();
    const next = await other.locks.lock(pair);
    run.resolve('done');
    expect(await running).toBe('done');
    expect(next.held).toBe(true);
    await next.unlock();
  });

  it('may lock something else inside', async () => {
    const { locks } = await database.connected();
    const inner = (): Promise<string> => locks.exec({ resource: 'account', id: 8, fn: () => 'inner' });
    expect(await locks.exec({ ...pair, fn: inner })).toBe('inner');
  });
});

describe('the release', () => {
  it.each(['resolve', 'reject'] as const)('waits until fn has settled, here with %s', async (way) => {
    const { locks } = await database.connected();
    const other = await database.connected();
    const run = new Running<string>();
    const running = locks.exec({ ...pair, fn: run.fn });
    const outcome = running.catch((error: unknown) => `rejected with ${error}`);
    await run.started();
    const waiting = other.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    expect(await rejection(other.locks.lock({ ...pair, timeoutMS: 200 }))).toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect(other.seen('granted')).toEqual([]);
    run[way]('value');
    await (await waiting).unlock();
    expect(await outcome).toBe(way === 'resolve' ? 'value' : 'rejected with value');
  });

  it('is acknowledged before exec gives its value', async () => {
    const { locks } = await database.connected();
    await locks.exec({ ...pair, fn: () => 1 });
    expect(await database.holder(pair)).toBeNull();
  });

  it('that gets no answer is waited for until the local deadline; then the value of fn comes back all the same', async () => {
    const { client, gate } = await withoutReleases();
    const running = client.locks.exec({ ...pair, fn: () => 'value' });
    await eventually(() => gate.arrivedCount > 0);
    expect(await running).toBe('value');
    expect(client.seen('error').length).toBeGreaterThan(0);
    gate.open();
    await eventually(async () => (await database.holder(pair)) === null);
  });

  it('that gets no answer does not hide the error of fn', async () => {
    const { client, gate } = await withoutReleases();
    const fn = (): Promise<never> => Promise.reject('the own error');
    expect(await rejection(client.locks.exec({ ...pair, fn }))).toBe('the own error');
    gate.open();
    await eventually(async () => (await database.holder(pair)) === null);
  });

  it('that fails is an error event and goes to the logger, and exec gives the value', async () => {
    let failures = 0;
    const failing = async <T>(send: () => Promise<T>): Promise<T> => {
      failures += 1;
      if (failures <= 2) throw new Error(`broken ${failures}`);
      return send();
    };
    const client = await database.connected({}, hooked({ vacate: failing }));
    client.expectsErrors = true;
    expect(await client.locks.exec({ ...pair, fn: () => 'value' })).toBe('value');
    const broken = [expect.objectContaining({ message: 'broken 1' }), expect.objectContaining({ message: 'broken 2' })];
    expect(client.seen('error').map(({ error }) => error)).toEqual(broken);
    expect(client.logged.map(([, error]) => error)).toEqual(broken);
  });
});

describe('a lock that is lost while fn runs', () => {
  it('makes exec reject with LockLostError, which carries what fn returned', async () => {
    const client = await database.connected(ATTENTIVE);
    const running = client.locks.exec({
      ...pair,
      fn: async ({ signal }) => {
        await declareDead(client);
        await eventually(() => signal.aborted);
        return { booked: true };
      },
    });
    const error = (await rejection(running)) as LockLostError;
    expect(error).toBeInstanceOf(LockLostError);
    expect(error).toMatchObject({ code: 'LOCK_LOST', ...pair, result: { booked: true } });
    expect(error.fencingToken).toEqual(expect.any(Number));
  });

  it('makes exec reject with the result undefined where fn returned nothing', async () => {
    const client = await database.connected(ATTENTIVE);
    const fn = async ({ signal }: { signal: AbortSignal }): Promise<void> => {
      await database.db.collection<{ _id: string }>('dlocks').deleteOne({ _id: readKey(pair) });
      await eventually(() => signal.aborted);
    };
    const error = (await rejection(client.locks.exec({ ...pair, fn }))) as LockLostError;
    expect(error).toMatchObject({ code: 'LOCK_LOST' });
    expect('result' in error).toBe(true);
    expect(error.result).toBeUndefined();
  });

  it('does not hide the error of fn, be it the reason of the signal or another', async () => {
    const client = await database.connected(ATTENTIVE);
    const fn = async ({ signal }: { signal: AbortSignal }): Promise<void> => {
      await declareDead(client);
      await eventually(() => signal.aborted);
      throw new Error('the own error');
    };
    expect(await rejection(client.locks.exec({ ...pair, fn }))).toMatchObject({ message: 'the own error' });
    let reason: unknown;
    const heeding = async ({ signal }: { signal: AbortSignal }): Promise<void> => {
      await declareDead(client);
      await eventually(() => signal.aborted);
      reason = signal.reason;
      signal.throwIfAborted();
    };
    const error = await rejection(client.locks.exec({ ...pair, fn: heeding }));
    expect(error).toBe(reason);
    expect('result' in (error as object)).toBe(false);
  });

  it('is no loss to an fn that had unlocked it before', async () => {
    const client = await database.connected(ATTENTIVE);
    const fn = async ({ lock }: { lock: { unlock(): Promise<boolean> } }): Promise<string> => {
      await lock.unlock();
      const keepsAlive = await client.locks.lock({ resource: 'account', id: 'another' });
      await declareDead(client);
      await eventually(() => keepsAlive.signal.aborted);
      return 'value';
    };
    expect(await client.locks.exec({ ...pair, fn })).toBe('value');
  });

  it('goes to the next while fn still runs, and exec touches nothing of that hold', async () => {
    const client = await database.connected(ATTENTIVE);
    const other = await database.connected(ATTENTIVE);
    const run = new Running<void>();
    const running = rejection(client.locks.exec({ ...pair, fn: run.fn }));
    await run.started();
    const waiting = other.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    await declareDead(client);
    const next = await waiting;
    await eventually(() => client.seen('lost').length === 1);
    run.resolve();
    expect(await running).toMatchObject({ code: 'LOCK_LOST' });
    expect(next.held).toBe(true);
    expect(await database.holder(pair)).toBe(other.session);
    await next.unlock();
  });

  it('because the client was closed makes exec reject, with the result and the close as the cause', async () => {
    const { locks } = await database.connected();
    const run = new Running<string>();
    const running = rejection(locks.exec({ ...pair, fn: run.fn }));
    await run.started();
    await locks.close();
    run.resolve('value');
    expect(await running).toMatchObject({ code: 'LOCK_LOST', result: 'value', cause: { code: 'LOCK_CLOSED' } });
  });
});

itLeavesNothingBehind(database);
