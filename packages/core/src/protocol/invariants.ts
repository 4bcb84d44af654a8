/**
 * The guarantees as predicates: what a recorded run must show, by the numbers of the guarantees page. Pure, over plain
 * facts that whoever watches a run collects; each gives what is broken, in words, or null. The engine does not call
 * them: the simulation does after every step, and the fault suite over its histories.
 */

export type InvariantId =
  | 'INV-01'
  | 'INV-02'
  | 'INV-03'
  | 'INV-04'
  | 'INV-05'
  | 'INV-06'
  | 'INV-07'
  | 'INV-08'
  | 'INV-09'
  | 'INV-10'
  | 'INV-11';

/** One call of `lock` or `tryLock`, as seen from outside. */
export interface CallFacts {
  readonly name: string;
  readonly key: string;
  /** When it was called. */
  readonly calledAt: number;
  /** When the server acknowledged its arrival; null: not yet. */
  readonly arrivedAt: number | null;
  /** Whether it has neither been granted nor ended otherwise, and its process lives. */
  readonly waiting: boolean;
  /** Whether the session it arrived under was lost since, or what was stored of it deleted by hand. */
  readonly exempt: boolean;
}

/** One hold, as seen from outside. */
export interface HoldFacts {
  readonly name: string;
  readonly key: string;
  readonly token: number;
  /** Whether it believes itself valid now. */
  readonly held: boolean;
  /** Whether its signal has aborted. */
  readonly aborted: boolean;
  /** Whether its process can run now: one that cannot cannot abort a signal either. */
  readonly running: boolean;
}

/** INV-01: a hold begins while no other hold of its key believes itself valid. */
export function mutualExclusion(begun: HoldFacts, others: Iterable<HoldFacts>): string | null {
  for (const other of others) {
    if (other === begun || other.key !== begun.key || !other.held) continue;
    return `${begun.name} holds ${begun.key} with token ${begun.token} while ${other.name} does with ${other.token}`;
  }
  return null;
}

/** INV-02: each token of a key is larger than every one before it. */
export function fencingMonotonic(
  key: string,
  tokens: { readonly before: number; readonly now: number },
): string | null {
  const { before, now } = tokens;
  return now > before ? null : `token ${now} of ${key} follows token ${before}`;
}

/** INV-03: whoever had arrived before the granted call was made is not waiting any more. */
export function firstComeFirstServed(granted: CallFacts, calls: Iterable<CallFacts>): string | null {
  for (const call of calls) {
    if (call.key !== granted.key || !call.waiting || call.exempt || call === granted) continue;
    if (call.arrivedAt === null || call.arrivedAt >= granted.calledAt) continue;
    return `${granted.name}, called at ${granted.calledAt}, is granted ${granted.key} before ${call.name}, which had arrived at ${call.arrivedAt}`;
  }
  return null;
}

/** INV-04: a free lock is taken (by TRY or by a mark, at `takenAt`) only when nobody waits whose arrival is complete. */
export function noBarging(
  taken: { readonly key: string; readonly by: string; readonly takenAt: number },
  calls: Iterable<CallFacts>,
): string | null {
  for (const call of calls) {
    if (call.key !== taken.key || !call.waiting || call.exempt) continue;
    if (call.arrivedAt === null || call.arrivedAt >= taken.takenAt) continue;
    return `${taken.by} takes free ${taken.key} at ${taken.takenAt} while ${call.name} waits since ${call.arrivedAt}`;
  }
  return null;
}

/** Why a lock does not move although somebody waits for it. */
export type StallCause =
  /** Vacant, or granted to a live process: somebody has yet to learn of it. */
  | 'missed'
  /** Granted to a session whose process does not renew it. */
  | 'holder-dead';

export interface ProgressTimes {
  /** The longest lease of all concerned. */
  readonly leaseMS: number;
  readonly clockSkewMS: number;
  /** How often whoever must notice looks: the patrol of a waiting process, the heartbeat of one that does not wait. */
  readonly lookIntervalMS: number;
  /** What the commands on the way may take: round trips, one that must be sent again, and the wait before. */
  readonly slackMS: number;
}

