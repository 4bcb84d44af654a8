/**
 * `dlocks exec`: runs a command under a lock, in the manner of flock. Waits in the queue, runs the command once the lock is granted, ends it when
 * the lock is lost, and ends as it ended. The process itself is `exec/child.ts`; what is told of the wait is `exec/progress.ts`.
 */
import { basename } from 'node:path';
import type { Command } from 'commander';
import type { Lock, LockClient, LockLostError } from 'mongo-distributed-locks';
import { addConnectionOptions, type Connection, type ConnectionFlags, LEASE_MS } from '../connection.js';
import { act, type Context, connected, interruptible } from '../context.js';
import { formatDuration, parseDuration } from '../duration.js';
import { Child, type ChildEnd } from '../exec/child.js';
import { Progress } from '../exec/progress.js';
import { EXIT, usage } from '../exit-codes.js';
import { wholeNumber } from '../numbers.js';
import { exitCodeOf } from '../signals.js';
import { notice } from '../terminal.js';
import { forcedBy, lockName, someone } from '../view.js';

interface ExecFlags extends ConnectionFlags {
  readonly label?: string;
  readonly try?: boolean;
  readonly timeout?: string;
  readonly killAfter?: string;
  readonly conflictExitCode?: string;
}

/** What is to be done, checked. */
interface Plan {
  readonly pair: { readonly resource: string; readonly id: string };
  readonly command: readonly string[];
  readonly timeoutMS: number;
  readonly tries: boolean;
  readonly leaseMS: number;
  readonly killAfterMS: number;
  readonly conflictExitCode: number;
  readonly json: boolean;
  readonly quiet: boolean;
}

/**
 * A lock that is lost because its lease was not renewed can go to others a tenth of the lease later. Within that time
 * the command gets TERM at once, from its guard a little later if not from us, and KILL early enough to be gone.
 */
const GRACE_OF_LEASE = 0.08;
const PATIENCE_OF_LEASE = 0.02;
/** A holder that nobody waits beside hears of a release by force with its heartbeat: sooner than the library would. */
const HEARTBEAT_MAX_MS = 3_000;
const LABEL_MAX_BYTES = 256;
const EXIT_CODES = { least: 0, most: 255 };

/** Adds the command. */
export function addExecCommand(program: Command, context: Context): void {
  const command = program
    .command('exec')
    .summary('run a command under a lock')
    .description('Waits for the lock, runs the command while it is held, and ends with its exit code.')
    .usage('[options] <resource> <id> -- <command...>')
    .argument('<resource>', 'the resource')
    .argument('<id>', 'which one of them')
    .argument('<command...>', 'the command and its arguments')
    .option('-n, --try', 'do not wait: run the command only if the lock is free and nobody waits for it')
    .option('-w, --timeout <duration>', 'how long to wait for the lock; default: for ever')
    .option('-k, --kill-after <duration>', 'from TERM to KILL once the lock is lost; default: 8 % of the lease')
    .option(
      '-E, --conflict-exit-code <code>',
      `exit code where the lock was not granted; default: ${EXIT.NOT_ACQUIRED}`,
    )
    .option('-q, --quiet', 'tell nothing but errors')
    .option('--label <text>', 'what others see of this process; default: the name of the command');
  addConnectionOptions(command);
  act<ExecFlags>(command, context, (flags, args) => exec(context, flags, args));
}

async function exec(context: Context, flags: ExecFlags, args: readonly string[]): Promise<number> {
  checkMark(context.args, args);
  const plan = planOf(flags, args);
  const settings = {
    label: flags.label ?? labelOf(plan.command),
    heartbeatIntervalMS: Math.min(plan.leaseMS / 3, HEARTBEAT_MAX_MS),
    // The command needs its grace before others have the lock.
    releaseLostLocks: 'on-unlock',
  } as const;
  return connected(context, flags, (connection) => underLock(context, plan, connection), settings);
}

async function underLock(context: Context, plan: Plan, { locks }: Connection): Promise<number> {
  const lock = await acquire(context, plan, locks);
  if (lock === null) return plan.conflictExitCode;
  tellIfLost(context, plan, lock);
  // This also notices that the deadline has passed where no timer has yet, as when we were stopped.
  const exitCode = await runUnder(context, plan, { lock, locks }).finally(() => lock.unlock());
  return lock.signal.aborted ? EXIT.LOCK_LOST : exitCode;
}

/** Options of the command must not be taken for ours: the mark between the two is demanded, and stands where one expects it. */
function checkMark(all: readonly string[], operands: readonly string[]): void {
  const mark = all.indexOf('--');
  const before = operands.length - (all.length - mark - 1);
  if (mark !== -1 && (before === 2 || before === 0)) return;
  throw usage('put -- before the command: dlocks exec [options] RESOURCE ID -- COMMAND…');
}

function planOf(flags: ExecFlags, [resource = '', id = '', ...command]: readonly string[]): Plan {
  const { timeout, killAfter, conflictExitCode, lease, json = false, quiet = false } = flags;
  if (flags.try && timeout !== undefined) throw usage('--try does not wait: leave --timeout out.');
  if (command[0] === '') throw usage('the command is empty.');
  if (command[0] === '') throw usage('the command is empty.');
  const leaseMS = lease === undefined ? LEASE_MS : parseDuration('--lease', lease);
  return {
    pair: { resource, id },
    command,
    leaseMS,
    timeoutMS: timeout === undefined ? Number.POSITIVE_INFINITY : parseDuration('--timeout', timeout),
    tries: flags.try === true,
    killAfterMS: killAfter === undefined ? leaseMS * GRACE_OF_LEASE : parseDuration('--kill-after', killAfter),
    conflictExitCode:
      conflictExitCode === undefined
        ? EXIT.NOT_ACQUIRED
        : wholeNumber('--conflict-exit-code', conflictExitCode, EXIT_CODES),
    json,
    quiet,
  };
}

