/**
 * What every command is given beside its options: the terminal and the signals; and the one way in which a command becomes an action of
 * commander: flags together, failures told, the exit code kept.
 */
import type { Command } from 'commander';
import type { LockSettings } from 'mongo-distributed-locks';
import { type Connection, type ConnectionFlags, openConnection } from './connection.js';
import type { CommandFailure } from './exit-codes.js';
import { failureOf } from './failures.js';
import type { Signals } from './signals.js';
import { notice, type Terminal } from './terminal.js';

/** The process as commands see it. */
export interface Context {
  /** The command line, without Node and the program. */
  readonly args: readonly string[];
  readonly terminal: Terminal;
  readonly signals: Signals;
  /** The exit code of the command that ran. */
  exitCode: number;
}

/** What a command does with its options and its arguments, all of them as texts; returns the exit code. */
export type Handler<F> = (flags: F, args: readonly string[]) => Promise<number>;

/** Makes `handler` the action of `command`. What it throws is told on standard error, and decides the exit code. */
export function act<F extends ConnectionFlags>(command: Command, context: Context, handler: Handler<F>): Command {
  return command.action(async () => {
    const flags = { ...command.parent?.opts(), ...command.opts() } as F;
    try {
      context.exitCode = await handler(flags, command.args);
    } catch (error) {
      const failure = failureOf(error);
      tell(context.terminal, failure, flags.json);
      context.exitCode = failure.exitCode;
    }
  });
}

/** Tells of a failure: one line for people, `{ error: { code, message, exitCode } }` for programs. */
export function tell(terminal: Terminal, { code, message, exitCode }: CommandFailure, json = false): void {
  if (json) terminal.err.json({ error: { code, message, exitCode } });
  else notice(terminal, message);
}

/** Opens the connection for as long as `work` takes; `settings` are a command's own. */
export async function connected<T>(
  { terminal }: Context,
  flags: ConnectionFlags,
  work: (connection: Connection) => Promise<T>,
  settings: LockSettings = {},
): Promise<T> {
  const connection = openConnection(flags, terminal, settings);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

/** The work's result, unless a signal asks for an end first; then rejects with the `Interruption`, whatever the work does. */
export async function interruptible<T>({ signals: { interrupted } }: Context, work: Promise<T>): Promise<T> {
  interrupted.throwIfAborted();
  let onAbort = (): void => {};
  const ended = new Promise<never>((_, reject) => {
    onAbort = () => reject(interrupted.reason as Error);
    interrupted.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, ended]);
  } finally {
    interrupted.removeEventListener('abort', onAbort);
  }
}
