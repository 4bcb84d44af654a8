/**
 * Judges a recorded run: the eight points of what a history must show. One holder, rising tokens and the order of arrival
 * are judged by `checkHistory`, which the demo uses too; the rest is judged here, of the same records. Pure.
 *
 * What was done to the run excuses only what the guarantees themselves except: a deletion by hand ends the protection of
 * the holds that stood, and the places in the queue; a dead process may keep the others waiting for the bound of INV-05.
 */
import {
  byKey,
  type CallRecord,
  checkHistory,
  heldUntil,
  holdsInOrder,
  isHold,
  type Finding as Pair,
  waitedUntil,
} from '../../../packages/examples/src/demo/history.js';
import type { Guarded } from './child/guards.js';
import type { Disturbance } from './disturbances.js';
import type { Entry } from './facts.js';
import { type Call, fold, type Write } from './history.js';
import type { StoredChange } from './observer.js';
import { PATROL_MS, RECOVERY_BOUND_MS, SLACK_MS } from './settings.js';

/** The points, by what is wrong. */
export type FindingKind =
  | 'two valid holders'
  | 'told too late'
  | 'token not higher'
  | 'write out of token order'
  | 'overtaken'
  | 'free while somebody waits'
  | 'left behind'
  | 'not settled once'
  | 'lost without a reason'
  | 'lost although it stood'
  | 'failed without a reason'
  | 'effect lost'
  | 'trouble';

export interface Finding {
  readonly kind: FindingKind;
  readonly what: string;
  /** The callers it is about, and the instants between which it happened: what an excerpt of the history shows. */
  readonly callers: readonly string[];
  readonly from: number;
  readonly to: number;
}

/** A run, with everything that is known of it. */
export interface Run {
  readonly entries: readonly Entry[];
  readonly disturbances: readonly Disturbance[];
  readonly stored: readonly StoredChange[];
  /** Whether `stored` has everything. */
  readonly storedComplete: boolean;
  /** The guarded documents in the end. */
  readonly guarded: readonly Guarded[];
  readonly keepsElements: boolean;
  /** What was found in the database after the end. */
  readonly leftovers: readonly string[];
  /** By how much the servers' clocks were more wrong than the locks were told: overlaps are then not promised against. */
  readonly clockExcessMS: number;
  /** For how much longer than their lease the dead may hold a lock, by a transaction that nobody commits. */
  readonly transactionExcessMS?: number;
}

export interface Verdict {
  readonly findings: readonly Finding[];
  readonly callsCount: number;
  readonly grantsCount: number;
  /** Calls that found somebody waiting whom they could have overtaken. */
  readonly comparedCount: number;
  readonly writesCount: number;
  readonly lostCount: number;
  /** Overlaps of holds that are not promised against, because the clocks were too wrong. */
  readonly exemptOverlapsCount: number;
  /** The longest time in which a lock was free although somebody waited, from the last disturbance on. */
  readonly worstFreeMS: { readonly calm: number; readonly disturbed: number };
}

export function judge(run: Run): Verdict {
  const { calls, writes } = fold(run.entries);
  const runs = runsBegan(calls);
  const isLast = lastOfDocuments(run.stored);
  const records = calls.map((call) => {
    const began = { at: runs(call), isLast: isLast(call) };
    return beforeDeletions(call, began, run.disturbances);
  });
  const { overlaps, inversions, tokenFaults, grantsCount, comparedCount } = checkHistory(records);
  const promised = run.clockExcessMS === 0;
  const free = freeSpans(records, run);
  return {
    findings: [
      ...(promised ? overlaps.map((pair) => pairFinding('two valid holders', pair)) : []),
      ...(promised ? toldTooLate(records) : []),
      ...grantedInVain(calls),
      // Of two that hold at once the earlier grant may be told last; the order of what is stored is promised even then.
      ...tokenFaults
        .filter((pair) => promised || !isOverlap(pair))
        .map((pair) => pairFinding('token not higher', pair)),
      ...storedOrder(run),
      ...(run.storedComplete ? [...unstoredGrants(calls, run.stored), ...falseLosses(calls, run.stored)] : []),
      ...inversions
        .filter((pair) => promised || !(isInOrder(pair) || hadLostItsRun(pair, calls)))
        .map((pair) => pairFinding('overtaken', pair)),
      ...free.filter(isTooLong).map(freeFinding),
      ...run.leftovers.map((what) => finding('left behind', what)),
      ...settlements(calls),
      ...eventFaults(run.entries, calls),
      ...(promised ? unreasonableLosses(run) : []),
      ...failures(calls, run),
      ...effects(writes, run),
      ...troubles(run.entries),
    ],
    callsCount: calls.length,
    grantsCount,
    comparedCount,
    writesCount: writes.filter(({ outcome }) => outcome === 'wrote').length,
    lostCount: calls.filter(({ lostCount }) => lostCount > 0).length,
    exemptOverlapsCount: promised ? 0 : overlaps.length,
    worstFreeMS: { calm: worst(free, false), disturbed: worst(free, true) },
  };
}

