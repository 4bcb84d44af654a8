/**
 * The guard: the program of a process that ends the command when `dlocks exec` cannot. It reads orders from standard
 * input, one JSON document a line. If the deadline passes and no order has moved it, `dlocks` is stopped. If the input
 * ends, `dlocks` is dead. In both cases the command gets TERM, and KILL after its grace. `guard.ts` starts it.
 */
import { createInterface } from 'node:readline';
import type { GuardOrder } from './guard.js';
import { type Instant, instantIn, killInstant, msUntil } from './instant.js';
import { listProcesses } from './processes.js';
import { Target } from './target.js';

/** How often it looks at the clock: its timers stand still while the machine is suspended. */
const LOOK_EVERY_MS = 500;
/** How often it looks whether what was asked to end has ended. */
const LOOK_IF_GONE_EVERY_MS = 50;
/** How long it waits for orders that are in the pipe already: it may have been stopped itself. */
const READING_MS = 20;

/** These may be sent to all processes of a service or a user. The guard ends when `dlocks` has ended. */
const IGNORED = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGTSTP'] as const;

let known: GuardOrder = {};
let target: Target | undefined;
/** When `dlocks` is taken to be stopped, if no order moves the deadline. */
let convictedAt: Instant | null = null;
let timer: NodeJS.Timeout | undefined;

function follow(order: GuardOrder): void {
  known = { ...known, ...order };
  if (order.pid !== undefined) target = targetOf(order.pid);
  look();
}

function look(): void {
  clearTimeout(timer);
  const waitMS = known.killAt === undefined ? watch() : finish(known.killAt);
  timer = setTimeout(look, Math.max(1, Math.min(waitMS, LOOK_EVERY_MS)));
}

/** Looks whether `dlocks` keeps its lock. Returns when to look again. */
function watch(): number {
  const { deadlineAt, killAfterMS = 0, patienceMS = 0 } = known;
  const leftMS = deadlineAt === undefined ? LOOK_EVERY_MS : msUntil(deadlineAt);
  if (leftMS > 0) {
    convictedAt = null;
    return leftMS;
  }
  convictedAt ??= instantIn(Math.max(READING_MS, Math.min(patienceMS, killAfterMS + leftMS)));
  const waitMS = msUntil(convictedAt);
  if (waitMS <= 0) askToEnd();
  return waitMS;
}

function askToEnd(): void {
  const { deadlineAt, killAfterMS = 0 } = known;
  target ??= findTarget();
  if (target === undefined || deadlineAt === undefined) process.exit();
  const killAt = killInstant({ deadlineAt, killAfterMS });
  known = { ...known, killAt };
  if (msUntil(killAt) <= 0) return;
  target.send('SIGTERM');
  // A command that is stopped would not get the first. It handles that before it does anything else.
  target.send('SIGCONT');
}

/** `dlocks` may have been stopped between the start of the command and the next thing it does. */
function findTarget(): Target | undefined {
  const { parent } = known;
  const command = listProcesses()?.find((each) => each.parent === parent && each.pid !== process.pid);
  return command && targetOf(command.pid);
}

function targetOf(pid: number): Target {
  return new Target({ pid, ownsGroup: known.ownsGroup === true });
}

/** Looks whether the command has ended. Returns when to look again. */
function finish(killAt: Instant): number {
  const leftMS = msUntil(killAt);
  if (leftMS <= 0) target?.send('SIGKILL');
  // To look takes time, which KILL does not have.
  else if (leftMS <= LOOK_IF_GONE_EVERY_MS || target?.isGone === false) return Math.min(leftMS, LOOK_IF_GONE_EVERY_MS);
  process.exit();
}

process.title = 'dlocks-guard';
for (const signal of IGNORED) process.on(signal, () => {});
createInterface({ input: process.stdin })
  .on('line', (line) => follow(JSON.parse(line)))
  .on('close', () => {
    if (known.killAt === undefined) askToEnd();
    look();
  });
