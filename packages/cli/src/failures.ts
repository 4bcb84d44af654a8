/**
 * From what was thrown to what the user is told: the exit code and the words. It knows errors of the library and of the driver by their codes and
 * names, so that another copy of either does no harm.
 */
import type { CommanderError } from 'commander';
import { describeFailure } from 'mongo-distributed-locks/safe-messages';
import { CommandFailure, EXIT, OwnError, usage } from './exit-codes.js';

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
  const message = messageOf(error);
  const code = lockCodeOf(error);
  if (code !== undefined)
    return new CommandFailure(message, { exitCode: EXIT_BY_CODE[code] ?? EXIT.FAILED, code, cause: error });
  if (error instanceof Error && error.name.startsWith('Mongo'))
    return new CommandFailure(message, { exitCode: EXIT.UNAVAILABLE, code: 'UNAVAILABLE', cause: error });
  return new CommandFailure(message, { exitCode: EXIT.FAILED, code: 'FAILED', cause: error });
}

/**
 * What may be printed of an error: its own words where they are ours or the library's. The driver and Node repeat what
 * they were given, which may be a part of the connection string: of their errors the kind, the code, and where in the
 * program it was.
 */
export function messageOf(error: unknown): string {
  if (error instanceof OwnError || (error instanceof Error && lockCodeOf(error) !== undefined)) return error.message;
  const described = describeFailure(error);
  const place = placeOf(error);
  return place === undefined ? described : `${described}, at ${place}`;
}

/** For a report of a fault in the program; failures of the driver and of the system are none. */
function placeOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || error.name.startsWith('Mongo') || 'code' in error) return undefined;
  const [, place] = /[\\/](dist[\\/][\w./\\-]+\.js:\d+:\d+)/.exec(error.stack ?? '') ?? [];
  return place;
}

/** What commander refuses. A connection string may stand in the place of a name by mistake, so only names are repeated. */
export function usageFailureOf({ code, message }: CommanderError): CommandFailure {
  const hint = '(see --help)';
  const [, given = ''] = /'(.*)'/s.exec(message) ?? [];
  if (code === 'commander.unknownCommand' && !/^[a-z-]+$/i.test(given)) return usage(`unknown command ${hint}`);
  if (code === 'commander.unknownOption') {
    const [, suggestion = ''] = /\n(\(Did you mean [a-z ,-]+\?\))$/.exec(message) ?? [];
    const [name = '-'] = /^--[a-z-]+|^-[a-z]/i.exec(given) ?? [];
    const value = given.startsWith(`${name}=`) ? '=…' : '';
    return usage([`unknown option '${name}${value}'`, suggestion, hint].filter((part) => part !== '').join(' '));
  }
  return usage(`${message.replace(/^error: /, '')} ${hint}`);
}

function lockCodeOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === 'string' && code.startsWith('LOCK_') ? code : undefined;
}