function finding(kind: FindingKind, what: string, about: Partial<Finding> = {}): Finding {
  return { kind, what, callers: [], from: 0, to: 0, ...about };
}

function pairFinding(kind: FindingKind, { first, second }: Pair): Finding {
  const instants = [first, second].flatMap(({ calledAt, grantedAt = calledAt }) => [calledAt, grantedAt]);
  return {
    kind,
    what: `${first.caller} (${describe(first)}) and ${second.caller} (${describe(second)})`,
    callers: [first.caller, second.caller],
    from: Math.min(...instants),
    to: Math.max(...instants),
  };
}

function isOverlap({ first, second }: Pair): boolean {
  return isHold(first) && isHold(second) && second.grantedAt < heldUntil(first);
}

/** Its turn was in a run of its process that was lost: a session was found dead that was not, and it had to arrive again. */
function hadLostItsRun({ first }: Pair, calls: readonly Call[]): boolean {
  const { process, key, calledAt, grantedAt = Infinity } = first as Call;
  return calls.some((call) => {
    const { lostAt = Infinity } = call;
    return call.process === process && call.key === key && calledAt <= lostAt && lostAt <= grantedAt;
  });
}

/** Granted in the order of their arrivals, and told in another: the first was in a run that went on without the lock. */
function isInOrder({ first, second }: Pair): boolean {
  return isHold(first) && isHold(second) && first.token < second.token;
}

function describe({ token, outcome }: CallRecord): string {
  return token === undefined ? outcome : `token ${token}, ${outcome}`;
}

// --- 1, 2, 4: what deletions by hand take away ------------------------------------------------------------------------

/** For how long after a deletion waiters may not have read the queue again. */
const UNREAD_MS = PATROL_MS + SLACK_MS;

/**
 * When the first caller of a call's run was served: what one write granted stood or stood not, the callers who come later
 * in it included. The tokens of a run follow one another; over a deletion those of two runs do not.
 */
function runsBegan(calls: readonly Call[]): (call: Call) => number | undefined {
  const name = ({ key, session }: Call, token: number): string => `${key} ${session} ${token}`;
  const holds = new Map(calls.filter(isHold<Call>).map((call) => [name(call, call.token), call]));
  return (call) => {
    let first = call;
    while (first.token !== undefined) {
      const before = holds.get(name(call, first.token - 1));
      if (before === undefined) break;
      first = before;
    }
    return first.grantedAt;
  };
}

/**
 * Whether a call's grant was the last of its lock document, by what was stored: the tokens of a document follow one another,
 * those of one that is made anew begin elsewhere. Such a grant stood at a deletion, also where it was told just after.
 */
function lastOfDocuments(stored: readonly StoredChange[]): (call: Call) => boolean {
  const grants = storedGrants(stored);
  return (call) => {
    const of = grants.get(call.key) ?? [];
    return of.some((grant, index) => {
      const next = of[index + 1];
      return next !== undefined && next.first !== grant.last + 1 && isOf(call, grant);
    });
  };
}

function beforeDeletions(
  call: Call,
  began: { readonly at: number | undefined; readonly isLast: boolean },
  disturbances: readonly Disturbance[],
): Call {
  let record = call;
  for (const { deletes, from, to } of disturbances) {
    if (!deletes) continue;
    const { arrivedAt } = record;
    const toldUntil = (to ?? Infinity) + (began.isLast ? UNREAD_MS : 0);
    if (began.at !== undefined && began.at <= toldUntil)
      record = {
        ...record,
        deadlineAt: Math.min(record.deadlineAt ?? Infinity, from),
        unprotectedAt: Math.min(record.unprotectedAt ?? Infinity, from),
      };
    const around = arrivedAt !== undefined && arrivedAt < (to ?? Infinity) + UNREAD_MS && waitedUntil(record) > from;
    if (around) {
      const { arrivedAt: _, ...without } = record;
      record = without;
    }
  }
  return record;
}

/** INV-06: a process that ran has told its caller before another was granted. */
const STALL_MAX_MS = 150;
/** From a promise that settles to the caller who sees it. */
const LOOK_MS = 5;

