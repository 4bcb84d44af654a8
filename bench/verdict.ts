/** What a contest says: handoffs, waiting times, shares. Pure. The questions that hold contests call it. */
import type { Call, Contest } from './contest.js';
import { jain, percentile } from './figures.js';

/** Calls that overtook another by less than this may have been sent in another order than they were made. */
const OVERTAKEN_BY_MS = 100;

/** One hold follows another, whose caller had called by then. */
export interface Handoff {
  /** From just before the release to the moment the next caller has the lock. */
  readonly tookMS: number;
  readonly betweenProcesses: boolean;
  /** Until the releaser had its answer; NaN where that came after the end. */
  readonly answeredMS: number;
}

/** The calls granted in the measured window, as they followed one another. */
export function grantsOf({ calls, fromAt, toAt }: Contest): readonly Call[] {
  const granted = calls.filter(({ grantedAt }) => grantedAt >= fromAt && grantedAt <= toAt);
  return granted.sort((a, b) => a.grantedAt - b.grantedAt);
}

export function handoffsOf(contest: Contest): readonly Handoff[] {
  const grants = grantsOf(contest);
  return grants.slice(1).flatMap((to, index) => {
    const from = grants[index];
    if (from === undefined || Number.isNaN(from.releasedAt) || to.calledAt >= from.releasedAt) return [];
    return [
      {
        tookMS: to.grantedAt - from.releasedAt,
        betweenProcesses: from.process !== to.process,
        answeredMS: from.answeredAt - from.releasedAt,
      },
    ];
  });
}

/** From the call to the grant; of who still waited at the end, the time so far where it is longer than what others had to wait. */
export function waitsOf(contest: Contest): readonly number[] {
  const { calls, toAt } = contest;
  const ended = grantsOf(contest).map(({ calledAt, grantedAt }) => grantedAt - calledAt);
  const longest = Math.max(0, ...ended);
  const open = calls.filter(({ grantedAt, calledAt }) => !(grantedAt <= toAt) && toAt - calledAt > longest);
  return [...ended, ...open.map(({ calledAt }) => toAt - calledAt)];
}

export function grantsPerSecond(contest: Contest): number {
  return (grantsOf(contest).length * 1_000) / (contest.toAt - contest.fromAt);
}

/** How evenly the grants of the window went to the callers. */
export function jainOf(contest: Contest): number {
  const shares = Array.from({ length: contest.settings.callersCount }, () => 0);
  for (const { caller } of grantsOf(contest)) shares[caller] = (shares[caller] ?? 0) + 1;
  return jain(shares);
}

/** Of all grants, the share that came before somebody's who had called a tenth of a second earlier, or more. */
export function overtakingShare(contest: Contest): number {
  const grants = grantsOf(contest);
  if (grants.length === 0) return Number.NaN;
  /** The earliest call of those granted later, or not at all. */
  let earliest = Math.min(
    ...contest.calls.filter(({ grantedAt }) => !(grantedAt <= contest.toAt)).map((call) => call.calledAt),
  );
  let overtakingCount = 0;
  for (const { calledAt } of [...grants].reverse()) {
    if (calledAt - earliest > OVERTAKEN_BY_MS) overtakingCount += 1;
    earliest = Math.min(earliest, calledAt);
  }
  return overtakingCount / grants.length;
}

/** What everybody would wait for who stands in a queue of this length, each holding and handing on as measured. */
export function fairWaitMS({ settings }: Contest, handoffMS: number): number {
  return (settings.callersCount - 1) * (settings.holdMS + handoffMS);
}

export function took(handoffs: readonly Handoff[], share: number): number {
  return percentile(
    handoffs.map(({ tookMS }) => tookMS),
    share,
  );
}
