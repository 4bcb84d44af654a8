/**
 * The arguments of the calls: their public types, and their check, which comes before anything is sent and names the
 * argument. Not the options of a client (`options.ts`). Called by the client.
 */
import type { AcquireRequest } from './engine/request.js';
import { LockInvalidArgumentError } from './errors.js';
import type { Lock } from './lock.js';
import { labelProblem } from './options.js';
import { type LockKeyPart, readKey } from './protocol/key.js';

/** Which lock; for `tryLock`. `resource` and `id` are at most 512 bytes of UTF-8 together. */
export interface TryLockRequest {
  /** The kind of thing that is locked, such as a collection's name. */
  readonly resource: LockKeyPart;
  /** Which one of them. */
  readonly id: LockKeyPart;
  /** A name for this call, in events. Up to 256 bytes. */
  readonly label?: string | undefined;
}

/** Which lock, and how long to wait for it; for `lock`. */
export interface LockRequest extends TryLockRequest {
  /**
   * How long to wait for the grant, in milliseconds: 0 or more. `0` means not to wait, `Infinity`, the default, for
   * ever. It does not limit how long the lock is held.
   */
  readonly timeoutMS?: number | undefined;
  /** Ends the wait: the call rejects with `signal.reason`. It has no effect once the lock is granted. */
  readonly signal?: AbortSignal | undefined;
}

/** What `fn` is given by `exec`. */
export interface ExecContext {
  /** Aborts with `LockLostError` when the lock can no longer be relied on. Hand it on to whatever `fn` does. */
  readonly signal: AbortSignal;
  /** Strictly rising for each resource and id: give it to what is guarded, and have it refuse lower ones. */
  readonly fencingToken: number;
  /** The lock itself; it may be unlocked before `fn` is done. */
  readonly lock: Lock;
}

/** Which lock, how long to wait for it, and what to do while it is held; for `exec`. */
export interface ExecRequest<T> extends LockRequest {
  /** Called once, with the lock held. It may take as long as it likes. */
  readonly fn: (context: ExecContext) => T | PromiseLike<T>;
}

type Given = Readonly<Record<string, unknown>>;

const TRY_NAMES: readonly string[] = ['resource', 'id', 'label'];
const LOCK_NAMES: readonly string[] = [...TRY_NAMES, 'timeoutMS', 'signal'];
const EXEC_NAMES: readonly string[] = [...LOCK_NAMES, 'fn'];

/** Checks the arguments of `tryLock`. Throws `LockInvalidArgumentError`, as the others do. */
export function checkTryLock(request: unknown): AcquireRequest {
  return check(request, TRY_NAMES);
}

/** Checks the arguments of `lock`. */
export function checkLock(request: unknown): AcquireRequest {
  return check(request, LOCK_NAMES);
}

/** Checks the arguments of `exec`. */
export function checkExec<T>(request: ExecRequest<T>): {
  readonly checked: AcquireRequest;
  readonly fn: ExecRequest<T>['fn'];
} {
  const checked = check(request, EXEC_NAMES);
  const { fn } = request;
  if (typeof fn !== 'function') throw refused('fn', '"fn" must be a function.');
  return { checked, fn };
}

function check(request: unknown, names: readonly string[]): AcquireRequest {
  if (typeof request !== 'object' || request === null)
    throw refused('request', 'Give an object with "resource" and "id".');
  const given = request as Given;
  checkNames(given, names);
  const { resource, id } = given;
  const key = readKey({ resource, id });
  const timeoutMS = readTimeout(given.timeoutMS);
  const signal = readSignal(given.signal);
  const label = readLabel(given.label);
  return { key, resource, id, timeoutMS, ...(signal && { signal }), ...(label !== undefined && { label }) };
}

/** A misspelt `timeoutMS` would wait for ever, and a `signal` given to `tryLock` would do nothing: neither in silence. */
function checkNames(given: Given, names: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (names.includes(name) || given[name] === undefined) continue;
    throw refused(
      name,
      `There is no argument "${name}" here; there are ${names.map((known) => `"${known}"`).join(', ')}.`,
    );
  }
}

function readTimeout(value: unknown): number {
  if (value === undefined) return Number.POSITIVE_INFINITY;
  if (typeof value === 'number' && value >= 0) return value;
  throw refused('timeoutMS', '"timeoutMS" must be a number of milliseconds, 0 or more, or Infinity.');
}

function readSignal(value: unknown): AbortSignal | undefined {
  if (value === undefined) return undefined;
  if (isSignal(value)) return value;
  throw refused('signal', '"signal" must be an AbortSignal.');
}

/** By its shape: a signal of another realm, such as a test environment's, is no instance of ours. */
function isSignal(value: unknown): value is AbortSignal {
  if (typeof value !== 'object' || value === null) return false;
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>;
  return (
    typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  );
}

function readLabel(label: unknown): string | undefined {
  const wrong = labelProblem(label);
  if (wrong === null) return label as string | undefined;
  throw refused('label', `"label" ${wrong}.`);
}

function refused(argument: string, message: string): LockInvalidArgumentError {
  return new LockInvalidArgumentError(message, { argument });
}
