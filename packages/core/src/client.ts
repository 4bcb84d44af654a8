/**
 * The client: what users make and call. It checks what it is given, joins the engine to the database, and has the
 * events and the logger; how a lock is had and passed on is the engine's. `DLocks` is one client behind statics.
 */
import {
  type CloseOptions,
  checkClose,
  checkExec,
  checkForceRelease,
  checkInspect,
  checkList,
  checkLock,
  checkTryLock,
  type ExecContext,
  type ExecRequest,
  type ForceReleaseRequest,
  type InspectRequest,
  type ListRequest,
  type LockRequest,
  type TryLockRequest,
} from './arguments.js';
import { type Clock, systemClock } from './base/clock.js';
import type { LogLevel, SafeLogger } from './base/logger.js';
import { hostName, processId } from './base/machine.js';
import { type Random, systemRandom } from './base/random.js';
import { type AcquireMessage, acquisitionOf, isEventFollowed, publishEvent, traceAcquire } from './diagnostics.js';
import { Engine } from './engine/engine.js';
import type { Hold } from './engine/hold.js';
import type { AcquireRequest } from './engine/request.js';
import { LockInvalidArgumentError, LockInvalidOptionError, LockLostError } from './errors.js';
import { type LockEventName, type LockEvents, SafeEmitter } from './events.js';
import { Lock, type LockWork } from './lock.js';
import { checkTransaction } from './lock-arguments.js';
import { sourceProblems } from './mongo/connect.js';
import type { FencedTransactions } from './mongo/fenced-transactions.js';
import type { Inspector } from './mongo/inspector.js';
import { createMongoPorts } from './mongo/ports.js';
import { checkOptions, type LockClientOptions, type LockSource, type ResolvedOptions } from './options.js';
import type { ChangeFeed, LockStore } from './ports.js';
import type { LockInspection, LockPage } from './protocol/inspection.js';

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
const LOGGED: Readonly<Partial<Record<LockEventName, { level: LogLevel; message: string }>>> = {
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
  readonly #inspector: Inspector;
  readonly #transactions: FencedTransactions;
  /** Who is named where this client releases by force, and says no other name. */
  readonly #name: string;
  /** What its locks have it do; known by them, so that it also tells whose they are. */
  readonly #work: LockWork<Hold> = this.#makeWork();

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
    const { inspector, transactions, ...ports } = createMongoPorts({ source, options, clock, random });
    const { store, feed } = wrapPorts(ports);
    this.#inspector = inspector;
    this.#transactions = transactions;
    this.#name = options.label ?? `${processId()}@${hostName()}`;
    this.#engine = new Engine({
      options,
      store,
      feed,
      clock,
      random,
      host: hostName(),
      pid: processId(),
      listens: (name) => this.listenerCount(name) > 0 || isEventFollowed(name),
      emit: (name, event, request) => this.#report(options.logger, name, event, request),
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
    const checked = checkLock(request);
    const acquisition = acquisitionOf('lock', this, checked);
    return this.#lockOf(await this.#acquire(checked, acquisition));
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
    const checked = checkTryLock(request);
    const acquisition = acquisitionOf('tryLock', this, checked);
    const hold =
      acquisition === null ? await this.#engine.tryAcquire(checked) : await this.#traceTry(checked, acquisition);
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
    const acquisition = acquisitionOf('exec', this, checked);
    const lock = this.#lockOf(await this.#acquire(checked, acquisition));
    let result: T;
    try {
      const around = acquisition?.around;
      result = await (around === undefined ? fn(contextOf(lock)) : callAround(around, fn, lock));
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
    if (Lock.isOf(lock, this.#work)) return lock.unlock();
    throw new LockInvalidArgumentError('"lock" must be a Lock that this client granted.', { argument: 'lock' });
  }

  /**
   * Ends the client for good: calls that wait reject with `LOCK_CLOSED`; the `signal` of every lock held aborts with a
   * `LockLostError` whose cause is a `LockClosedError`, and the locks are released; the lock session is ended, the
   * change stream closed, and the MongoClient too where it was made of `uri`. An `exec` whose `fn` still runs ends as
   * after a loss.
   *
   * With `graceMS` those who hold locks may finish first: calls that wait reject at once, new ones too, and what is still
   * held after so long is lost as above.
   *
   * Takes until the releases are acknowledged, at most until the session's local deadline; what is left then is free
   * for others once the lease has lapsed (INV-08). With `releaseLostLocks: 'on-unlock'` a lock is released when its
   * holder has unlocked it, and `close` waits for that as long. Calling it again waits for the same; without `graceMS`
   * it ends the grace of an earlier call. What is no object, such as the arguments of a listener, is taken for no
   * options.
   *
   * @throws `LOCK_INVALID_ARGUMENT`, as a rejection. Nothing else.
   */
  async close(options?: CloseOptions): Promise<void> {
    await this.#engine.close(checkClose(options).graceMS);
  }

  /**
   * Shows one lock: who holds it, and who waits, in order. One read, whatever there is to show; nothing is locked or
   * changed by it, and it may be out of date when it arrives.
   *
   * @param request Which lock.
   * @returns The holder and the queue; `holder` is `null` where it is free, or was never taken.
   * @throws `LOCK_INVALID_ARGUMENT`, before anything was sent; `LOCK_CLOSED`; and as `connect`, as rejections.
   */
  async inspect(request: InspectRequest): Promise<LockInspection> {
    const subject = checkInspect(request);
    return this.#engine.use(() => this.#inspector.inspect(subject));
  }

  /**
   * Lists locks that are held, in the order of their keys, a page at a time. One read a page.
   *
   * @param request `prefix` of the resource, `limit` (1 to 1,000, default 100), and `after`: that of the page before.
   * @returns The page; its `after` is `null` where there are no more.
   * @throws As `inspect`.
   */
  async list(request?: ListRequest): Promise<LockPage> {
    const checked = checkList(request);
    return this.#engine.use(() => this.#inspector.list(checked));
  }

  /**
   * Takes a lock away from whoever holds it, for an operator who knows better: the run that the token belongs to ends,
   * and the lock goes to the next in the queue. Callers of that run that were not served yet queue again. The holder's
   * `signal` aborts as soon as it is told, by its change stream where it has one open, else with its next heartbeat,
   * with a `LockLostError` whose `forced` has the reason: until then it may go on, which only fencing tokens and fenced
   * transactions guard against. Who did it and why is kept with the lock, for `inspect`.
   *
   * @param request Which lock, any token of the run that is to end, `reason`, and `by`.
   * @returns `true` when this call ended that run; `false` when it did not hold the lock any more.
   * @throws `LOCK_INVALID_ARGUMENT`, before anything was sent; `LOCK_CLOSED`; and as `connect`, as rejections.
   */
  async forceRelease(request: ForceReleaseRequest): Promise<boolean> {
    return this.#engine.forceRelease(checkForceRelease(request, this.#name));
  }

  #lockOf(hold: Hold): Lock {
    return Lock.of({ hold, work: this.#work });
  }

  #makeWork(): LockWork<Hold> {
    return {
      contended: (hold) => this.#engine.contended(hold),
      withTransaction: async (hold, body, options) => {
        const settings = checkTransaction(body, options);
        const gate = { key: hold.request.key, hold };
        return this.#engine.during(() => this.#transactions.run(gate, settings, body));
      },
      yieldHold: async (hold, limits) => {
        if (!(await hold.release())) throw hold.lostError ?? hold.notHeld();
        const { signal: _signal, timeoutMS: _timeoutMS, acquisition: _acquisition, ...about } = hold.request;
        const request = { ...about, ...limits };
        const acquisition = acquisitionOf('yield', this, request);
        const next = await this.#acquire(request, acquisition);
        next.continueSignal(hold);
        return next;
      },
    };
  }

  /** Waits in the queue; told on the channels where somebody follows. Throws where it is refused at once. */
  #acquire(request: AcquireRequest, acquisition: AcquireMessage | null): Promise<Hold> {
    if (acquisition === null) return this.#engine.acquire(request);
    return this.#trace(request, acquisition);
  }

  // Apart from what calls them: a function that makes a closure, or may, weighs on each of its calls.

  #trace(request: AcquireRequest, acquisition: AcquireMessage): Promise<Hold> {
    return traceAcquire(acquisition, async () => this.#engine.acquire({ ...request, acquisition }));
  }

  #traceTry(request: AcquireRequest, acquisition: AcquireMessage): Promise<Hold | null> {
    return traceAcquire(acquisition, async () => this.#engine.tryAcquire({ ...request, acquisition }));
  }

  #report<N extends LockEventName>(
    logger: SafeLogger,
    name: N,
    event: LockEvents[N][0],
    request: AcquireRequest | undefined,
  ): void {
    const logged = LOGGED[name];
    if (logged !== undefined) logger.tell({ ...logged, event: name, facts: event });
    publishEvent(this, name, event, request?.acquisition as AcquireMessage | undefined);
    (this.emit as (name: LockEventName, event: unknown) => boolean).call(this, name, event);
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
    get fencingToken() {
      return lock.fencingToken;
    },
    lock,
  };
}

/** Calls the `fn` of an `exec` as a follower of calls would have it. */
function callAround<T>(
  around: NonNullable<AcquireMessage['around']>,
  fn: ExecRequest<T>['fn'],
  lock: Lock,
): T | PromiseLike<T> {
  return around(() => fn(contextOf(lock)));
}

function lostWithResult(lost: LockLostError, result: unknown): LockLostError {
  const { message, resource, id, fencingToken, cause, forced } = lost;
  return new LockLostError(message, {
    resource,
    id,
    cause,
    result,
    ...(fencingToken !== undefined && { fencingToken }),
    ...(forced !== undefined && { forced }),
  });
}