/**
 * INV-05: how long a lock with a live waiter may stand still. A dead holder is known by its lease and the clock skew, or
 * by beats that stand still: by whichever comes first.
 */
function progressBoundMS(cause: StallCause, times: ProgressTimes): number {
  const { leaseMS, clockSkewMS, lookIntervalMS, slackMS } = times;
  if (cause === 'missed') return lookIntervalMS + slackMS;
  return leaseMS + Math.min(clockSkewMS, lookIntervalMS) + lookIntervalMS + slackMS;
}

/** INV-05: nothing has moved for longer than the bound although someone waits. */
export function progress(
  stall: { readonly key: string; readonly cause: StallCause; readonly forMS: number },
  times: ProgressTimes,
): string | null {
  const boundMS = progressBoundMS(stall.cause, times);
  if (stall.forMS <= boundMS) return null;
  return `${stall.key} stands still for ${stall.forMS} ms (${stall.cause}), and ${boundMS} ms is the bound`;
}

/** INV-06: when the stored grant of a hold is replaced, its holder has been told. */
export function holderFirstToKnow(hold: HoldFacts): string | null {
  if (hold.held) return `${hold.name} still believes to hold ${hold.key} with token ${hold.token}, which was passed on`;
  return null;
}

/** INV-06: a hold begins as valid, and once it does not believe itself valid any more it never does again. */
export function neverRevives(hold: HoldFacts, doubtedBefore: boolean): string | null {
  if (doubtedBefore && hold.held) return `${hold.name} believes again to hold ${hold.key} with token ${hold.token}`;
  return null;
}

/** INV-06: a hold that does not believe itself valid any more, and was not released, has its signal aborted. */
export function lossIsSignalled(hold: HoldFacts, lateMS: number, toleranceMS: number): string | null {
  if (hold.held || hold.aborted || !hold.running || lateMS <= toleranceMS) return null;
  return `${hold.name} lost ${hold.key} ${lateMS} ms ago and its signal has not aborted`;
}

/** INV-07: of any number of releases of one hold at most one says that it released. */
export function releaseIdempotent(hold: HoldFacts, answers: readonly boolean[]): string | null {
  const trues = answers.filter(Boolean).length;
  return trues <= 1
    ? null
    : `${trues} releases of ${hold.name} (${hold.key}, token ${hold.token}) say that they released it`;
}

/** INV-08: what is still stored of live sessions when all their calls have ended for a lease. */
export function nothingLeftBehind(left: {
  readonly tickets: readonly string[];
  readonly grants: readonly string[];
  readonly sessions: readonly string[];
}): string | null {
  const { tickets, grants, sessions } = left;
  if (tickets.length + grants.length + sessions.length === 0) return null;
  return `left behind: tickets [${tickets.join(' ')}], grants [${grants.join(' ')}], sessions [${sessions.join(' ')}]`;
}

/** INV-09: a call ends with an unknown outcome only where the session that could have told was lost. */
export function honestOutcome(
  call: CallFacts,
  ended: { readonly code: string; readonly sessionLost: boolean },
): string | null {
  if (ended.code !== 'LOCK_OUTCOME_UNKNOWN' || ended.sessionLost) return null;
  return `${call.name} ends with ${ended.code} although its session lives`;
}

/** What a run cost. */
export interface RunCost {
  readonly commandsCount: number;
  /** How many callers were served: grants that serve nobody are part of the cost. */
  readonly grantsCount: number;
}

/** INV-10: what a handoff costs with many who wait is, but for one command, no more than with few. */
export function flatCost({ few, many }: { readonly few: RunCost; readonly many: RunCost }): string | null {
  const before = few.commandsCount / few.grantsCount;
  const after = many.commandsCount / many.grantsCount;
  return after <= before + 1 ? null : `${after} commands a handoff with many waiters, ${before} with few`;
}

/** INV-11: what has a limit stays within it. */
export function boundedEverything(name: string, count: number, limit: number): string | null {
  return count <= limit ? null : `${name}: ${count}, the limit is ${limit}`;
}
