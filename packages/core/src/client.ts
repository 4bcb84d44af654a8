/**
 * The client: what users make and call. It checks what it is given, joins the engine to the database, and has the
 * events and the logger; how a lock is had and passed on is the engine's. `DLocks` is one client behind statics.
 */
import {
  checkExec,
  checkLock,
  checkTryLock,
  type ExecContext,
  type ExecRequest,
  type LockRequest,
  type TryLockRequest,
} from './arguments.js';
import { type Clock, systemClock } from './base/clock.js';
import type { SafeLogger } from './base/logger.js';
import { hostName, processId } from './base/machine.js';
import { type Random, systemRandom } from './base/random.js';
import { Engine } from './engine/engine.js';
import type { Hold } from './engine/hold.js';
import { LockInvalidArgumentError, LockInvalidOptionError, LockLostError } from './errors.js';
import { type LockEventName, type LockEvents, SafeEmitter } from './events.js';
import { Lock } from './lock.js';
import { sourceProblems } from './mongo/connect.js';
import { createMongoPorts } from './mongo/ports.js';
import { checkOptions, type LockClientOptions, type LockSource, type ResolvedOptions } from './options.js';
import type { ChangeFeed, LockStore } from './ports.js';

/** The two ports together. */
export interface Ports {
  readonly store: LockStore;
  readonly feed: ChangeFeed;
}

/** What tests put in place of the machine and around the database. */
export interface ClientInternals {
  readonly wrapPorts?: (ports: Ports) => Ports;
  readonly clock?: Clock;
  readonly random?: Random;
}

/** Which events go to the logger, and how. The rest are each call's daily business. */
const LOGGED: Readonly<Partial<Record<LockEventName, { level: keyof SafeLogger; message: string }>>> = {
  error: { level: 'error', message: 'A lock operation failed in the background.' },
  lost: { level: 'warn', message: 'A lock was lost.' },
  'session:lost': { level: 'warn', message: 'The lock session was lost; a new one is opened.' },
  'session:reaped': {
    level: 'warn',
    message: 'A lock session was found dead, and its locks were passed on.',
  },
  'stream:interrupted': { level: 'warn', message: 'The change stream broke, and is being opened again.' },
  'session:opened': { level: 'debug', message: 'The lock session was opened.' },
  'session:ended': { level: 'debug', message: 'The lock session was ended.' },
  'stream:opened': { level: 'debug', message: 'The change stream was opened.' },
  'stream:closed': { level: 'debug', message: 'The change stream was closed.' },
};

/**
 * Fair locks over one MongoDB database. Any number of clients may live side by side, in one process too: each has its
 * own lock session, and is one contender among all. A client that nothing is held by and nobody waits on sends nothing
 * after `idleMS`, and no client keeps its process alive.
 *
 * It is an eventemitter3; `LockEvents` has the events. A listener that throws harms nothing.
 *
 * @example
 * ```ts
 * const locks = new LockClient({ uri: 'mongodb://localhost/app?replicaSet=rs0' });
 * await locks.exec({ resource: 'account', id: 7, fn: async ({ signal, fencingToken }) => book(signal, fencingToken) });
 * await locks.close();
 * ```
 */
export class LockClient extends SafeEmitter {
  readonly #engine: Engine;

