#!/usr/bin/env node
/**
 * `dlocks`: the process around the program. It reads the command line, runs one command, and ends with its exit code.
 */
import { CommanderError } from 'commander';
import { type Context, tell } from './context.js';
import { EXIT, usage } from './exit-codes.js';
import { failureOf } from './failures.js';
import { createProgram } from './program.js';
import { exitCodeOf, Signals } from './signals.js';
import { processTerminal } from './terminal.js';

/** No timer or connection of ours may keep a process that is done. */
const LINGER_MS = 2_000;

async function main(args: readonly string[]): Promise<number> {
  const context: Context = { args, terminal: processTerminal(), signals: new Signals(process), exitCode: EXIT.OK };
  // Whoever reads us may go first, as in `dlocks watch | head`. What cannot be told on standard error must not end a command under a lock.
  process.stdout.on('error', () => process.exit(exitCodeOf('SIGPIPE')));
  process.stderr.on('error', () => {});
  // A command under a lock is ended by its guard then.
  process.on('uncaughtException', (error) => {
    tell(context.terminal, failureOf(error), asksForJson(args));
    process.exit(EXIT.FAILED);
  });
  // No client of the library keeps its process: whatever waits here is meant to.
  const keptAlive = setInterval(() => {}, 2 ** 30);
  try {
    await createProgram(context).parseAsync(args, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    return refused(context, error, asksForJson(args));
  } finally {
    clearInterval(keptAlive);
  }
}

/** What commander throws: help and version were asked for and shown; all else is wrong use. */
function refused({ terminal }: Context, error: unknown, json: boolean): number {
  if (!(error instanceof CommanderError)) {
    const failure = failureOf(error);
    tell(terminal, failure, json);
    return failure.exitCode;
  }
  if (error.exitCode === 0) return EXIT.OK;
  if (error.code !== 'commander.help')
    tell(terminal, usage(`${error.message.replace(/^error: /, '')} (see --help)`), json);
  return EXIT.USAGE;
}

/** Before commander has understood anything, so that its refusals come as JSON too. */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end === -1 ? args.length : end).includes('--json');
}

process.exitCode = await main(process.argv.slice(2));
setTimeout(() => process.exit(), LINGER_MS).unref();
