/**
 * One run of the program: reads the command line, runs one command, tells what went wrong, and gives the exit code.
 * `main.ts` is the process around it.
 */
import { CommanderError } from 'commander';
import { type Context, tell } from './context.js';
import { EXIT } from './exit-codes.js';
import { failureOf, usageFailureOf } from './failures.js';
import { createProgram } from './program.js';
import { exitCodeOf, Signals } from './signals.js';
import { processTerminal } from './terminal.js';

/** Runs in this process; resolves to its exit code. */
export async function main(args: readonly string[]): Promise<number> {
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
    return await run(context);
  } finally {
    clearInterval(keptAlive);
  }
}

/** Runs the command that the arguments name. Never rejects. */
export async function run(context: Context): Promise<number> {
  const { args, terminal } = context;
  try {
    await createProgram(context).parseAsync(args, { from: 'user' });
    return context.exitCode;
  } catch (error) {
    if (!(error instanceof CommanderError)) {
      const failure = failureOf(error);
      tell(terminal, failure, asksForJson(args));
      return failure.exitCode;
    }
    // Help and version were asked for and shown; all else is wrong use.
    if (error.exitCode === 0) return EXIT.OK;
    if (error.code !== 'commander.help') tell(terminal, usageFailureOf(error), asksForJson(args));
    return EXIT.USAGE;
  }
}

/** Before commander has understood anything, so that its refusals come as JSON too. */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return args.slice(0, end === -1 ? args.length : end).includes('--json');
}
