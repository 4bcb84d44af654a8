/**
 * Every error this library rejects or throws with: one base class, one class per code. They carry facts, and no part of a
 * connection string; neither do their causes (`mongo/driver-errors.ts`). Recognise them by `code`, which holds across
 * copies of the package, rather than by `instanceof`.
 */

/** The stable code of each error, for `switch (error.code)`. */
export type LockErrorCode =
  | 'LOCK_TIMEOUT'
  | 'LOCK_LOST'
  | 'LOCK_CLOSED'
  | 'LOCK_NOT_CONFIGURED'
  | 'LOCK_INVALID_OPTION'
  | 'LOCK_INVALID_ARGUMENT'
  | 'LOCK_UNSUPPORTED_TOPOLOGY'
  | 'LOCK_MISSING_PRIVILEGES'
  | 'LOCK_NEWER_VERSION'
  | 'LOCK_OUTCOME_UNKNOWN'
  | 'LOCK_LIMIT'
  | 'LOCK_UNAVAILABLE';

/** What a caller may lock by: the value as the caller gave it. */
export type LockValue = unknown;

/** The facts an error may be built with; each is left out where it is not known. */
export interface LockErrorFacts {
  /**
   * What led to this error: another `LockError`, the reason of a signal, or a description of the driver's error: its name,
   * code, `codeName` and `errorLabels`, in words that hold nothing of the connection string.
   */
  readonly cause?: unknown;
  /** The caller's own `resource`. */
  readonly resource?: LockValue;
  /** The caller's own `id`. */
  readonly id?: LockValue;
}

/** The base of all errors of this library. */
export abstract class LockError extends Error {
  /** Which error this is; stable across versions and copies of the package. */
  abstract readonly code: LockErrorCode;
  /** Whether the same call may succeed when it is made again, with nothing else changed. */
  abstract readonly retryable: boolean;
  /** The caller's own `resource`, where the error is about one lock. */
  declare readonly resource?: LockValue;
  /** The caller's own `id`, where the error is about one lock. */
  declare readonly id?: LockValue;

  constructor(message: string, facts: LockErrorFacts = {}) {
    super(message, 'cause' in facts && facts.cause !== undefined ? { cause: facts.cause } : undefined);
    this.name = new.target.name;
    if (facts.resource !== undefined) this.resource = facts.resource;
    if (facts.id !== undefined) this.id = facts.id;
  }
}

/** Who held a lock, as far as this process had read it. */
export interface LockHolder {
  /** The lock session of the holder. */
  readonly session: string;
  /** The first fencing token of the holder's current run. */
  readonly fencingToken: number;
  /** The holder's host name. */
  readonly host?: string;
  /** The holder's process id on that host. */
  readonly pid?: number;
  /** The holder's `label` option. */
  readonly label?: string;
}

/**
 * `LOCK_TIMEOUT`: the lock was not granted within `timeoutMS`. Nothing of the call is left in the queue.
 *
 * What to do: call again when it suits, or let the caller know; `holder` says who had the lock.
 */
export class LockTimeoutError extends LockError {
  readonly code = 'LOCK_TIMEOUT';
  readonly retryable = true;
  /** How long the call waited, in milliseconds. */
  readonly waitedMS: number;
  /** Who held the lock, as far as it was read; it may have changed since. */
  declare readonly holder?: LockHolder;

  constructor(message: string, facts: LockErrorFacts & { readonly waitedMS: number; readonly holder?: LockHolder }) {
    super(message, facts);
    this.waitedMS = facts.waitedMS;
    if (facts.holder !== undefined) this.holder = facts.holder;
  }
}

/** A release by somebody else than the holder: what `forceRelease` was called with. */
export interface ForcedRelease {
  /** The first fencing token of the run that was ended. */
  readonly fencingToken: number;
  /** Why. */
  readonly reason: string;
  /** Who did it. */
  readonly by: string;
}

/**
 * `LOCK_LOST`: the hold can no longer be relied on. The reason of `lock.signal`, and what `exec` rejects with when the
 * lock was lost before `fn` settled and `fn` succeeded; `result` is then what `fn` returned.
 *
 * What to do: stop, and do the whole work again under a new lock. What was written after the loss may stand beside the
 * work of the next holder, unless it was fenced.
 */
export class LockLostError extends LockError {
  readonly code = 'LOCK_LOST';
  readonly retryable = false;
  /** The token of the hold that was lost. */
  declare readonly fencingToken?: number;
  /** What `fn` returned although the lock was lost meanwhile; only from `exec`. */
  declare readonly result?: unknown;
  /** Who ended the hold and why, where it was released by force. */
  declare readonly forced?: ForcedRelease;

