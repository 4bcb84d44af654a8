/**
 * The api over the real engine and a store in memory that knows uncontended locks only: what `exec`, `unlock`, `close`
 * and the static façade promise of results, errors, events and the logger. Contention is for the tests on a server.
 */

import DLocks, * as exported from 'mongo-distributed-locks';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ClientInternals } from '#core/client.js';
import type { LockClientOptions } from '#core/options.js';
import type { ChangeFeed, LockStore } from '#core/ports.js';
import type { LockState, SessionState } from '#core/protocol/documents.js';
import { formatGrant, lastToken, parseGrant } from '#core/protocol/grant.js';

const { Lock, LockClient, LockClosedError, LockInvalidOptionError, LockLostError } = exported;
type Client = InstanceType<typeof LockClient>;

const db = { databaseName: 'app', command: async () => ({}), collection: () => ({}) };
const pair = { resource: 'account', id: 7 };

/** Vacant locks can be taken and given back, sessions live until `losesSessions`; whatever needs a queue is refused. */
class MemoryStore {
  commandsCount = 0;
  losesSessions = false;
  failsReleases = false;
  readonly locks = new Map<string, LockState>();
  readonly sessions = new Set<string>();

  private session(session: string, leaseMS: number): SessionState {
    return { session, version: 1, state: 'alive', remainingMS: leaseMS, leaseMS, beats: 0 };
  }

  readonly port = new Proxy({} as LockStore, {
    get: (_, name) => (request: never) => this.send(name as keyof LockStore, request),
  });

  private async send(name: keyof LockStore, request: never): Promise<unknown> {
    if (name === 'close') return undefined;
    this.commandsCount += 1;
    await new Promise((resolve) => setImmediate(resolve));
    const answer = (this.answers as Partial<Record<keyof LockStore, (request: never) => unknown>>)[name];
    if (answer === undefined) throw new Error(`The store in memory has no ${name}.`);
    return answer(request);
  }

  private readonly answers: Partial<{ [N in keyof LockStore]: (request: Parameters<LockStore[N]>[0]) => unknown }> = {
    prepare: () => undefined,
    openSession: ({ session, leaseMS }) => {
      this.sessions.add(session);
      return this.session(session, leaseMS);
    },
    renewSession: ({ session, leaseMS }) => (this.losesSessions ? null : this.session(session, leaseMS)),
    condemnSession: () => undefined,
    reapSession: ({ session }) => ({ ...this.session(session, 1_000), state: 'dead', remainingMS: -1 }),
    endSession: ({ session }) => this.sessions.delete(session),
    readSessions: () => [],
    readGrantsOf: ({ session }) =>
      [...this.locks.values()]
        .filter(({ grant }) => grant?.startsWith(`${session}/`))
        .map(({ key, grant }) => ({ key, grant: grant as string })),
    clearArrivals: () => undefined,
    deleteTickets: () => undefined,
    deleteTicketsOf: () => undefined,
    readQueue: ({ key }) => ({ lock: this.locks.get(key) ?? null, head: [], full: false }),
    tryGrant: ({ key, session, ticket }) => {
      const lock = this.locks.get(key) ?? {
        key,
        version: 1,
        grant: null,
        fence: 41,
        arrivals: 0,
        firstArrival: null,
        born: 42,
      };
      if (lock.grant !== null) return lock;
      const grant = { session, firstToken: lock.fence + 1, tickets: [ticket] };
      const granted = { ...lock, grant: formatGrant(grant), fence: lastToken(grant) };
      this.locks.set(key, granted);
      return granted;
    },
    vacate: ({ key, grant }) => {
      if (this.failsReleases) throw new Error('The release failed.');
      const lock = this.locks.get(key);
      if (lock === undefined || lock.grant !== grant) return null;
      this.locks.set(key, { ...lock, grant: null });
      return { ...lock, grant: null };
    },
  };
}

const silent = { close: async () => {} };
const feed: ChangeFeed = { open: () => silent, watch: () => silent };

let store: MemoryStore;
let logged: unknown[][];
let opened: Client[];

beforeEach(() => {
  store = new MemoryStore();
  logged = [];
  opened = [];
});

afterEach(async () => {
  await Promise.all([...opened.map((client) => client.close()), DLocks.close()]);
});

const Internal = LockClient as unknown as new (options: LockClientOptions, internals: ClientInternals) => Client;

