/**
 * From what was thrown to what the user is told: the exit code and the words. It knows errors of the library and of the driver by their codes and
 * names, so that another copy of either does no harm.
 */
import { CommandFailure, EXIT } from './exit-codes.js';

const EXIT_BY_CODE: Readonly<Record<string, number>> = {
  LOCK_TIMEOUT: EXIT.NOT_ACQUIRED,
  LOCK_LOST: EXIT.LOCK_LOST,
  LOCK_INVALID_OPTION: EXIT.USAGE,
  LOCK_INVALID_ARGUMENT: EXIT.USAGE,
  LOCK_UNAVAILABLE: EXIT.UNAVAILABLE,
  LOCK_UNSUPPORTED_TOPOLOGY: EXIT.UNAVAILABLE,
  LOCK_MISSING_PRIVILEGES: EXIT.UNAVAILABLE,
  LOCK_NEWER_VERSION: EXIT.UNAVAILABLE,
};

/** Anything thrown, as a failure with an exit code. */
export function failureOf(error: unknown): CommandFailure {
  if (error instanceof CommandFailure) return error;
  if (!(error instanceof Error)) return new CommandFailure(String(error), { exitCode: EXIT.FAILED, code: 'FAILED' });
  const code = lockCodeOf(error);
  if (code !== undefined)
    return new CommandFailure(error.message, { exitCode: EXIT_BY_CODE[code] ?? EXIT.FAILED, code, cause: error });
  if (error.name.startsWith('Mongo'))
    return new CommandFailure(error.message, { exitCode: EXIT.UNAVAILABLE, code: 'UNAVAILABLE', cause: error });
  return new CommandFailure(error.message, { exitCode: EXIT.FAILED, code: 'FAILED', cause: error });
}

function lockCodeOf(error: Error): string | undefined {
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && code.startsWith('LOCK_') ? code : undefined;
}