function toldTooLate(calls: readonly Call[]): Finding[] {
  return byKey(calls).flatMap((of) => {
    const holds = of.filter(isHold<Call>).sort((a, b) => a.token - b.token);
    return holds.flatMap((hold, index) => {
      const next = holds[index + 1];
      // Who was never told is told too late, too: a loss says how long its process had not run, and silence has no excuse.
      const { lostAt = Infinity, releasedAt = Infinity, unprotectedAt = Infinity, stalledMS = 0, outcome } = hold;
      if (next === undefined || outcome === 'killed' || stalledMS > STALL_MAX_MS) return [];
      // Where it is valid still, two hold at once, and that is found by itself.
      if (hold.lostAt === undefined && heldUntil(hold) > next.grantedAt) return [];
      const late = Math.min(lostAt, releasedAt, unprotectedAt) > next.grantedAt;
      return late ? [pairFinding('told too late', { first: hold, second: next })] : [];
    });
  });
}

/**
 * INV-06: no call returns a lock that says of itself that it is not held, unless the process had not run meanwhile, or its
 * deadline passed between the engine's look at it and the caller's, which is as long as the process stood still.
 */
function grantedInVain(calls: readonly Call[]): Finding[] {
  return calls.flatMap((call) => {
    const { held, outcome, stalledMS = 0, grantedAt = 0, deadlineAt = Number.POSITIVE_INFINITY } = call;
    const passed = deadlineAt <= grantedAt && grantedAt <= deadlineAt + stalledMS + LOOK_MS;
    const vain = held === false && outcome !== 'killed' && stalledMS <= STALL_MAX_MS && !passed;
    return vain ? [ofCall('told too late', 'was granted what was not held any more', call)] : [];
  });
}

// --- 2, 3: what the majority has ---------------------------------------------------------------------------------------

interface StoredGrant {
  readonly session: string;
  readonly first: number;
  readonly last: number;
}

function parseStored(value: string): StoredGrant {
  const [session = '', first = '', tickets = ''] = value.split('/');
  const callers = tickets.split(',').map((ticket) => Number(ticket.split(':')[1] ?? 1));
  return { session, first: Number(first), last: Number(first) + callers.reduce((sum, count) => sum + count, 0) - 1 };
}

/** The grants of each key, in the order of the majority. */
function storedGrants(stored: readonly StoredChange[]): Map<string, StoredGrant[]> {
  const grants = new Map<string, StoredGrant[]>();
  for (const { kind, key, value } of stored)
    if (kind === 'grant') {
      const of = grants.get(key) ?? [];
      of.push(parseStored(value));
      grants.set(key, of);
    }
  return grants;
}

/** Whether a call was served by this grant. */
function isOf({ session: by, token = 0 }: Call, { session, first, last }: StoredGrant): boolean {
  return session === by && first <= token && token <= last;
}

/** Tokens of grants rise in the order of the majority, whoever was told of them; so do those of the guarded writes. */
function storedOrder({ stored }: Run): Finding[] {
  const last = new Map<string, number>();
  return stored.flatMap(({ kind, key, value }) => {
    if (kind === 'free') return [];
    const before = last.get(`${kind} ${key}`) ?? 0;
    const { first, last: after } =
      kind === 'grant' ? parseStored(value) : { first: Number(value), last: Number(value) };
    last.set(`${kind} ${key}`, after);
    if (first > before) return [];
    return [
      kind === 'grant'
        ? finding('token not higher', `stored grant ${value} of ${key} after token ${before}`)
        : finding('write out of token order', `write with token ${value} on ${key} after one with ${before}`),
    ];
  });
}

/** Whoever was granted a lock has a grant that the majority has. */
function unstoredGrants(calls: readonly Call[], stored: readonly StoredChange[]): Finding[] {
  const grants = storedGrants(stored);
  return calls.filter(isHold<Call>).flatMap((call) => {
    if ((grants.get(call.key) ?? []).some((grant) => isOf(call, grant))) return [];
    return [ofCall('two valid holders', 'was granted what no majority has', call)];
  });
}

/** The reason of a loss that was read from the lock document. */
const NOT_NAMED = /the lock document does not name/;
/** The server's time of a write has whole milliseconds. */
const WRITTEN_MS = 5;

/**
 * INV-05: a hold is not reported lost for want of its grant in the lock document while the grant stands there. Whatever
 * ends a grant is stored, deletions by hand and takeovers included, so that nothing else has to be excused.
 */