function makeClient(settings: Partial<LockClientOptions> = {}): Client {
  const logger = { error: (...line: unknown[]) => logged.push(line) };
  const options = { db, leaseDurationMS: 1_000, logger, ...settings } as LockClientOptions;
  const client = new Internal(options, { wrapPorts: () => ({ store: store.port, feed }) });
  opened.push(client);
  return client;
}

async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => {
      throw new Error(`It gave ${String(value)}.`);
    },
    (error: unknown) => error,
  );
}

const aborted = (signal: AbortSignal): Promise<unknown> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(signal.reason);
    else signal.addEventListener('abort', () => resolve(signal.reason), { once: true });
  });

describe('making a client', () => {
  it('sends nothing, and reports every problem at once', () => {
    makeClient();
    expect(store.commandsCount).toBe(0);
    const make = (): unknown => new LockClient({ leaseDurationMS: 1, idle: 2 } as never);
    expect(make).toThrow(LockInvalidOptionError);
    try {
      make();
    } catch (error) {
      expect((error as InstanceType<typeof LockInvalidOptionError>).problems).toHaveLength(3);
    }
  });

  it('reports what the driver says of the source', () => {
    const client = { db: () => db, connect: async () => {}, options: { maxPoolSize: 1, loadBalanced: true } };
    expect(() => new LockClient({ client })).toThrow(/maxPoolSize.*loadBalanced/s);
  });
});

describe('a call with an argument that cannot work', () => {
  it.each(['lock', 'tryLock', 'exec'] as const)('%s rejects before anything is sent', async (method) => {
    const client = makeClient();
    const error = await rejection(client[method]({ resource: '', id: 1, fn: () => 1 } as never));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT' });
    expect(store.commandsCount).toBe(0);
  });

  it('unlock refuses what is no Lock of this client, and releases nothing', async () => {
    const [client, other] = [makeClient(), makeClient()];
    const lock = await client.lock(pair);
    for (const given of [lock, undefined, null, {}, 'lock', Object.create(Lock.prototype)]) {
      const error = await rejection(other.unlock(given as never));
      expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument: 'lock' });
    }
    expect(lock.held).toBe(true);
    expect(await client.unlock(lock)).toBe(true);
  });
});

describe('a Lock', () => {
  it('has the own values of the caller, a token and a quiet signal', async () => {
    const id = { _bsontype: 'ObjectId', toHexString: () => '0123456789abcdef01234567' } as const;
    const lock = await makeClient().lock({ resource: 'account', id });
    expect(lock.resource).toBe('account');
    expect(lock.id).toBe(id);
    expect(lock.fencingToken).toBe(42);
    expect(lock.held).toBe(true);
    expect(lock.signal.aborted).toBe(false);
    expect(await lock.unlock()).toBe(true);
    expect(lock.held).toBe(false);
    expect(lock.signal.aborted).toBe(false);
  });

  it('is not held from the call of unlock on', async () => {
    const lock = await makeClient().lock(pair);
    const released = lock.unlock();
    expect(lock.held).toBe(false);
    expect(await released).toBe(true);
  });

  it('gives true to one of several unlocks, and false to the others, when it is released', async () => {
    const client = makeClient();
    const lock = await client.lock(pair);
    expect(await Promise.all([lock.unlock(), client.unlock(lock), lock.unlock()])).toEqual([true, false, false]);
    expect(await lock.unlock()).toBe(false);
    expect(parseGrant([...store.locks.values()][0]?.grant)).toBeNull();
  });

  it('is released at the end of an await using block', async () => {
    const client = makeClient();
    {
      await using lock = await client.lock(pair);
      expect(lock.held).toBe(true);
    }
    expect(await client.tryLock(pair)).not.toBeNull();
  });

  it('cannot be made', () => {
    expect(Object.keys(Lock)).toEqual([]);
  });

  it('aborts its signal when its session is lost, with the reason in the event too', async () => {
    const client = makeClient();
    const losses: unknown[] = [];
    client.on('lost', (event) => losses.push(event.error));
    const lock = await client.lock(pair);
    const { signal } = lock;
    store.losesSessions = true;
    const reason = await aborted(signal);
    store.losesSessions = false;
    expect(reason).toBeInstanceOf(LockLostError);
    expect(reason).toMatchObject({ ...pair, fencingToken: lock.fencingToken });
    expect(losses).toEqual([reason]);
    expect(lock.held).toBe(false);
    expect(await lock.unlock()).toBe(false);
  });
});

