/**
 * `dlocks release`: ends a hold by force, with a reason that its holder and whoever looks later will read. Without --force it only says what would
 * be done and how. The token decides which hold is meant, so that a lock that has gone on meanwhile is left alone.
 */
import { createInterface } from 'node:readline/promises';
import type { Command } from 'commander';
import type { LockInspection } from 'mongo-distributed-locks';
import { addConnectionOptions, type Connection, type ConnectionFlags } from '../connection.js';
import { act, type Context, connected, interruptible } from '../context.js';
import { CommandFailure, EXIT, usage } from '../exit-codes.js';
import { wholeNumber } from '../numbers.js';
import { notice } from '../terminal.js';
import { shellWord } from '../text.js';
import { age, lockName, someone, tokens } from '../view.js';

interface ReleaseFlags extends ConnectionFlags {
  readonly force?: boolean;
  readonly reason?: string;
  readonly by?: string;
  readonly token?: string;
  readonly yes?: boolean;
}

interface Pair {
  readonly resource: string;
  readonly id: string;
}

const TOKEN = { least: 1, most: Number.MAX_SAFE_INTEGER };

/** Adds the command. */
export function addReleaseCommand(program: Command, context: Context): void {
  const command = program
    .command('release')
    .summary('end a hold by force')
    .description(
      'Ends the hold of a lock by force: its holder is told, and the next in the queue gets the lock at once.',
    )
    .argument('<resource>', 'the resource')
    .argument('<id>', 'which one of them')
    .option('--force', 'really do it; without it nothing is changed')
    .option('--reason <text>', 'why, for the holder and the record; 1 to 256 bytes')
    .option('--token <number>', 'the fencing token of the hold; default: the one that stands now')
    .option('--by <text>', 'who does it, for the record; default: process id and host')
    .option('-y, --yes', 'do not ask on a terminal');
  addConnectionOptions(command);
  act<ReleaseFlags>(command, context, (flags, args) => release(context, flags, args));
}

async function release(context: Context, flags: ReleaseFlags, args: readonly string[]): Promise<number> {
  const [resource = '', id = ''] = args;
  const given = flags.token === undefined ? undefined : wholeNumber('--token', flags.token, TOKEN);
  if (flags.force && !flags.reason) throw usage('--force needs --reason TEXT: the holder and the record will show it.');
  return connected(context, flags, async (connection) => {
    const pair = { resource, id };
    const lock = await interruptible(context, connection.locks.inspect(pair));
    const fencingToken = given ?? lock.holder?.fencingToken;
    if (fencingToken === undefined) return nothing(context, flags, pair, 'nobody holds it');
    if (!flags.force) throw usage(howTo(lock, fencingToken));
    if (!(await confirmed(context, flags, lock))) return nothing(context, flags, pair, 'not confirmed');
    return force(context, connection, flags, { ...pair, fencingToken });
  });
}

async function force(
  context: Context,
  { locks }: Connection,
  flags: ReleaseFlags,
  { resource, id, fencingToken }: Pair & { readonly fencingToken: number },
): Promise<number> {
  const { reason = '', by } = flags;
  const request = { resource, id, fencingToken, reason, ...(by !== undefined && { by }) };
  const released = await interruptible(context, locks.forceRelease(request));
  if (!released)
    return nothing(context, flags, { resource, id }, `the hold of token ${fencingToken} does not stand any more`);
  const { out } = context.terminal;
  if (flags.json) out.json({ released: true, resource, id, fencingToken, reason });
  else out.line(`released ${lockName({ resource, id })}, token ${fencingToken}`);
  return EXIT.OK;
}

function nothing({ terminal }: Context, { json }: ReleaseFlags, pair: Pair, why: string): number {
  if (json) terminal.out.json({ released: false, ...pair, why });
  else notice(terminal, `nothing was released: ${lockName(pair)}: ${why}`);
  return EXIT.NOTHING_RELEASED;
}

/** What would be ended, and the command that does it. */
function howTo(lock: LockInspection, fencingToken: number): string {
  const names = [lock.resource, lock.id];
  const options = ['--force', '--reason', 'TEXT', '--token', String(fencingToken)];
  const words = names.some((name) => name.startsWith('-')) ? [...options, '--', ...names] : [...names, ...options];
  const command = ['dlocks', 'release', ...words].map(shellWord).join(' ');
  return `${held(lock)}. The holder will be told, and may be at work still. If that is what you want:\n  ${command}`;
}

function held({ resource, id, holder }: LockInspection): string {
  if (holder === null) return `nobody holds ${lockName({ resource, id })} now`;
  const since = age(holder.since, new Date());
  return `${lockName({ resource, id })} is held by ${someone(holder)} since ${since}, token ${tokens(holder)}`;
}

/** Asks on a terminal, and nowhere else: a script has said --force. */
async function confirmed(context: Context, { yes, json }: ReleaseFlags, lock: LockInspection): Promise<boolean> {
  const { err } = context.terminal;
  if (yes || json || !process.stdin.isTTY || !err.isTTY) return true;
  const { interrupted } = context.signals;
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  // In raw mode Ctrl-C is a character.
  asking.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
  try {
    const answer = await new Promise<string>((resolve, reject) => {
      // At the end of the input the question is never answered.
      asking.once('close', () => resolve(''));
      asking.question(`${held(lock)}. End this hold? [y/N] `, { signal: interrupted }).then(resolve, reject);
    });
    return /^y(es)?$/i.test(answer.trim());
  } catch (error) {
    if (interrupted.aborted) throw interrupted.reason;
    throw new CommandFailure('no answer', { exitCode: EXIT.FAILED, code: 'FAILED', cause: error });
  } finally {
    asking.close();
  }
}
