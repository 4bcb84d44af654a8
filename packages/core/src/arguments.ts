/**
 * The arguments of the calls: their public types, and their check, which comes before anything is sent and names the
 * argument. Not the options of a client (`options.ts`). Called by the client.
 */

import { checkNames, type Given, isPlain, namesOf, readGrace, readSignal, readTimeout, refused } from './checks.js';
import type { ForceRequest } from './engine/forcer.js';
import type { AcquireRequest } from './engine/request.js';
import type { Lock } from './lock.js';
import { labelProblem } from './options.js';
import { type LockKeyPart, readKey, readLockValue } from './protocol/key.js';

/** Which lock; for `tryLock`. `resource` and `id` are at most 512 bytes of UTF-8 together. */
export interface TryLockRequest {
  /** The kind of thing that is locked, such as a collection's name. */
  readonly resource: LockKeyPart;
  /** Which one of them. */
  readonly id: LockKeyPart;
  /** A name for this call, in events, and shown by `inspect` while it waits. Up to 256 bytes. */
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

/** Which lock; for `inspect`. */
export interface InspectRequest {
  /** As of `lock`. */
  readonly resource: LockKeyPart;
  /** As of `lock`. */
  readonly id: LockKeyPart;
}

/** Which locks that are held; for `list`. */
export interface ListRequest {
  /** Only those of resources that begin so. */
  readonly prefix?: string | undefined;
  /** How many, 1 to 1,000; default 100. */
  readonly limit?: number | undefined;
  /** The `after` of the page before this one. */
  readonly after?: string | undefined;
}

/** Which hold is to be ended by force, and why; for `forceRelease`. */
export interface ForceReleaseRequest extends InspectRequest {
  /** Any token of the run that holds the lock: another run is left alone. */
  readonly fencingToken: number;
  /** Why: it is kept with the lock, and the holder is told. 1 to 256 bytes. */
  readonly reason: string;
  /** Who; default the client's label, else its process id and host. 1 to 256 bytes. */
  readonly by?: string | undefined;
}

/** How a client is closed. */
export interface CloseOptions {
  /** For how long those who hold locks may finish, in milliseconds; default 0. Nobody gets a new lock meanwhile. */
  readonly graceMS?: number | undefined;
}

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

function readLabel(label: unknown): string | undefined {
  const wrong = labelProblem(label);
  if (wrong === null) return label as string | undefined;
  throw refused('label', `"label" ${wrong}.`);
}

const PAGE_LIMIT = { usual: 100, max: 1_000 };
const TOLD_MAX_BYTES = 256;

/** Checks the arguments of `inspect`. */
export function checkInspect(request: unknown): { readonly resource: string; readonly id: string } {
  const { resource, id } = namesOf(request, ['resource', 'id']);
  readKey({ resource, id });
  return { resource: readLockValue('resource', resource), id: readLockValue('id', id) };
}

/** Checks the arguments of `list`. */
export function checkList(request: unknown = {}): {
  readonly prefix: string;
  readonly limit: number;
  readonly after: string | null;
} {
  const { prefix = '', limit = PAGE_LIMIT.usual, after = null } = namesOf(request, ['prefix', 'limit', 'after']);
  if (typeof prefix !== 'string') throw refused('prefix', '"prefix" must be a string.');
  if (after !== null && typeof after !== 'string') throw refused('after', '"after" must be that of the page before.');
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= PAGE_LIMIT.max) {
    return { prefix, limit, after };
  }
  throw refused('limit', `"limit" must be a whole number from 1 to ${PAGE_LIMIT.max}.`);
}

/** Checks the arguments of `forceRelease`; `by` is for where none is given. */
export function checkForceRelease(request: unknown, whoElse: string): ForceRequest {
  const given = namesOf(request, ['resource', 'id', 'fencingToken', 'reason', 'by']);
  const { resource, id, fencingToken, by = whoElse } = given;
  const key = readKey({ resource, id });
  if (!Number.isSafeInteger(fencingToken) || Number(fencingToken) < 1)
    throw refused(
      'fencingToken',
      '"fencingToken" must be a token of the run that holds the lock, such as inspect shows.',
    );
  return { key, fencingToken: Number(fencingToken), reason: readTold('reason', given.reason), by: readTold('by', by) };
}

/** Checks the arguments of `close`. */
export function checkClose(options: unknown): { readonly graceMS: number } {
  // It may have been given away as a listener, and be called with whatever listeners are.
  const { graceMS } = isPlain(options) ? namesOf(options, ['graceMS']) : {};
  return { graceMS: readGrace(graceMS, 0) };
}

function readTold(name: 'reason' | 'by', value: unknown): string {
  const fits = typeof value === 'string' && value !== '' && Buffer.byteLength(value) <= TOLD_MAX_BYTES;
  if (fits && !/\p{Surrogate}/u.test(value)) return value;
  throw refused(name, `"${name}" must be a text of 1 to ${TOLD_MAX_BYTES} bytes.`);
}
