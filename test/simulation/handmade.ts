/**
 * Scenarios made by hand, for what chance would take too long to arrange. They are data like any other; the network is
 * still drawn from the seed. Called by `mutants.ts`.
 */
import { Chance } from './chance.js';
import { type Fault, makeScenario, type ProcessPlan, type Scenario, type Trouble } from './scenario.js';

/** How many of their calls may last: those behind them must be served in time. */
const KEEPERS_CALLS_MAX = 12;

interface HandmadeCall {
  readonly process: number;
  readonly atMS: number;
  readonly holdMS: number;
  readonly mode?: 'wait' | 'try';
}

/** A scenario of four like processes, one key, and these calls and faults; chance is left to the network. */
function handmade(seed: number, calls: readonly HandmadeCall[], faults: readonly Fault[] = []): Scenario {
  const scenario = makeScenario(seed, []);
  const [plan] = scenario.processes;
  if (plan === undefined) throw new Error('a scenario has processes');
  const times = { leaseDurationMS: 1_500, heartbeatIntervalMS: 500, patrolIntervalMS: 1_000, deadlineMarginMS: 150 };
  const options = { ...plan.options, ...times, clockSkewMS: 0 };
  const nothing = {
    timeoutMS: Number.POSITIVE_INFINITY,
    extraReleases: 0,
    abort: { kind: 'none' },
    nested: null,
  } as const;
  return {
    ...scenario,
    processes: ['P0', 'P1', 'P2', 'P3'].map((name) => ({ ...plan, name, options })),
    calls: calls.map((call, index) => ({ mode: 'wait', ...call, ...nothing, name: `h${index}`, key: 'a' })),
    faults,
  };
}

/** Somebody who comes by every few milliseconds. */
function passersBy(fromMS: number, everyMS: number, count: number): HandmadeCall[] {
  return Array.from({ length: count }, (_, index) => {
    return { process: 3, mode: 'try', atMS: fromMS + everyMS * index, holdMS: 0 };
  });
}

/**
 * A lock document is deleted while one waits for it. Somebody comes by, makes it anew and holds it for longer than a patrol;
 * and when that one goes, somebody else comes by.
 */
export function recreated(seed: number): Scenario {
  const holder = { process: 0, mode: 'try', atMS: 0, holdMS: 3_000 } as const;
  const waiter = { process: 1, atMS: 100, holdMS: 0 };
  const next = { process: 2, mode: 'try', atMS: 2_510, holdMS: 1_400 } as const;
  const calls = [holder, waiter, next, ...passersBy(3_850, 10, 40)];
  return handmade(seed, calls, [{ kind: 'delete-lock', atMS: 2_500, key: 'a' }]);
}

/**
 * A lock document is deleted under its holder and put back later, when that holder was found to be lost. The next caller
 * finds it granted to a session that lives, and where the holder is over.
 */
export function restored(seed: number): Scenario {
  const atMS = 2_500 + Chance.named(seed, 'deletion').between(0, 100);
  const holder = { process: 0, atMS: 0, holdMS: 3_000 };
  const next = { process: 1, atMS: atMS + 900, holdMS: 0 };
  return handmade(seed, [holder, next], [{ kind: 'restore-lock', atMS, key: 'a', afterMS: 800 }]);
}

/**
 * Callers leave the queue of a lock that is held for long, and a message may take several leases: an arrival that was sent again
 * comes once more when its caller has gone, and its ticket was deleted twice.
 */
export function lateArrivals(seed: number): Scenario {
  const holder = { process: 0, atMS: 0, holdMS: 20_000 };
  const waiters = Array.from({ length: 12 }, (_, index) => ({
    process: 1 + (index % 3),
    atMS: 100 + 90 * index,
    holdMS: 0,
  }));
  const scenario = handmade(seed, [holder, ...waiters]);
  const processes = scenario.processes.map((plan, index) => {
    return index === 0 ? plan : { ...plan, link: { ...plan.link, slowRate: 0.1, slowMS: [1_000, 5_000] as const } };
  });
  // One caller of each process stays, so that its session lives.
  const calls = scenario.calls.map((call, index) => {
    return index === 0 || index > 9 ? call : { ...call, abort: { kind: 'after', ms: 1_500 } as const };
  });
  return { ...scenario, processes, calls };
}

