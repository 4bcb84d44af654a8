/**
 * The program as commander knows it: commands, options, help. It runs nothing itself; `main.ts` does, and the docs are held against it.
 */
import { createRequire } from 'node:module';
import { Command } from 'commander';
import { addExecCommand } from './commands/exec.js';
import { addLsCommand } from './commands/ls.js';
import { addReleaseCommand } from './commands/release.js';
import { addShowCommand } from './commands/show.js';
import { addWatchCommand } from './commands/watch.js';
import { addConnectionOptions } from './connection.js';
import type { Context } from './context.js';
import { escapeMessage } from './text.js';
import { addUiCommand } from './ui/command.js';

/** Every command, in the order of the help. */
const COMMANDS = [addLsCommand, addShowCommand, addWatchCommand, addReleaseCommand, addExecCommand, addUiCommand];

/** The whole command line. Parsing it throws `CommanderError` for help, version and wrong use; a command sets `context.exitCode`. */
export function createProgram(context: Context): Command {
  const { terminal } = context;
  const program = new Command('dlocks')
    .description('See the queues of mongo-distributed-locks, step in, and run commands under a lock.')
    .version(version(), '-V, --version')
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out.write(text),
      writeErr: (text) => terminal.err.write(escapeMessage(text)),
      // Told by main, in the form that was asked for.
      outputError: () => {},
    });
  addConnectionOptions(program);
  for (const add of COMMANDS) add(program, context);
  return program;
}

function version(): string {
  const manifest = createRequire(import.meta.url)('../package.json') as { version: string };
  return manifest.version;
}