/** The command's name, and none of its arguments: they may be secret. */
function labelOf([program = '']: readonly string[]): string {
  const name = basename(program);
  return name !== '' && Buffer.byteLength(name) <= LABEL_MAX_BYTES ? name : 'dlocks exec';
}

/** The lock, or null where it was not granted; which is told then. A signal ends the wait, with nothing left in the queue. */
async function acquire(context: Context, plan: Plan, locks: LockClient): Promise<Lock | null> {
  const { terminal, signals } = context;
  const progress = new Progress({ ...plan, terminal, locks });
  const startedAt = performance.now();
  try {
    const lock = plan.tries
      ? await tryLock(context, plan, locks)
      : await locks.lock({ ...plan.pair, timeoutMS: plan.timeoutMS, signal: signals.interrupted });
    progress.stop();
    if (lock === null) await tellHeld(context, plan, locks);
    else tellGranted(context, plan, lock, { waitedMS: performance.now() - startedAt, hasWaited: progress.hasWaited });
    return lock;
  } catch (error) {
    progress.stop();
    if ((error as { code?: unknown }).code !== 'LOCK_TIMEOUT') throw error;
    tellNotGranted(context, plan, `not granted within ${formatDuration(plan.timeoutMS)}`);
    return null;
  }
}

/** A lock that is granted after a signal has ended the wait is unlocked: `close` waits for that. */
async function tryLock(context: Context, { pair }: Plan, locks: LockClient): Promise<Lock | null> {
  const trying = locks.tryLock(pair);
  try {
    return await interruptible(context, trying);
  } catch (error) {
    void trying.then((lock) => lock?.unlock()).catch(() => {});
    throw error;
  }
}

async function tellHeld(context: Context, plan: Plan, locks: LockClient): Promise<void> {
  if (plan.quiet) return;
  const { holder } = await interruptible(context, locks.inspect(plan.pair));
  tellNotGranted(context, plan, holder === null ? 'others wait for it' : `held by ${someone(holder)}`);
}

function tellNotGranted({ terminal }: Context, { pair, quiet, json }: Plan, why: string): void {
  if (!quiet) notice(terminal, `${lockName(pair)}: ${why}`, { json, event: 'not-granted', ...pair });
}

interface Wait {
  readonly waitedMS: number;
  readonly hasWaited: boolean;
}

function tellGranted({ terminal }: Context, plan: Plan, { fencingToken }: Lock, { waitedMS, hasWaited }: Wait): void {
  const { pair, quiet, json } = plan;
  if (quiet) return;
  if (json) terminal.err.json({ event: 'granted', ...pair, fencingToken, waitedMS: Math.round(waitedMS) });
  else if (hasWaited) notice(terminal, `granted after ${formatDuration(waitedMS)}, fencing token ${fencingToken}`);
}

/** Runs the command for as long as the lock is held. */
async function runUnder(
  context: Context,
  plan: Plan,
  { lock, locks }: { readonly lock: Lock; readonly locks: LockClient },
): Promise<number> {
  const { signals } = context;
  // A signal may have come with the grant: then the command must not begin.
  signals.interrupted.throwIfAborted();
  const { reliableForMS } = lock;
  if (reliableForMS === 0) return EXIT.LOCK_LOST;
  const { pair, command, killAfterMS, leaseMS } = plan;
  const env = { DLOCKS_RESOURCE: pair.resource, DLOCKS_ID: pair.id, DLOCKS_FENCING_TOKEN: String(lock.fencingToken) };
  const child = new Child({ command, env, killAfterMS, reliableForMS, patienceMS: leaseMS * PATIENCE_OF_LEASE });
  const giveBack = signals.take((signal) => child.pass(signal));
  let ending: Promise<void> | undefined;
  const onLost = (): void => {
    ending = child.end();
  };
  const onRenewed = (): void => {
    if (lock.held) child.prolong(lock.reliableForMS);
  };
  lock.signal.addEventListener('abort', onLost, { once: true });
  locks.on('session:renewed', onRenewed);
  const end = await child.ended;
  lock.signal.removeEventListener('abort', onLost);
  locks.off('session:renewed', onRenewed);
  await ending;
  giveBack();
  return exitCodeAfter(context, plan, end);
}

/** Says, when the lock is lost, who released it by force, or why it was lost. */
function tellIfLost({ terminal }: Context, { pair, json }: Plan, { signal, fencingToken }: Lock): void {
  const tell = (): void => {
    const { forced, message } = signal.reason as LockLostError;
    const why = forced === undefined ? message : `released by force ${forcedBy(forced)}`;
    const facts = { event: 'lost', ...pair, fencingToken, ...(forced !== undefined && { forced }) };
    notice(terminal, `the lock ${lockName(pair)} was lost, ending the command: ${why}`, { json, ...facts });
  };
  if (signal.aborted) tell();
  else signal.addEventListener('abort', tell, { once: true });
}

function exitCodeAfter({ terminal }: Context, { command, json }: Plan, end: ChildEnd): number {
  if (end.kind === 'exited') return end.code;
  if (end.kind === 'killed') return exitCodeOf(end.signal);
  const isMissing = end.error.code === 'ENOENT';
  const [program = ''] = command;
  const why = isMissing ? 'no such command' : end.error.message;
  const exitCode = isMissing ? EXIT.NOT_FOUND : EXIT.CANNOT_RUN;
  notice(terminal, `cannot run ${program}: ${why}`, { json, error: { code: 'CANNOT_RUN', exitCode } });
  return exitCode;
}