  constructor(
    message: string,
    facts: LockErrorFacts & {
      readonly fencingToken?: number;
      readonly result?: unknown;
      readonly forced?: ForcedRelease;
    } = {},
  ) {
    super(message, facts);
    if (facts.fencingToken !== undefined) this.fencingToken = facts.fencingToken;
    if (facts.forced !== undefined) this.forced = facts.forced;
    if ('result' in facts) this.result = facts.result;
  }
}

/**
 * `LOCK_CLOSED`: the client was closed, before or during the call.
 *
 * What to do: nothing while the process shuts down; else make a new client.
 */
export class LockClosedError extends LockError {
  readonly code = 'LOCK_CLOSED';
  readonly retryable = false;
}

/**
 * `LOCK_NOT_CONFIGURED`: `DLocks` was used before `DLocks.configure`.
 *
 * What to do: call `DLocks.configure` once, where the process starts.
 */
export class LockNotConfiguredError extends LockError {
  readonly code = 'LOCK_NOT_CONFIGURED';
  readonly retryable = false;
}

/**
 * `LOCK_INVALID_OPTION`: an option, or the connection given, cannot work. `problems` has every one of them.
 *
 * What to do: correct what `problems` names; where the server refuses a collection, the message says what that has
 * become.
 */
export class LockInvalidOptionError extends LockError {
  readonly code = 'LOCK_INVALID_OPTION';
  readonly retryable = false;
  /** One sentence for each problem found. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[], facts: LockErrorFacts = {}) {
    super(problems.join(' '), facts);
    this.problems = problems;
  }
}

/**
 * `LOCK_INVALID_ARGUMENT`: an argument of a call cannot work; nothing was sent.
 *
 * What to do: correct the call.
 */
export class LockInvalidArgumentError extends LockError {
  readonly code = 'LOCK_INVALID_ARGUMENT';
  readonly retryable = false;
  /** The name of the argument. */
  readonly argument: string;

  constructor(message: string, facts: LockErrorFacts & { readonly argument: string }) {
    super(message, facts);
    this.argument = facts.argument;
  }
}

/**
 * `LOCK_UNSUPPORTED_TOPOLOGY`: the server is no replica set of MongoDB 6.0 or later; the message says what to do.
 *
 * What to do: connect to a replica set; the message has the commands that make one of a standalone server.
 */
export class LockUnsupportedTopologyError extends LockError {
  readonly code = 'LOCK_UNSUPPORTED_TOPOLOGY';
  readonly retryable = false;
}

/**
 * `LOCK_MISSING_PRIVILEGES`: the database user may not do what is needed; the message names the actions.
 *
 * What to do: give the user the role that the message has, or have an administrator run its commands once.
 */
export class LockMissingPrivilegesError extends LockError {
  readonly code = 'LOCK_MISSING_PRIVILEGES';
  readonly retryable = false;
}

/**
 * `LOCK_NEWER_VERSION`: a stored document was written by a newer version of this library; upgrade this process.
 *
 * What to do: upgrade this process; where another tool wrote the document, correct that.
 */
export class LockNewerVersionError extends LockError {
  readonly code = 'LOCK_NEWER_VERSION';
  readonly retryable = false;
}

/**
 * `LOCK_OUTCOME_UNKNOWN`: it could not be found out whether a write took effect. Of a call for a lock: the caller holds
 * nothing, and what may have been granted ends with the lock session. Of a fenced transaction: it may have been
 * committed. Of a forced release: it may have ended the run.
 *
 * What to do: call again; but look first whether a transaction was committed that must not run twice.
 */
export class LockOutcomeUnknownError extends LockError {
  readonly code = 'LOCK_OUTCOME_UNKNOWN';
  readonly retryable = true;
}

/**
 * `LOCK_LIMIT`: a named limit of the client is reached, such as `waitersMaxCount`.
 *
 * What to do: call again when fewer wait, or raise the limit.
 */
export class LockLimitError extends LockError {
  readonly code = 'LOCK_LIMIT';
  readonly retryable = true;
}

/**
 * `LOCK_UNAVAILABLE`: the first connection or the first attempt found no primary within the driver's
 * `serverSelectionTimeoutMS`. `cause` has the name and the code of the driver's error. Nothing of the call is left behind.
 *
 * What to do: call again when the server can be reached.
 */
export class LockUnavailableError extends LockError {
  readonly code = 'LOCK_UNAVAILABLE';
  readonly retryable = true;
}
