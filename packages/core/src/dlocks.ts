/**
 * The static façade: the surface of the older package, over one default client. Not a second implementation: every
 * call is the default client's. `require('mongo-distributed-locks')` is this class, so the other exports are its
 * statics, too.
 */
import {
  type CloseOptions,
  checkClose,
  type ExecRequest,
  type ForceReleaseRequest,
  type InspectRequest,
  type ListRequest,
  type LockRequest,
  type TryLockRequest,
} from './arguments.js';
import { consoleLogger } from './base/logger.js';
import { LockClient } from './client.js';
import {
  LockClosedError,
  LockError,
  LockInvalidArgumentError,
  LockInvalidOptionError,
  LockLimitError,
  LockLostError,
  LockMissingPrivilegesError,
  LockNewerVersionError,
  LockNotConfiguredError,
  LockOutcomeUnknownError,
  LockTimeoutError,
  LockUnavailableError,
  LockUnsupportedTopologyError,
} from './errors.js';
import { Lock } from './lock.js';
import type { LockClientOptions } from './options.js';
import type { LockInspection, LockPage } from './protocol/inspection.js';
import { shutdownOnSignal } from './shutdown.js';

/** What logs a failure nobody is told of. */
export type LoggerErrorFn = (message: string, ...details: unknown[]) => unknown;

/** A request that may have an `fn`, which is ignored: the older package passed one object to everything. */
export interface LockRequestWithFn extends LockRequest {
  /** Ignored. */
  readonly fn?: unknown;
}

/** The default client. `closed` is from the call of `close` on: then another may be configured. */
let current: { readonly client: LockClient; closed: boolean } | null = null;
/** Read at each failure: it may be registered before `configure` and after. */
let loggerErrorFn: LoggerErrorFn = consoleLogger.error;

function defaultClient(): LockClient {
  if (current !== null) return current.client;
  throw new LockNotConfiguredError(
    'Call DLocks.configure() first, once, such as DLocks.configure({ uri }), or { connection: mongoose.connection }.',
  );
}

/**
 * Fair locks through one default client: configure it once, at the start of the process.
 *
 * The methods may be taken off the class. Each rejects with `LOCK_NOT_CONFIGURED` before `configure`.
 *
 * @example
 * ```ts
 * DLocks.configure({ uri: 'mongodb://localhost/app?replicaSet=rs0' });
 * await DLocks.exec({ resource: 'account', id: 7, fn: async () => book() });
 * ```
 */
export class DLocks<T = unknown> {
  // `require` gives this class alone: what else the module exports is reached through it.
  /** This class. */
  static readonly DLocks: typeof DLocks = DLocks;
  /** The class behind the default client, for any number of clients. */
  static readonly LockClient: typeof LockClient = LockClient;
  /** The class of locks. */
  static readonly Lock: typeof Lock = Lock;
  /** An orderly end of the process on a signal. */
  static readonly shutdownOnSignal: typeof shutdownOnSignal = shutdownOnSignal;
  /** The base of all errors. */
  static readonly LockError: typeof LockError = LockError;
  /** `LOCK_TIMEOUT` */
  static readonly LockTimeoutError: typeof LockTimeoutError = LockTimeoutError;
  /** `LOCK_LOST` */
  static readonly LockLostError: typeof LockLostError = LockLostError;
  /** `LOCK_CLOSED` */
  static readonly LockClosedError: typeof LockClosedError = LockClosedError;
  /** `LOCK_NOT_CONFIGURED` */
  static readonly LockNotConfiguredError: typeof LockNotConfiguredError = LockNotConfiguredError;
  /** `LOCK_INVALID_OPTION` */
  static readonly LockInvalidOptionError: typeof LockInvalidOptionError = LockInvalidOptionError;
  /** `LOCK_INVALID_ARGUMENT` */
  static readonly LockInvalidArgumentError: typeof LockInvalidArgumentError = LockInvalidArgumentError;
  /** `LOCK_UNSUPPORTED_TOPOLOGY` */
  static readonly LockUnsupportedTopologyError: typeof LockUnsupportedTopologyError = LockUnsupportedTopologyError;
  /** `LOCK_MISSING_PRIVILEGES` */
  static readonly LockMissingPrivilegesError: typeof LockMissingPrivilegesError = LockMissingPrivilegesError;
  /** `LOCK_NEWER_VERSION` */
  static readonly LockNewerVersionError: typeof LockNewerVersionError = LockNewerVersionError;
  /** `LOCK_OUTCOME_UNKNOWN` */
  static readonly LockOutcomeUnknownError: typeof LockOutcomeUnknownError = LockOutcomeUnknownError;
  /** `LOCK_LIMIT` */
  static readonly LockLimitError: typeof LockLimitError = LockLimitError;
  /** `LOCK_UNAVAILABLE` */
  static readonly LockUnavailableError: typeof LockUnavailableError = LockUnavailableError;

  readonly #request: ExecRequest<T>;

