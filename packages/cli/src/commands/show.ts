/** `dlocks show`: one lock, its holder and its queue in order, in one round trip. */
import type { Command } from 'commander';
import { addConnectionOptions, type ConnectionFlags } from '../connection.js';
import { act, type Context, connected, interruptible } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { inspectionLines } from '../view.js';

/** Adds the command. */
export function addShowCommand(program: Command, context: Context): void {
  const command = program
    .command('show')
    .summary('show one lock and its queue')
    .description('Shows who holds a lock, and who waits for it, in order.')
    .argument('<resource>', 'the resource')
    .argument('<id>', 'which one of them');
  addConnectionOptions(command);
  act<ConnectionFlags>(command, context, (flags, args) => show(context, flags, args));
}

async function show(context: Context, flags: ConnectionFlags, args: readonly string[]): Promise<number> {
  const [resource = '', id = ''] = args;
  const { out } = context.terminal;
  return connected(context, flags, async ({ locks }) => {
    const lock = await interruptible(context, locks.inspect({ resource, id }));
    if (flags.json) out.json(lock);
    else for (const line of inspectionLines(lock, out)) out.line(line);
    return EXIT.OK;
  });
}
