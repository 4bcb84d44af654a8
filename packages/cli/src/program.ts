/**
 * The program as commander knows it: commands, options, help. It runs nothing itself; `main.ts` does, and the docs are held against it.
 */
import { Command } from 'commander';
import type { Terminal } from './terminal.js';

/** The whole command line; commands print to `terminal`. */
export function createProgram(_terminal: Terminal): Command {
  return new Command('dlocks')
    .description('See the queues of mongo-distributed-locks, step in, and run commands under a lock.')
    .enablePositionalOptions()
    .showHelpAfterError('(--help has the options)');
}