function falseLosses(calls: readonly Call[], stored: readonly StoredChange[]): Finding[] {
  return calls.filter(isHold<Call>).flatMap((call) => {
    const { key, calledAt: from, lostAt: to, lostWhy = '' } = call;
    if (to === undefined || !NOT_NAMED.test(lostWhy)) return [];
    const of = stored.filter((change) => change.key === key && change.kind !== 'write');
    const index = of.findIndex(({ kind, value }) => kind === 'grant' && isOf(call, parseStored(value)));
    const end = of[index + 1];
    // Without the instant of its end, a grant is only known to have stood if it was never ended.
    const stood = index >= 0 && (end === undefined || (end.at ?? Number.NEGATIVE_INFINITY) > to + WRITTEN_MS);
    const until = end?.at === undefined ? 'to the end' : `for ${Math.round(end.at - to)} ms more`;
    const found = ofCall('lost although it stood', `was told "${lostWhy}", and its grant stood ${until}`, call);
    return stood ? [{ ...found, from, to }] : [];
  });
}

function ofCall(kind: FindingKind, what: string, call: Call): Finding {
  const { caller, calledAt } = call;
  const to = call.grantedAt ?? call.leftAt ?? calledAt;
  return finding(kind, `${caller} (${describe(call)}) ${what}`, { callers: [caller], from: calledAt, to });
}

// --- 5: free while somebody waits --------------------------------------------------------------------------------------

interface FreeSpan {
  readonly key: string;
  /** From the last disturbance on, or from when it was free. */
  readonly from: number;
  readonly to: number;
  readonly witness: string;
  /** Who had it then; null: it stayed free to the end of the history. */
  readonly next: string | null;
  readonly disturbed: boolean;
  readonly boundMS: number;
}

function freeSpans(records: readonly Call[], run: Run): FreeSpan[] {
  const endAt = run.entries.at(-1)?.at ?? 0;
  return byKey(records).flatMap((of) => {
    const holds = holdsInOrder(of);
    const waiters = of.filter((record) => record.arrivedAt !== undefined);
    const [{ key } = { key: '' }] = of;
    let freeAt = Infinity;
    return [...holds, null].flatMap((next) => {
      const from = freeAt;
      const to = next?.grantedAt ?? endAt;
      if (next !== null) freeAt = Math.max(freeAt === Infinity ? 0 : freeAt, heldUntil(next));
      const span = { key, from, to, next: next?.caller ?? null };
      return to - from > IMMEDIATE_MS ? spansOf(span, waiters, run) : [];
    });
  });
}

/** Below this nobody looks closer: every handoff takes some milliseconds. */
const IMMEDIATE_MS = 50;

function spansOf(
  span: Pick<FreeSpan, 'key' | 'from' | 'to' | 'next'>,
  waiters: readonly Call[],
  { disturbances, clockExcessMS, transactionExcessMS = 0 }: Run,
): FreeSpan[] {
  const { from: freeAt, to } = span;
  const recoveryMS = RECOVERY_BOUND_MS + transactionExcessMS;
  const near = disturbances.filter((each) => each.from < to && (each.to ?? Infinity) > freeAt - recoveryMS);
  const instants = near.flatMap((each) => [each.from, each.to ?? each.from]).filter((at) => at > freeAt && at < to);
  const from = Math.max(freeAt, ...instants);
  const lame = new Set(near.filter((each) => (each.to ?? Infinity) > from).flatMap(({ processes }) => processes));
  const lasting = near.some((each) => each.processes.length === 0 && (each.to ?? Infinity) > from);
  const witness = waiters.find(
    (each) => (each.arrivedAt ?? Infinity) < from && waitedUntil(each) >= to && !lame.has(each.process),
  );
  if (witness === undefined || lasting) return [];
  const disturbed = near.some(({ streamsOnly }) => !streamsOnly);
  const boundMS = (disturbed ? recoveryMS + clockExcessMS : PATROL_MS) + SLACK_MS;
  return [{ ...span, from, witness: witness.caller, disturbed, boundMS }];
}

function isTooLong({ from, to, boundMS }: FreeSpan): boolean {
  return to - from > boundMS;
}

function freeFinding({ key, from, to, witness, next, boundMS }: FreeSpan): Finding {
  const span = `${Math.round(to - from)} ms (bound ${Math.round(boundMS)})`;
  const until = next === null ? 'to the end' : `until ${next} had it`;
  const what = `${key} was free for ${span} while ${witness} waited, ${until}`;
  return finding('free while somebody waits', what, { callers: next === null ? [witness] : [witness, next], from, to });
}

function worst(spans: readonly FreeSpan[], disturbed: boolean): number {
  const durations = spans.filter((span) => span.disturbed === disturbed).map(({ from, to }) => to - from);
  return Math.round(Math.max(0, ...durations));
}