describe('tryLock', () => {
  it('gives null where the lock is held', async () => {
    const client = makeClient();
    const lock = await client.lock(pair);
    expect(await client.tryLock(pair)).toBeNull();
    await lock.unlock();
    const again = await client.tryLock(pair);
    expect(again?.fencingToken).toBe(43);
  });
});

describe('exec', () => {
  it('gives what fn returns, whether a value or a promise, and releases after it', async () => {
    const client = makeClient();
    const held: boolean[] = [];
    const value = await client.exec({
      ...pair,
      fn: async ({ lock, signal, fencingToken }) => {
        await new Promise((resolve) => setImmediate(resolve));
        held.push(lock.held, !signal.aborted, lock.fencingToken === fencingToken);
        return 'late';
      },
    });
    expect(value).toBe('late');
    expect(await client.exec({ ...pair, fn: () => 'early' })).toBe('early');
    expect(held).toEqual([true, true, true]);
    expect(await client.tryLock(pair)).not.toBeNull();
  });

  it.each([
    [
      'throws',
      (error: unknown) => {
        throw error;
      },
    ],
    ['rejects', (error: unknown) => Promise.reject(error)],
  ])('rejects with what fn %s, and releases', async (_, fail) => {
    const client = makeClient();
    const mine = { mine: true };
    expect(await rejection(client.exec({ ...pair, fn: () => fail(mine) }))).toBe(mine);
    expect(await client.tryLock(pair)).not.toBeNull();
  });

  it('lets fn unlock', async () => {
    const client = makeClient();
    expect(await client.exec({ ...pair, fn: ({ lock }) => lock.unlock() })).toBe(true);
  });

  it('rejects with LockLostError and the result where the lock was lost before fn settled', async () => {
    const client = makeClient();
    const error = await rejection(
      client.exec({
        ...pair,
        fn: async ({ signal }) => {
          store.losesSessions = true;
          await aborted(signal);
          store.losesSessions = false;
          return 'done all the same';
        },
      }),
    );
    expect(error).toBeInstanceOf(LockLostError);
    expect(error).toMatchObject({ code: 'LOCK_LOST', result: 'done all the same', fencingToken: 42, ...pair });
  });

  it('rejects with what fn threw although the lock was lost', async () => {
    const client = makeClient();
    const mine = new Error('mine');
    const fn = async ({ signal }: { signal: AbortSignal }): Promise<never> => {
      store.losesSessions = true;
      await aborted(signal);
      store.losesSessions = false;
      throw mine;
    };
    expect(await rejection(client.exec({ ...pair, fn }))).toBe(mine);
  });

  it('gives what fn returned although the release failed, by the local deadline; the failure is an event and is logged', async () => {
    const client = makeClient();
    const failures: unknown[] = [];
    client.on('error', ({ error }) => failures.push(error));
    const value = await client.exec({
      ...pair,
      fn: () => {
        store.failsReleases = true;
        store.losesSessions = true;
        return 'mine';
      },
    });
    store.losesSessions = false;
    expect(value).toBe('mine');
    expect(failures.length).toBeGreaterThan(0);
    expect(String(failures[0])).toContain('The release failed.');
    expect(logged.flat()).toContain(failures[0]);
  });

  it('does not call fn where the wait fails', async () => {
    const client = makeClient();
    let called = false;
    const fn = (): void => {
      called = true;
    };
    expect(await rejection(client.exec({ ...pair, signal: AbortSignal.abort('why'), fn }))).toBe('why');
    const lock = await client.lock(pair);
    expect(await rejection(client.exec({ ...pair, timeoutMS: 0, fn }))).toMatchObject({ code: 'LOCK_TIMEOUT' });
    await lock.unlock();
    expect(called).toBe(false);
  });
});

