/**
 * An instant that two processes of one machine agree on, such as a lock's local deadline. Never wall time. On Linux
 * `hrtime` stands still while the machine is suspended and the uptime does not, so an instant is kept by both, and has
 * come when either says so. Elsewhere `hrtime` counts suspension by itself. `child.ts` and the guard use it.
 */
import { uptime } from 'node:os';

/** By both clocks of the machine, in milliseconds. */
export interface Instant {
  readonly running: number;
  /** null: on this system the other is enough. */
  readonly booted: number | null;
}

const NEEDS_UPTIME = process.platform === 'linux';
/** Linux gives the uptime in hundredths of a second, rounded down. */
const UPTIME_ROUNDING_MS = 10;

/** The instant so long from now. */
export function instantIn(delayMS: number): Instant {
  return { running: hrtimeMS() + delayMS, booted: NEEDS_UPTIME ? uptime() * 1_000 + delayMS : null };
}

/** How long until then; 0 or less: it has come. */
export function msUntil({ running, booted }: Instant): number {
  const leftMS = running - hrtimeMS();
  return booted === null ? leftMS : Math.min(leftMS, booted + UPTIME_ROUNDING_MS - uptime() * 1_000);
}

/**
 * When a command that is asked to end now gets KILL: after its grace. Where the deadline of its lock has passed
 * already, the grace counts from there, because others may have the lock soon after.
 */
export function killInstant({ deadlineAt, killAfterMS }: { deadlineAt: Instant; killAfterMS: number }): Instant {
  return instantIn(killAfterMS + Math.min(0, msUntil(deadlineAt)));
}

function hrtimeMS(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