// --- 7: settled once, lost once ----------------------------------------------------------------------------------------

function settlements(calls: readonly Call[]): Finding[] {
  return calls.flatMap((call) => {
    const wanted = call.outcome === 'killed' ? call.settledCount <= 1 : call.settledCount === 1;
    if (!wanted) return [ofCall('not settled once', `settled ${call.settledCount} times`, call)];
    if (call.lostCount > 0 && call.answer)
      return [ofCall('not settled once', 'was told both that it lost and that it released', call)];
    if (call.lostCount > 1) return [ofCall('not settled once', `was told lost ${call.lostCount} times`, call)];
    return [];
  });
}

/** The events say the same as the promises: one grant for each, and one end at most. */
function eventFaults(entries: readonly Entry[], calls: readonly Call[]): Finding[] {
  const counts = new Map<string, { granted: number; ended: number }>();
  for (const entry of entries) {
    if (entry.kind !== 'event') continue;
    const name = `${entry.key} ${entry.token}`;
    const count = counts.get(name) ?? { granted: 0, ended: 0 };
    count[entry.name === 'granted' ? 'granted' : 'ended'] += 1;
    counts.set(name, count);
  }
  if (counts.size === 0) return [];
  return calls.filter(isHold<Call>).flatMap((call) => {
    const { granted, ended } = counts.get(`${call.key} ${call.token}`) ?? { granted: 0, ended: 0 };
    if (granted === 1 && ended <= 1) return [];
    return [ofCall('not settled once', `has ${granted} events of its grant and ${ended} of its end`, call)];
  });
}

/** Nobody loses a session for nothing: a fault, an outage or a process that did not run must be near. */
function unreasonableLosses({ entries, disturbances }: Run): Finding[] {
  return entries.flatMap((entry) => {
    if (entry.kind !== 'session lost' || entry.stalledMS > STALL_MAX_MS) return [];
    const { at, process, session, why = '' } = entry;
    const what = `session ${session} of ${process}: ${why}`;
    return isDisturbed(entry, disturbances)
      ? []
      : [finding('lost without a reason', what, { from: at - RECOVERY_BOUND_MS, to: at })];
  });
}

/** Whether something was done to that process, or to the servers, not long before. */
function isDisturbed({ at, process }: { at: number; process: string }, disturbances: readonly Disturbance[]): boolean {
  return disturbances.some(
    ({ from, to, processes }) =>
      from < at &&
      (to ?? Infinity) > at - 2 * RECOVERY_BOUND_MS &&
      (processes.length === 0 || processes.includes(process)),
  );
}

/** What a call may fail with while the servers cannot be reached. */
const FAILURES = /^LOCK_(UNAVAILABLE|OUTCOME_UNKNOWN):/;

/** A call fails because the servers cannot be reached, and says so; for no other reason, and with no other error. */
function failures(calls: readonly Call[], { disturbances }: Run): Finding[] {
  return calls.flatMap((call) => {
    const { outcome, why = '', process, leftAt: at = call.calledAt } = call;
    if (outcome !== 'failed') return [];
    const excused = FAILURES.test(why) && isDisturbed({ at, process }, disturbances);
    return excused ? [] : [ofCall('failed without a reason', `fails with ${why}`, call)];
  });
}

// --- 8: effects --------------------------------------------------------------------------------------------------------

function effects(writes: readonly Write[], { guarded, keepsElements }: Run): Finding[] {
  return guarded.flatMap(({ _id: key, count, elements }) => {
    const of = writes.filter((write) => write.key === key);
    const acknowledged = of.filter(({ outcome }) => outcome === 'wrote');
    const unknown = of.filter(({ outcome }) => outcome === 'writing' || outcome === 'write unknown');
    const kept = new Set(elements);
    const missing = keepsElements ? acknowledged.filter(({ element }) => !kept.has(element)) : [];
    const fits = count >= acknowledged.length && count <= acknowledged.length + unknown.length;
    return [
      ...missing.map(({ caller, token, element }) =>
        finding('effect lost', `${element} of token ${token} was acknowledged on ${key} and is not there`, {
          callers: [caller],
        }),
      ),
      ...(fits
        ? []
        : [
            finding(
              'effect lost',
              `${key} counts ${count} writes; ${acknowledged.length} were acknowledged, ${unknown.length} may be`,
            ),
          ]),
    ];
  });
}

function troubles(entries: readonly Entry[]): Finding[] {
  return entries.flatMap((entry) =>
    entry.kind === 'trouble'
      ? [finding('trouble', `${entry.process}: ${entry.message}`, { from: entry.at, to: entry.at })]
      : [],
  );
}
