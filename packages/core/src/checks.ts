/**
 * The pieces that the checks of arguments are made of; each throws `LockInvalidArgumentError`, which names the argument.
 * `arguments.ts` and `lock-arguments.ts` call them.
 */
import { LockInvalidArgumentError } from './errors.js';

/** An object that came from a caller. */
export type Given = Readonly<Record<string, unknown>>;

/** The object, when it has no other names than these. */
export function namesOf(request: unknown, names: readonly string[]): Given {
  if (!isPlain(request))
    throw refused('request', `Give an object with ${names.map((name) => `"${name}"`).join(', ')}.`);
  checkNames(request, names);
  return request;
}

/** A misspelt `timeoutMS` would wait for ever, and a `signal` given to `tryLock` would do nothing: neither in silence. */
export function checkNames(given: Given, names: readonly string[]): void {
  for (const name of Object.keys(given)) {
    if (names.includes(name) || given[name] === undefined) continue;
    throw refused(
      name,
      `There is no argument "${name}" here; there are ${names.map((known) => `"${known}"`).join(', ')}.`,
    );
  }
}

/** A limit of waiting; for ever where there is none. */
export function readTimeout(value: unknown): number {
  if (value === undefined) return Number.POSITIVE_INFINITY;
  if (typeof value === 'number' && value >= 0) return value;
  throw refused('timeoutMS', '"timeoutMS" must be a number of milliseconds, 0 or more, or Infinity.');
}

const GRACE_MAX_MS = 86_400_000;

/** For how long holders may finish. */
export function readGrace(value: unknown, usualMS: number): number {
  const graceMS = value ?? usualMS;
  if (typeof graceMS === 'number' && graceMS >= 0 && graceMS <= GRACE_MAX_MS) return graceMS;
  throw refused('graceMS', `"graceMS" must be a number of milliseconds from 0 to ${GRACE_MAX_MS}.`);
}

/** A signal, where there is one. */
export function readSignal(value: unknown): AbortSignal | undefined {
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

/** Whether it is an object with names. */
export function isPlain(value: unknown): value is Given {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The error. */
export function refused(argument: string, message: string): LockInvalidArgumentError {
  return new LockInvalidArgumentError(message, { argument });
}
