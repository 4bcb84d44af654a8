/**
 * How long one waits beside what is fair, and whether anybody is overtaken: in a queue that keeps its length, and with callers who come when they
 * come, whatever the lock does.
 */
import { byChance } from '../arrivals.js';
import { type Contest, type ContestSettings, contest } from '../contest.js';
import { type Figures, gaps, median, percentile } from '../figures.js';
import { OURS } from '../peers/ours.js';
import type { Case, Question } from '../question.js';
import { atScale } from '../scale.js';
import type { Stage } from '../stage.js';
import { fairWaitMS, grantsOf, grantsPerSecond, handoffsOf, jainOf, took, waitsOf } from '../verdict.js';

const WAITERS_COUNT = 50;
const HOLD_MS = 5;
/** Long enough that a grant more or less does not show in the index. */
const WINDOWS_COUNT = 5;
const LOADS = [0.6, 0.8];

function settingsFor(stage: Stage): ContestSettings {
  return {
    peer: OURS,
    processesCount: 2,
    callersCount: atScale(stage.scale, WAITERS_COUNT) + 1,
    holdMS: HOLD_MS,
    windowsCount: WINDOWS_COUNT,
    inTurn: true,
  };
}

export const STANDING: Case = {
  name: `${WAITERS_COUNT} waiters, 2 processes, hold ${HOLD_MS} ms`,
  async measure(stage) {
    const result = await contest(stage, settingsFor(stage));
    const waits = waitsOf(result);
    const fair = fairWaitMS(result, took(handoffsOf(result), 0.5));
    return {
      'wait p50 ms': percentile(waits, 0.5),
      'wait p99 ms': percentile(waits, 0.99),
      'longest wait over median': Math.max(...waits) / percentile(waits, 0.5),
      'fair wait ms': fair,
      'wait p99 over fair': percentile(waits, 0.99) / fair,
      'Jain index': jainOf(result),
      inversions: inversionsOf(result),
      grants: grantsOf(result).length,
    };
  },
};

/** The callers come by chance, as many a second as keep the lock that busy. */
function arriving(load: number): Case {
  return {
    name: `callers come by chance, load ${load * 100} %`,
    async measure(stage) {
      const standing = await contest(stage, { ...settingsFor(stage), windowsCount: 1 });
      const perSecond = grantsPerSecond(standing) * load;
      const lengthMS = stage.scale.windowMS * WINDOWS_COUNT;
      const arrivals = byChance({ perSecond, lengthMS, seed: Math.round(load * 1_000) });
      const result = await contest(stage, { ...settingsFor(stage), inTurn: false, arrivals });
      return openFigures(result, took(handoffsOf(standing), 0.5));
    },
  };
}

function openFigures(result: Contest, handoffMS: number): Figures {
  const calls = result.calls.filter(({ grantedAt }) => !Number.isNaN(grantedAt));
  const waits = calls.map(({ calledAt, grantedAt }) => grantedAt - calledAt);
  const fair = fairWaits(
    calls.map(({ calledAt }) => calledAt),
    HOLD_MS + handoffMS,
  );
  return {
    'wait p50 ms': percentile(waits, 0.5),
    'wait p99 ms': percentile(waits, 0.99),
    'fair wait p50 ms': percentile(fair, 0.5),
    'fair wait p99 ms': percentile(fair, 0.99),
    'wait p99 over fair p99': percentile(waits, 0.99) / percentile(fair, 0.99),
    inversions: inversionsOf(result),
    'calls not served': result.calls.length - calls.length,
    grants: calls.length,
    'time between calls p50 ms': median(gaps(calls.map(({ calledAt }) => calledAt))),
  };
}

function inversionsOf({ inversions }: Contest): number {
  return inversions === null || inversions.ticketsCount === 0 ? Number.NaN : inversions.inversionsCount;
}

/** What these callers would wait for, one after the other, each taking as long. A free lock is a handoff away. */
function fairWaits(calledAt: readonly number[], serviceMS: number): number[] {
  let freeAt = Number.NEGATIVE_INFINITY;
  return [...calledAt]
    .sort((a, b) => a - b)
    .map((at) => {
      const startAt = Math.max(at, freeAt) + (serviceMS - HOLD_MS);
      freeAt = startAt + HOLD_MS;
      return startAt - at;
    });
}

export const FAIRNESS: Question = {
  name: 'fairness',
  title: 'waiting time beside the fair one, and who is overtaken',
  method:
    'A queue that keeps its length: every caller comes again as soon as it was served; the fair wait is waiters × (hold + median handoff of the same ' +
    'round); who still waited at the end counts with the time so far where it is longer than all others. Open loop: callers come by chance (Poisson, ' +
    'the same seed in every round) at a share of the rate that the queue had just before, and wait from the instant they were due, however late their ' +
    'call; fair is what the same arrivals would wait for, one after the other. Inversions are counted in the server’s own log: a ticket granted ' +
    'after another that came when the arrival of the first was complete. Jain’s index is over the grants of each caller in a round.',
  cases: async ({ scale }) => [STANDING, ...(scale.tiny ? [] : LOADS.map(arriving))],
};