/** Somebody arrives at the very moment in which a holder that came from the queue reads what is behind it. */
export function arrivesDuringPrefetch(seed: number): Scenario {
  const atMS = Chance.named(seed, 'arrival').between(58, 66);
  const first = { process: 0, atMS: 0, holdMS: 60 };
  const second = { process: 1, atMS: 10, holdMS: 40 };
  // It has a session and a stream already, so that its ticket comes with its call.
  const warm = { process: 2, atMS: 20, holdMS: 0, mode: 'try' } as const;
  const arrives = { process: 2, atMS, holdMS: 0 };
  return handmade(seed, [first, second, warm, arrives, ...passersBy(100, 2, 60)]);
}

/** A holder stops while the answer to a renewal is on its way, and runs again when its earlier deadline has passed. */
export function renewedDuringStop(seed: number): Scenario {
  const atMS = Chance.named(seed, 'stop').between(500, 512);
  return handmade(seed, [{ process: 0, atMS: 0, holdMS: 4_000 }], [{ kind: 'stop', process: 0, atMS, forMS: 900 }]);
}

/**
 * Two that wait first die at the moment of the release, and the servers' clocks may differ by much: only beats that stand
 * still tell of their death, and both must have been watched from the beginning.
 */
export function deadHeads(seed: number): Scenario {
  const calls = [0, 1, 2, 3].map((process) => ({ process, atMS: 10 * process, holdMS: process === 0 ? 300 : 0 }));
  const atMS = 300 + Chance.named(seed, 'kill').between(0, 10);
  const scenario = handmade(seed, calls, [
    { kind: 'kill', process: 1, atMS },
    { kind: 'kill', process: 2, atMS },
  ]);
  const processes = scenario.processes.map((plan) => ({ ...plan, options: { ...plan.options, clockSkewMS: 4_000 } }));
  return { ...scenario, processes };
}

/**
 * A lock document is deleted just before a release whose successor, a caller of the same process, was read long before; and
 * somebody else makes it anew in between.
 */
export function deletedBeforeHandoff(seed: number): Scenario {
  const atMS = 3_000 + Chance.named(seed, 'deletion').between(0, 200);
  const first = { process: 1, atMS: 0, holdMS: 2_400 };
  const second = { process: 0, atMS: 10, holdMS: atMS + 20 - 2_400 };
  const third = { process: 0, atMS: 100, holdMS: 100 };
  const intruder = { process: 2, atMS: atMS + 5, holdMS: 1_400, mode: 'try' } as const;
  return handmade(seed, [first, second, third, intruder], [{ kind: 'delete-lock', atMS, key: 'a' }]);
}

/** Forced releases again and again, of which many are heard of before the grants that they end. */
export function heardTooLate(seed: number): Scenario {
  const scenario = makeScenario(seed, ['force', 'holds']);
  const chance = Chance.named(seed, 'forced again');
  const forces = scenario.faults.filter((fault) => fault.kind === 'force');
  const again = Array.from({ length: 40 }, (_, index): Fault[] => {
    return forces.map((fault) => ({ ...fault, name: `${fault.name}+${index}`, atMS: chance.between(0, 3_000) }));
  });
  const processes = scenario.processes.map((plan) => {
    return { ...plan, feed: { ...plan.feed, overtakeRate: 0.5, overtakeMS: [5, 300] as const } };
  });
  return { ...scenario, processes, faults: again.flat().sort((a, b) => a.atMS - b.atMS) };
}

/**
 * The scenario of a seed in which every client passes on lost locks when they are unlocked, and half of the holds
 * outlast a lease.
 */
export function keepers(seed: number, troubles: readonly Trouble[]): Scenario {
  const scenario = makeScenario(seed, troubles);
  const chance = Chance.named(seed, 'long holds');
  const calls = scenario.calls.map((call, index) => {
    return index < KEEPERS_CALLS_MAX && chance.hit(0.5) ? { ...call, holdMS: chance.between(500, 5_000) } : call;
  });
  const processes = scenario.processes.map((plan): ProcessPlan => {
    return { ...plan, options: { ...plan.options, releaseLostLocks: 'on-unlock' } };
  });
  return { ...scenario, processes, calls };
}

/** That many callers, of processes in turn, who come while the lock is held, and hold it briefly one after the other. */
export function crowd(seed: number, callersCount: number): Scenario {
  const holder = { process: 0, atMS: 0, holdMS: 100 };
  const callers = Array.from({ length: callersCount }, (_, index) => {
    return { process: index % 4, atMS: 10 + (80 * index) / callersCount, holdMS: 2 };
  });
  return handmade(seed, [holder, ...callers]);
}
