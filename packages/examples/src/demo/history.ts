/**
 * Checks a recorded history of locking: do holds overlap, was anybody overtaken, do fencing tokens rise. Pure and free of
 * any library: it judges what the callers saw, and nothing that the locks say about themselves. The demo calls it, and
 * whoever else has records.
 *
 * One record is one call of `lock`. All instants are in milliseconds on *one* monotonic clock that all processes share,
 * taken by the caller so that a finding is always a true one:
 *
 * - `calledAt`, `releasedAt`: just *before* `lock` and `unlock` were called.
 * - `grantedAt`: when `lock` had settled.
 * - `arrivedAt`: when the arrival was *known to be acknowledged* by the server, such as by the answer to it. Left out when
 *   it is not known, when there was no arrival, and when its session was lost since: then it has no place to keep.
 * - `leftAt`: when a wait ended without a grant; where the process was killed, just before that.
 * - `lostAt`: when the caller learnt that its hold was lost; where the process was killed, when its end was seen.
 * - `deadlineAt`: the hold's local deadline, where it is known: from then on it counts for nothing, whether or not the
 *   caller was told. A hold that began for its caller when it had ended already is none.
 */

/** How a call ended, or where it stands. */
export type CallOutcome = 'waiting' | 'holding' | 'released' | 'lost' | 'timed out' | 'aborted' | 'killed' | 'failed';

/** One call of `lock`. See above for when each instant is taken. */
export interface CallRecord {
  readonly process: string;
  readonly caller: string;
  readonly key: string;
  readonly calledAt: number;
  readonly arrivedAt?: number;
  readonly grantedAt?: number;
  readonly token?: number;
  readonly releasedAt?: number;
  readonly lostAt?: number;
  readonly deadlineAt?: number;
  readonly leftAt?: number;
  readonly outcome: CallOutcome;
}

/** A record of a call that was granted. */
export type HoldRecord<R extends CallRecord = CallRecord> = R & { readonly grantedAt: number; readonly token: number };

/** Two calls that should not stand to each other as they do. */
export interface Finding {
  readonly first: CallRecord;
  readonly second: CallRecord;
}

export interface HistoryVerdict {
  readonly grantsCount: number;
  /** `second` was granted while `first` still held. */
  readonly overlaps: readonly Finding[];
  /** `second` was granted before `first`, whose arrival was acknowledged before `second` called, and who stayed. */
  readonly inversions: readonly Finding[];
  /** `second` was granted after `first`, with a token that is not higher. */
  readonly tokenFaults: readonly Finding[];
  /** How many granted calls found somebody waiting whom they could have overtaken. */
  readonly comparedCount: number;
}

/** Judges a history of any number of keys, in n log n. */
export function checkHistory(records: readonly CallRecord[]): HistoryVerdict {
  const keys = byKey(records);
  const order = keys.map(checkOrder);
  return {
    grantsCount: records.filter(isHold).length,
    overlaps: keys.flatMap((of) => overlapsIn(holdsInOrder(of))),
    inversions: order.flatMap(({ inversions }) => inversions),
    tokenFaults: keys.flatMap((of) => tokenFaultsIn(holdsInOrder(of))),
    comparedCount: order.reduce((sum, { comparedCount }) => sum + comparedCount, 0),
  };
}

/** Whether the call was granted. */
export function isHold<R extends CallRecord>(record: R): record is HoldRecord<R> {
  return record.grantedAt !== undefined && record.token !== undefined;
}

/** The holds among these that somebody could rely on, as they followed one another. */
export function holdsInOrder<R extends CallRecord>(records: readonly R[]): HoldRecord<R>[] {
  const relied = records.filter(isHold<R>).filter((hold) => hold.grantedAt <= heldUntil(hold));
  return relied.sort((a, b) => a.grantedAt - b.grantedAt);
}

/** One hold follows another in a different process, where it was waiting when the first was released. */
export interface Handoff {
  readonly from: HoldRecord;
  readonly to: HoldRecord;
  /** From the call of `unlock` in one process to the return of `lock` in the other. */
  readonly tookMS: number;
}

/** The handoffs from process to process; those within a process cost no write, and are left out. */
export function handoffs(records: readonly CallRecord[]): Handoff[] {
  return byKey(records).flatMap((of) => handoffsIn(holdsInOrder(of)));
}

function handoffsIn(holds: readonly HoldRecord[]): Handoff[] {
  return pairs(holds).flatMap(({ first: from, second: to }) => {
    const { releasedAt } = from;
    if (releasedAt === undefined || to.arrivedAt === undefined || from.process === to.process) return [];
    return to.arrivedAt < releasedAt ? [{ from, to, tookMS: to.grantedAt - releasedAt }] : [];
  });
}

function overlapsIn(holds: readonly HoldRecord[]): Finding[] {
  const findings: Finding[] = [];
  let last: HoldRecord | undefined;
  for (const second of holds) {
    if (last !== undefined && second.grantedAt < heldUntil(last)) findings.push({ first: last, second });
    if (last === undefined || heldUntil(second) > heldUntil(last)) last = second;
  }
  return findings;
}

/** What was never given back is held for ever; a caller that has called `unlock`, or was told of the loss, relies on nothing. */
export function heldUntil(hold: HoldRecord): number {
  return Math.min(...[hold.releasedAt, hold.lostAt, hold.deadlineAt].filter((at) => at !== undefined));
}

function tokenFaultsIn(holds: readonly HoldRecord[]): Finding[] {
  return pairs(holds).filter(({ first, second }) => second.token <= first.token);
}

/** Goes through the calls in time with one bystander: of those who had arrived by then, the one who waited longest. */
function checkOrder(records: readonly CallRecord[]): Pick<HistoryVerdict, 'inversions' | 'comparedCount'> {
  const calls = records.filter(isHold).sort((a, b) => a.calledAt - b.calledAt);
  const arrivals = records.flatMap((record) =>
    record.arrivedAt === undefined ? [] : [{ record, at: record.arrivedAt }],
  );
  arrivals.sort((a, b) => a.at - b.at);
  const inversions: Finding[] = [];
  let comparedCount = 0;
  let next = 0;
  let bystander: CallRecord | undefined;
  for (const second of calls) {
    for (
      let arrival = arrivals[next];
      arrival !== undefined && arrival.at < second.calledAt;
      arrival = arrivals[next]
    ) {
      if (bystander === undefined || waitedUntil(arrival.record) > waitedUntil(bystander)) bystander = arrival.record;
      next += 1;
    }
    if (bystander === undefined || waitedUntil(bystander) <= second.calledAt) continue;
    comparedCount += 1;
    if (waitedUntil(bystander) > second.grantedAt) inversions.push({ first: bystander, second });
  }
  return { inversions, comparedCount };
}

/** Until when a call waited. */
export function waitedUntil({ grantedAt, leftAt }: CallRecord): number {
  return grantedAt ?? leftAt ?? Number.POSITIVE_INFINITY;
}

/** The records of each key. */
export function byKey<R extends { readonly key: string }>(records: readonly R[]): R[][] {
  const groups = new Map<string, R[]>();
  for (const record of records) {
    const group = groups.get(record.key);
    if (group === undefined) groups.set(record.key, [record]);
    else group.push(record);
  }
  return [...groups.values()];
}

function pairs<T>(items: readonly T[]): { readonly first: T; readonly second: T }[] {
  return items.slice(1).map((second, index) => ({ first: items[index] as T, second }));
}