  /**
   * Keeps what `exec` of this instance is to do: the older package's form. Checks and sends nothing.
   *
   * @param request As of the static `exec`.
   */
  constructor(request: ExecRequest<T>) {
    this.#request = request;
  }

  /**
   * The same as the static `exec`, with what the constructor was given.
   *
   * @returns What `fn` returned.
   * @throws As `LockClient.exec`, and `LOCK_NOT_CONFIGURED`, as rejections.
   */
  exec(): Promise<T> {
    return DLocks.exec(this.#request);
  }

  /**
   * Makes the default client. Synchronous; sends nothing.
   *
   * @param options As of `LockClient`. Without `logger`, errors go to what `registerLoggerErrorFn` was given.
   * @throws `LOCK_INVALID_OPTION`, with every problem; also where there is a default client that was not closed.
   */
  static configure(options: LockClientOptions): void {
    if (current !== null && !current.closed) {
      throw new LockInvalidOptionError([
        'DLocks is configured already. Call DLocks.close() before you configure it anew.',
      ]);
    }
    // Without an object there is nothing to put a logger into: the client says what is wrong with it.
    const given = typeof options === 'object' && options !== null ? withLogger(options) : options;
    current = { client: new LockClient(given), closed: false };
  }

  /**
   * Sets what logs the failures that nobody is told of, for a default client without a `logger` of its own. May be
   * called before `configure`, and after; the last one counts. Default: `console.error`.
   *
   * @param fn Called with a message, the error, and facts. What it throws harms nothing.
   * @throws `LOCK_INVALID_ARGUMENT` where it is no function.
   */
  static registerLoggerErrorFn(fn: LoggerErrorFn): void {
    if (typeof fn !== 'function') throw new LockInvalidArgumentError('"fn" must be a function.', { argument: 'fn' });
    loggerErrorFn = fn;
  }

  /**
   * Waits for the lock, calls `fn` with it, and unlocks once `fn` has settled.
   *
   * @returns What `fn` returned.
   * @throws As `LockClient.exec`, and `LOCK_NOT_CONFIGURED`, as rejections.
   */
  static async exec<R>(request: ExecRequest<R>): Promise<R> {
    return defaultClient().exec(request);
  }

  /**
   * Waits for the lock. An `fn` is accepted and ignored, as it was by the older package.
   *
   * @returns The `Lock`.
   * @throws As `LockClient.lock`, and `LOCK_NOT_CONFIGURED`, as rejections.
   */
  static async lock(request: LockRequestWithFn): Promise<Lock> {
    return defaultClient().lock(withoutFn(request));
  }

  /**
   * Takes the lock if it is free and nobody waits for it.
   *
   * @returns The `Lock`, or `null`.
   * @throws As `LockClient.tryLock`, and `LOCK_NOT_CONFIGURED`, as rejections.
   */
  static async tryLock(request: TryLockRequest): Promise<Lock | null> {
    return defaultClient().tryLock(request);
  }

  /**
   * Releases a lock of the default client.
   *
   * @returns `true` when this call released it, else `false`.
   * @throws As `LockClient.unlock`, and `LOCK_NOT_CONFIGURED`, as rejections.
   */
  static async unlock(lock: Lock): Promise<boolean> {
    return defaultClient().unlock(lock);
  }

  /**
   * Shows one lock: who holds it, and who waits, in order.
   *
   * @returns The holder and the queue.
   * @throws As `LockClient.inspect`, and `LOCK_NOT_CONFIGURED`, as rejections.
   */
  static async inspect(request: InspectRequest): Promise<LockInspection> {
    return defaultClient().inspect(request);
  }

  /**
   * Lists locks that are held, a page at a time.
   *
   * @returns The page.
   * @throws As `LockClient.list`, and `LOCK_NOT_CONFIGURED`, as rejections.
   */
  static async list(request?: ListRequest): Promise<LockPage> {
    return defaultClient().list(request);
  }

  /**
   * Takes a lock away from whoever holds it.
   *
   * @returns `true` when this call ended that run, else `false`.
   * @throws As `LockClient.forceRelease`, and `LOCK_NOT_CONFIGURED`, as rejections.
   */
  static async forceRelease(request: ForceReleaseRequest): Promise<boolean> {
    return defaultClient().forceRelease(request);
  }

  /**
   * Closes the default client, as `LockClient.close`; `configure` may be called again from then on. Does nothing where
   * there is none.
   *
   * @throws As `LockClient.close`.
   */
  static async close(options?: CloseOptions): Promise<void> {
    if (current === null) return;
    const { client } = current;
    // Wrong options close nothing.
    checkClose(options);
    current.closed = true;
    await client.close(options);
  }
}

function withLogger(options: LockClientOptions): LockClientOptions {
  if (options.logger !== undefined) return options;
  return { ...options, logger: { error: (message, ...details) => loggerErrorFn(message, ...details) } };
}

function withoutFn(request: LockRequestWithFn): LockRequest {
  if (typeof request !== 'object' || request === null) return request;
  const { fn: _ignored, ...rest } = request;
  return rest;
}
