/**
 * What a failure of the driver means to us: one of the public errors, by what is known about the write. Pure. It looks
 * at `name`, `code` and labels and never at classes, because a mongoose connection brings another copy of the driver.
 * Whatever it does not know counts as unknown for a write. What is said of it is `driver-errors.ts`. Called by
 * `connect.ts`, `connection.ts` and `feed.ts`.
 */
import {
  LockError,
  LockInvalidOptionError,
  LockMissingPrivilegesError,
  LockOutcomeUnknownError,
  LockUnavailableError,
  LockUnsupportedTopologyError,
} from '../errors.js';
import { describedCause, orElse } from './driver-errors.js';

/** Whether the command that failed could have changed anything. */
export type Intent = 'read' | 'write';

/** The loser of two upserts of one absent document gets it; sending again helps, unless there is a unique index of others. */
export const DUPLICATE_KEY = 11000;
const UNAUTHORIZED = 13;

/** The driver has looked for a primary for as long as it may. */
const NO_PRIMARY_NAME = 'MongoServerSelectionError';
/** The driver refused before anything was sent: there was a primary, and may be another in a moment. */
const NOT_SENT_NAMES: ReadonlySet<string> = new Set([
  'MongoPoolClearedError',
  'MongoPoolClosedError',
  'MongoServerClosedError',
  'MongoWaitQueueTimeoutError',
]);
const CLIENT_CLOSED_NAMES: ReadonlySet<string> = new Set(['MongoTopologyClosedError', 'MongoNotConnectedError']);
/** The primary looks at its own state before it starts a write. */
const NOT_PRIMARY_CODES: ReadonlySet<number> = new Set([10107, 10058, 13435, 13436]);
const NOT_AUTHENTICATED_CODES: ReadonlySet<number> = new Set([11, 18, 334, 8000]);
/** Not a replica set, or a server that does not know what MongoDB 6.0 knows. */
const UNSUPPORTED_CODES: ReadonlySet<number> = new Set([59, 115, 168, 238, 303, 17276, 40324, 40573]);
/** The server will refuse the same command again: a validator, a view, an index that is defined otherwise. */
const REFUSED_CODES: ReadonlySet<number> = new Set([
  2, 9, 14, 17, 22, 40, 52, 54, 66, 67, 72, 73, 85, 86, 121, 166, 171, 197, 241, 323, 10334, 11000,
]);

/** The public error for whatever the driver threw, on `client` where that is known. Errors of ours pass through. */
export function failureOf(error: unknown, intent: Intent, client?: unknown): LockError {
  if (error instanceof LockError) return error;
  const cause = describedCause(error, client);
  return lasting(error, cause) ?? passing({ error, intent, cause });
}

/** Failures that sending again cannot help. */
function lasting(error: unknown, cause: Error): LockError | null {
  const { name, code } = marksOf(error);
  const { message } = cause;
  if (code === UNAUTHORIZED) return new LockMissingPrivilegesError(`${MISSING_ACTION} ${message}`, { cause });
  if (code !== null && NOT_AUTHENTICATED_CODES.has(code)) {
    return new LockMissingPrivilegesError(`The database user could not log in: ${message}`, { cause });
  }
  if (name === 'MongoCompatibilityError' || (code !== null && UNSUPPORTED_CODES.has(code))) {
    return new LockUnsupportedTopologyError(`A replica set of MongoDB 6.0 or later is needed: ${message}`, { cause });
  }
  if (name === 'MongoWriteConcernError') return null;
  if ((code !== null && REFUSED_CODES.has(code)) || isAssertion(error)) {
    return new LockInvalidOptionError([`The server refused a command that the locks need: ${message}`], { cause });
  }
  return null;
}

/** A large code without a name is an assertion: the server took offence at the command, or at a document it met. */
function isAssertion(error: unknown): boolean {
  const { code, codeName } = marksOf(error);
  return code !== null && code >= 10_000 && codeName === `Location${code}`;
}

const MISSING_ACTION =
  'The database user needs the actions find, insert, update, remove, changeStream and createIndex on the collection of ' +
  'the locks and on that of the sessions ("dlocks" and "dlocks.sessions" by default).';

interface Passing {
  readonly error: unknown;
  readonly intent: Intent;
  readonly cause: Error;
}

function passing({ error, intent, cause }: Passing): LockError {
  const { name } = marksOf(error);
  if (CLIENT_CLOSED_NAMES.has(name)) return new LockUnavailableError(CLIENT_CLOSED, { cause });
  if (intent === 'read' || name === NO_PRIMARY_NAME) {
    return new LockUnavailableError(`The database could not be reached: ${cause.message}`, { cause });
  }
  // Both are sent again. A caller is told that there is no primary only when the driver has looked for one in vain.
  const known = surelyNotApplied(error) ? 'A write was not done' : 'It is not known whether a write took effect';
  return new LockOutcomeUnknownError(`${known}: ${cause.message}`, { cause });
}

const CLIENT_CLOSED =
  'The MongoClient is closed. Connect it again with client.connect() (mongoose: connection.openUri()), ' +
  'and close the lock client before its MongoClient.';

function surelyNotApplied(error: unknown): boolean {
  const { name, code, labels } = marksOf(error);
  if (name === 'MongoWriteConcernError') return false;
  if (NOT_SENT_NAMES.has(name) || labels('HandshakeError') || labels('NoWritesPerformed')) return true;
  return code !== null && NOT_PRIMARY_CODES.has(code);
}

interface Marks {
  readonly name: string;
  readonly code: number | null;
  readonly codeName: unknown;
  readonly labels: (label: string) => boolean;
}

const NO_MARKS: Marks = { name: '', code: null, codeName: undefined, labels: () => false };

function marksOf(error: unknown): Marks {
  if (typeof error !== 'object' || error === null) return NO_MARKS;
  return orElse(NO_MARKS, () => {
    const { name, code, codeName, hasErrorLabel } = error as Readonly<Record<string, unknown>>;
    return {
      name: typeof name === 'string' ? name : '',
      code: typeof code === 'number' ? code : null,
      codeName,
      labels: (label) => {
        return orElse(false, () => typeof hasErrorLabel === 'function' && hasErrorLabel.call(error, label) === true);
      },
    };
  });
}

/** The server's code of a failure, or null. */
export function codeOf(error: unknown): number | null {
  return marksOf(error).code;
}