describe('close', () => {
  it('aborts what is held, releases it, and refuses what comes later', async () => {
    const client = makeClient();
    const lock = await client.lock(pair);
    const { signal } = lock;
    const closing = client.close();
    expect(lock.held).toBe(false);
    expect(signal.reason).toBeInstanceOf(LockLostError);
    expect(signal.reason.cause).toBeInstanceOf(LockClosedError);
    await Promise.all([closing, client.close()]);
    expect([...store.locks.values()].map(({ grant }) => grant)).toEqual([null]);
    expect(store.sessions.size).toBe(0);
    for (const call of [
      client.lock(pair),
      client.tryLock(pair),
      client.exec({ ...pair, fn: () => 1 }),
      client.connect(),
    ]) {
      expect(await rejection(call)).toMatchObject({ code: 'LOCK_CLOSED' });
    }
    expect(await lock.unlock()).toBe(false);
  });

  it('ends an exec whose fn still runs as after a loss', async () => {
    const client = makeClient();
    let closing: Promise<void> | undefined;
    const error = await rejection(
      client.exec({
        ...pair,
        fn: () => {
          closing = client.close();
          return 7;
        },
      }),
    );
    await closing;
    expect(error).toMatchObject({ code: 'LOCK_LOST', result: 7 });
    expect((error as Error).cause).toBeInstanceOf(LockClosedError);
  });

  it('of a client that was never used sends nothing', async () => {
    const client = makeClient();
    await client.close();
    expect(store.commandsCount).toBe(0);
  });
});

describe('events and the logger', () => {
  it('tell of a grant and a release, with plain facts', async () => {
    const client = makeClient();
    const seen: unknown[] = [];
    client.on('granted', (event) => seen.push(['granted', event]));
    client.on('released', (event) => seen.push(['released', event]));
    await client.exec({ ...pair, label: 'job', fn: () => {} });
    const [session] = [...store.sessions];
    const facts = { ...pair, fencingToken: 42, session };
    expect(seen).toEqual([
      ['granted', { ...facts, label: 'job', waitedMS: expect.any(Number) }],
      ['released', { ...facts, heldMS: expect.any(Number) }],
    ]);
    expect(logged).toEqual([]);
  });

  it('harm nothing when they throw', async () => {
    const client = makeClient({
      logger: {
        error: () => {
          throw new Error('logger');
        },
      },
    });
    for (const name of ['granted', 'released', 'session:opened'] as const) {
      client.on(name, () => {
        throw new Error('listener');
      });
    }
    expect(await client.exec({ ...pair, fn: () => 5 })).toBe(5);
  });
});

describe('the static façade', () => {
  const unconfigured = { code: 'LOCK_NOT_CONFIGURED' };

  it('rejects before it is configured, and closing is fine', async () => {
    await DLocks.close();
    const calls = [
      DLocks.lock(pair),
      DLocks.tryLock(pair),
      DLocks.exec({ ...pair, fn: () => 1 }),
      new DLocks({ ...pair, fn: () => 1 }).exec(),
      DLocks.unlock({} as never),
    ];
    for (const call of calls) expect(await rejection(call)).toMatchObject(unconfigured);
  });

  it('throws for options that cannot work, and is then as before', async () => {
    expect(() => DLocks.configure(undefined as never)).toThrow('The options must be an object.');
    expect(() => DLocks.configure({ db, leaseDurationMS: 1 })).toThrow('leaseDurationMS');
    expect(await rejection(DLocks.lock(pair))).toMatchObject(unconfigured);
  });

  it('is configured once, and again after close', async () => {
    DLocks.configure({ db });
    expect(() => DLocks.configure({ db })).toThrow(LockInvalidOptionError);
    const closing = DLocks.close();
    expect(await rejection(DLocks.lock(pair))).toMatchObject({ code: 'LOCK_CLOSED' });
    DLocks.configure({ db });
    await closing;
    expect(await rejection(DLocks.lock({ resource: 1 } as never))).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT' });
  });

  it('refuses arguments as a client does, but ignores the fn of lock', async () => {
    DLocks.configure({ db });
    const error = await rejection(DLocks.lock({ resource: 'r', id: '', fn: () => 1 }));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT', argument: 'id' });
    expect(await rejection(DLocks.lock(null as never))).toMatchObject({ argument: 'request' });
  });

  it('takes a function to log with, and nothing else', () => {
    expect(() => DLocks.registerLoggerErrorFn(7 as never)).toThrow('"fn"');
    expect(() => DLocks.registerLoggerErrorFn(console.error)).not.toThrow();
  });

  it('has every export of the module as a static', () => {
    const names = Object.keys(exported).filter((name) => name !== 'default' && name !== 'module.exports');
    expect(names.length).toBeGreaterThan(14);
    const statics = DLocks as unknown as Record<string, unknown>;
    for (const name of names) expect(statics[name]).toBe((exported as Record<string, unknown>)[name]);
    expect(exported.default).toBe(DLocks);
    expect((exported as Record<string, unknown>)['module.exports']).toBe(DLocks);
  });
});
