/**
 * What was checked, as lines, and whether it holds. Pure: it judges the records and what was measured, and prints
 * nothing.
 */
import { type CallRecord, checkHistory, type Finding, handoffs } from './history.js';
import { LEASE_MS, PATROL_MS, RECOVERY_BOUND_MS } from './settings.js';

/** A process was killed, and the next caller was granted. */
export interface Recovery {
  readonly victim: string;
  readonly tookMS: number;
}

/** All that is judged. */
export interface Measured {
  readonly records: readonly CallRecord[];
  readonly writesMS: readonly number[];
  /** What the guarded counter says in the end: one for each write that was acknowledged. */
  readonly turnsCount: number;
  readonly recoveries: readonly Recovery[];
  /** What the gone left behind. */
  readonly leftovers: readonly string[];
}

export interface Summary {
  readonly lines: readonly string[];
  readonly failures: readonly string[];
}

/** Judges the run. A check that had nothing to look at has failed. */
export function summarise(measured: Measured): Summary {
  const { records, writesMS, turnsCount, recoveries, leftovers } = measured;
  const { grantsCount, inversions, overlaps, tokenFaults, comparedCount } = checkHistory(records);
  const handoffsMS = handoffs(records).map(({ tookMS }) => tookMS);
  const outcomes = countBy(records.map(({ outcome }) => outcome));
  const lines = [
    `grants ${grantsCount}`,
    `inversions ${inversions.length}`,
    `overlaps ${overlaps.length}`,
    tokenFaults.length === 0 ? 'tokens rise' : `tokens do not rise: ${tokenFaults.length} faults`,
    `handoff ${percentiles(handoffsMS)}, beside a bare majority write ${percentiles(writesMS)}`,
    ...recoveries.map(
      ({ victim, tookMS }) =>
        `recovery after kill -9 of ${victim} ${seconds(tookMS)}, bound ${seconds(RECOVERY_BOUND_MS)}`,
    ),
    `calls ${[...outcomes].map(([outcome, count]) => `${outcome} ${count}`).join(', ')}`,
    `order compared for ${comparedCount} calls that found others waiting; handoffs between processes ${handoffsMS.length}`,
    `guarded counter ${turnsCount}, acknowledged writes ${writesMS.length}`,
    `left behind ${leftovers.length === 0 ? 'nothing' : leftovers.join(', ')}`,
    `bound: lease ${seconds(LEASE_MS)} + 2 patrols of ${seconds(PATROL_MS)}`,
  ];
  const failures = [
    ...inversions.map((finding) => `overtaken: ${told(finding)}`),
    ...overlaps.map((finding) => `held by two at once: ${told(finding)}`),
    ...tokenFaults.map((finding) => `token not higher: ${told(finding)}`),
    ...recoveries
      .filter(({ tookMS }) => tookMS > RECOVERY_BOUND_MS)
      .map(({ victim }) => `late after the kill of ${victim}`),
    ...demand(turnsCount === writesMS.length, 'the guarded counter has lost writes'),
    ...demand(leftovers.length === 0, 'something was left behind'),
    ...demand(comparedCount > 0, 'no call found others waiting: the order was not tried'),
    ...demand(handoffsMS.length > 0, 'there was no handoff between processes'),
    ...(['waiting', 'holding', 'lost', 'failed'] as const)
      .filter((outcome) => outcomes.has(outcome))
      .map((outcome) => `calls that ended as "${outcome}": ${outcomes.get(outcome)}`),
    ...demand(outcomes.get('timed out') === 1 && outcomes.get('aborted') === 1, 'not one timed out and one aborted'),
    ...demand(outcomes.get('killed') === 2 && recoveries.length === 2, 'not one killed holder and one killed waiter'),
  ];
  return { lines, failures };
}

function demand(holds: boolean, complaint: string): string[] {
  return holds ? [] : [complaint];
}

function told({ first, second }: Finding): string {
  return JSON.stringify({ first, second });
}

function countBy<T>(items: readonly T[]): Map<T, number> {
  const counts = new Map<T, number>();
  for (const item of items) counts.set(item, (counts.get(item) ?? 0) + 1);
  return counts;
}

/** p50 and p99 by nearest rank. */
function percentiles(valuesMS: readonly number[]): string {
  const sorted = [...valuesMS].sort((a, b) => a - b);
  const at = (share: number): string =>
    (sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN).toFixed(1);
  return `p50 ${at(0.5)} ms p99 ${at(0.99)} ms`;
}

function seconds(durationMS: number): string {
  return `${(durationMS / 1_000).toFixed(2)} s`;
}