  /**
   * Makes a client. Sends nothing and connects to nothing; the first call, or `connect`, does.
   *
   * @param options Exactly one of `db`, `client`, `uri` and `connection`, and any of the settings of `LockSettings`.
   * Taken as they are now: changing the object later changes nothing.
   * @throws `LOCK_INVALID_OPTION` (`LockInvalidOptionError`), whose `problems` has everything that is wrong at once.
   */
  constructor(options: LockClientOptions);
  /** @internal */
  constructor(options: LockClientOptions, internals: ClientInternals);
  constructor(given: LockClientOptions, internals: ClientInternals = {}) {
    const { options, source } = resolveOptions(given);
    super((error) => options.logger.error('A listener of a lock event failed.', error));
    const { wrapPorts = (ports: Ports): Ports => ports, clock = systemClock, random = systemRandom } = internals;
    const { store, feed } = wrapPorts(createMongoPorts({ source, options, clock }));
    this.#engine = new Engine({
      options,
      store,
      feed,
      clock,
      random,
      host: hostName(),
      pid: processId(),
      emit: (name, ...payload) => this.#report(options.logger, name, payload),
    });
  }

  /**
   * Connects, checks the topology, makes sure of the indexes and opens the lock session, ahead of the first call, which
   * is then one command. Optional. May be called again; the client goes idle after `idleMS` all the same.
   *
   * @throws `LOCK_UNAVAILABLE`, `LOCK_UNSUPPORTED_TOPOLOGY`, `LOCK_MISSING_PRIVILEGES`, `LOCK_INVALID_OPTION` (such as
   * a collection that is a view), `LOCK_NEWER_VERSION`, `LOCK_OUTCOME_UNKNOWN`, `LOCK_CLOSED`, as rejections.
   */
  async connect(): Promise<void> {
    await this.#engine.connect();
  }

  /**
   * Waits for the lock, first come, first served (INV-03), and holds it until it is unlocked or lost. There is no limit
   * to a hold while its process lives. Locks are not re-entrant: a second call for a lock that one holds oneself waits
   * like any other.
   *
   * A call that rejects holds nothing, and nothing of it stays in the queue past one lease (INV-08).
   *
   * @param request Which lock; `timeoutMS` and `signal` end the wait, and do nothing once the lock is granted.
   * @returns The `Lock`. Whoever drops it without `unlock` holds it for as long as the process lives.
   * @throws As rejections: `LOCK_TIMEOUT` after `timeoutMS`, with who held it; `signal.reason`, whatever it is, when
   * `signal` aborts; `LOCK_CLOSED`; `LOCK_LIMIT`; `LOCK_INVALID_ARGUMENT`, before anything was sent; and, for the first
   * attempt only, `LOCK_UNAVAILABLE`, `LOCK_UNSUPPORTED_TOPOLOGY`, `LOCK_MISSING_PRIVILEGES`, `LOCK_INVALID_OPTION`,
   * `LOCK_OUTCOME_UNKNOWN`. `LOCK_NEWER_VERSION` where a newer version of this library wrote the lock. Once it waits in
   * the queue, a call bears outages of the database.
   * @see `engine/resource-queue.ts` for what happens, `docs/guarantees.md` for INV-01 to INV-11.
   */
  async lock(request: LockRequest): Promise<Lock> {
    return this.#lockOf(await this.#engine.acquire(checkLock(request)));
  }

  /**
   * Takes the lock if it is free and nobody waits for it (INV-04), else leaves it. Never waits in the queue, and leaves
   * nothing in it; it takes one command, and as long as the database takes to answer that.
   *
   * @param request Which lock.
   * @returns The `Lock`, or `null`: somebody holds it, or waits for it.
   * @throws As `lock`, but for the time-out and the abort.
   * @see `engine/resource-queue.ts`
   */
  async tryLock(request: TryLockRequest): Promise<Lock | null> {
    const hold = await this.#engine.tryAcquire(checkTryLock(request));
    return hold && this.#lockOf(hold);
  }

  /**
   * Waits for the lock as `lock` does, calls `fn` with it, and unlocks once `fn` has settled, and not before.
   *
   * @param request Which lock, how long to wait, and `fn`, which is called once, or never when the wait fails. `fn`
   * should heed `context.signal`: it is not stopped by force when the lock is lost.
   * @returns What `fn` returned, awaited. What goes wrong on the release does not change it: that is an `error` event,
   * and goes to the logger. The release is awaited, at most until the lock's local deadline.
   * @throws What `fn` threw, whatever happened to the lock. `LOCK_LOST` (`LockLostError`) with `result`, when `fn`
   * succeeded although the lock was lost, or the client closed, before it settled. Else as `lock`; then `fn` was not
   * called.
   * @see `lock` for what is left behind.
   */
  async exec<T>(request: ExecRequest<T>): Promise<T> {
    const { checked, fn } = checkExec(request);
    const lock = this.#lockOf(await this.#engine.acquire(checked));
    let result: T;
    try {
      result = await fn(contextOf(lock));
    } catch (error) {
      await lock.unlock();
      throw error;
    }
    await lock.unlock();
    if (lock.lostError !== null) throw lostWithResult(lock.lostError, result);
    return result;
  }

  /**
   * Releases a lock of this client; the same as `lock.unlock()`.
   *
   * @returns `true` when this call released it; `false` when it was already released or lost, or when no
   * acknowledgement came before the lock's local deadline.
   * @throws `LOCK_INVALID_ARGUMENT`, as a rejection, where it is no lock of this client. Nothing else: a release that
   * fails is an `error` event, and goes to the logger.
   * @see `Lock.unlock`
   */
  async unlock(lock: Lock): Promise<boolean> {
    if (Lock.isOf(lock, this)) return lock.unlock();
    throw new LockInvalidArgumentError('"lock" must be a Lock that this client granted.', { argument: 'lock' });
  }

  /**
   * Ends the client for good: calls that wait reject with `LOCK_CLOSED`; the `signal` of every lock held aborts with a
   * `LockLostError` whose cause is a `LockClosedError`, and the locks are released; the lock session is ended, the
   * change stream closed, and the MongoClient too where it was made of `uri`. An `exec` whose `fn` still runs ends as
   * after a loss.
   *
   * Takes until the releases are acknowledged, at most until the session's local deadline; what is left then is free
   * for others once the lease has lapsed (INV-08). Never rejects. Calling it again waits for the same.
   */
  async close(): Promise<void> {
    await this.#engine.close();
  }

  #lockOf(hold: Hold): Lock {
    return Lock.of({ hold, client: this });
  }

  #report<N extends LockEventName>(logger: SafeLogger, name: N, payload: LockEvents[N]): void {
    const logged = LOGGED[name];
    if (logged !== undefined) logger[logged.level](logged.message, ...detailsOf(payload[0]));
    (this.emit as (name: LockEventName, ...payload: unknown[]) => boolean).call(this, name, ...payload);
  }
}

function resolveOptions(given: LockClientOptions): { options: ResolvedOptions; source: LockSource } {
  const { options, source, problems } = checkOptions(given);
  if (options === null) throw new LockInvalidOptionError(problems);
  const deeper = sourceProblems(source);
  if (deeper.length > 0) throw new LockInvalidOptionError(deeper);
  return { options, source };
}

/** The signal is made when it is first read: most functions never do, and it is a good part of a handoff in memory. */
function contextOf(lock: Lock): ExecContext {
  return {
    get signal() {
      return lock.signal;
    },
    fencingToken: lock.fencingToken,
    lock,
  };
}

/** An error first, as loggers like it, then the other facts where there are any. */
function detailsOf(payload: object): unknown[] {
  if (!('error' in payload)) return [payload];
  const { error, ...facts } = payload;
  return Object.keys(facts).length > 0 ? [error, facts] : [error];
}

function lostWithResult(lost: LockLostError, result: unknown): LockLostError {
  const { message, resource, id, fencingToken, cause } = lost;
  return new LockLostError(message, {
    resource,
    id,
    cause,
    result,
    ...(fencingToken !== undefined && { fencingToken }),
  });
}
