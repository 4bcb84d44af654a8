/**
 * The exit codes: one table for every command, stable across versions, which the docs are held against. The codes of our own lie above what a
 * shell makes of signals (128 + 64 at most) and below ssh's 255, where hardly any program has its own. Used by whatever ends the process.
 */

/** One row of the table: the number, and when it is used. */
export interface ExitCodeRow {
  readonly code: number;
  readonly when: string;
}

/** The codes by name. */
export const EXIT = {
  OK: 0,
  NOTHING_RELEASED: 1,
  CANNOT_RUN: 126,
  NOT_FOUND: 127,
  NOT_ACQUIRED: 200,
  LOCK_LOST: 201,
  USAGE: 202,
  UNAVAILABLE: 203,
  FAILED: 204,
} as const;

/** A signal's part of the exit code, as shells have it. */
export const SIGNAL_BASE = 128;

/** When each is used, in the words of the docs. */
export const EXIT_CODES: readonly ExitCodeRow[] = [
  { code: EXIT.OK, when: 'done; from `exec`, the command ended with 0 and the lock was held all the while' },
  { code: EXIT.NOTHING_RELEASED, when: '`release`: that hold does not stand any more, or it was not confirmed' },
  { code: EXIT.CANNOT_RUN, when: '`exec`: the command was found and cannot be run' },
  { code: EXIT.NOT_FOUND, when: '`exec`: the command was not found' },
  { code: EXIT.NOT_ACQUIRED, when: '`exec`: not granted (`--try`, `--timeout`); `--conflict-exit-code` changes it' },
  { code: EXIT.LOCK_LOST, when: '`exec`: the lock was lost while the command ran, whatever the command made of it' },
  { code: EXIT.USAGE, when: 'wrong use: an option or argument; nothing was sent, nothing was run' },
  { code: EXIT.UNAVAILABLE, when: 'no database that can be used: unreachable, no replica set, privileges missing' },
  { code: EXIT.FAILED, when: 'anything else that went wrong' },
];

/** An error whose words are ours, and may be shown as they are. */
export class OwnError extends Error {}

/** An end that the user is told of: what to print and the exit code. */
export class CommandFailure extends OwnError {
  readonly exitCode: number;
  /** A word for programs, in the JSON form: a `LOCK_…` code of the library, or one of our own. */
  readonly code: string;

  constructor(message: string, { exitCode, code, cause }: { exitCode: number; code: string; cause?: unknown }) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'CommandFailure';
    this.exitCode = exitCode;
    this.code = code;
  }
}

/** Wrong use of an option or argument. */
export function usage(message: string): CommandFailure {
  return new CommandFailure(message, { exitCode: EXIT.USAGE, code: 'USAGE' });
}
