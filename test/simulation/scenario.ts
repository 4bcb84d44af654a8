/**
 * A scenario: everything that happens to a run from outside, as plain data made from a seed, so that a failure can be
 * shrunk by leaving things out. Which faults a scenario has is drawn too: most have few, some have all.
 */
import type { EngineOptions } from '#core/engine/engine.js';
import { Chance } from './chance.js';
import type { LinkSettings, Outage, OutageKind } from './link.js';
import type { FeedSettings, Gap } from './sim-feed.js';

export interface CallPlan {
  readonly name: string;
  readonly process: number;
  readonly key: string;
  readonly atMS: number;
  readonly mode: 'wait' | 'try';
  readonly timeoutMS: number;
  readonly holdMS: number;
  /** How many more times it is released, and whether before the first release has answered. */
  readonly extraReleases: number;
  /** Ends the wait: after a time, or around the n-th delivery to its process after the call, or so many promise turns later. */
  readonly abort:
    | { readonly kind: 'none' }
    | { readonly kind: 'after'; readonly ms: number }
    | { readonly kind: 'delivery'; readonly count: number; readonly when: 'before' | 'after'; readonly turns?: number };
  /** Takes another lock while it holds this one. */
  readonly nested: CallPlan | null;
}

export interface ProcessPlan {
  readonly name: string;
  readonly options: EngineOptions;
  readonly clockRate: number;
  readonly timerLateMS: number;
  readonly link: LinkSettings;
  readonly outages: readonly Outage[];
  readonly feed: FeedSettings;
  readonly gaps: readonly Gap[];
}

export type Fault =
  | { readonly kind: 'stop'; readonly process: number; readonly atMS: number; readonly forMS: number }
  | { readonly kind: 'kill'; readonly process: number; readonly atMS: number }
  | { readonly kind: 'close'; readonly process: number; readonly atMS: number }
  | { readonly kind: 'election'; readonly atMS: number }
  /** An election whose winner answers majority reads from before the last writes, and commits nothing, for a while. */
  | LagFault
  | { readonly kind: 'clock'; readonly atMS: number; readonly offsetMS: number }
  | { readonly kind: 'delete-lock'; readonly atMS: number; readonly key: string }
  /** It is deleted, and put back from a copy after so long, unless it was made anew meanwhile. */
  | { readonly kind: 'restore-lock'; readonly atMS: number; readonly key: string; readonly afterMS: number }
  | { readonly kind: 'delete-tickets'; readonly atMS: number; readonly key: string }
  | { readonly kind: 'delete-session'; readonly atMS: number; readonly process: number }
  | ForceFault;

/** Majority reads lag behind what was delivered. */
export interface LagFault {
  readonly kind: 'lag';
  readonly atMS: number;
  /** How many of the last committed writes are not visible. */
  readonly writesCount: number;
  readonly forMS: number;
  /** Whether it waits for the next grant that a stream delivers, and strikes then. */
  readonly aimed: boolean;
}

/** A forced release of whoever holds a key then, or soon after. */
export interface ForceFault {
  readonly kind: 'force';
  readonly name: string;
  readonly atMS: number;
  readonly key: string;
  /** Who call for it, all at once. */
  readonly processes: readonly number[];
  /** Whether all give the same reason and name, so that nobody could tell their notes apart. */
  readonly alike: boolean;
  /** A token of the run that is seen, or of the one before. */
  readonly token: 'standing' | 'before';
  /** Which token of the run: from 0, the first, to below 1. */
  readonly share: number;
  /** How long between the look and the calls: the run may be over by then. */
  readonly lateMS: number;
}

export interface Scenario {
  readonly seed: number;
  /** The kinds of trouble it was made with, where they were not drawn. */
  readonly troubles?: readonly Trouble[];
  readonly processes: readonly ProcessPlan[];
  readonly calls: readonly CallPlan[];
  readonly faults: readonly Fault[];
  readonly commitMS: readonly [number, number];
  readonly stepMS: readonly [number, number];
  /** After how long the server removes idle lock documents. */
  readonly idleLockTtlMS: number;
}

/** The kinds of trouble a scenario can have. */
export type Trouble =
  | 'slow'
  | 'lossy'
  | 'copies'
  | 'late-copies'
  | 'feed'
  | 'gaps'
  | 'outages'
  | 'stale'
  | 'stops'
  | 'kills'
  | 'closes'
  | 'elections'
  | 'clocks'
  | 'drift'
  | 'leaves'
  | 'holds'
  | 'cut-off'
  | 'idle'
  | 'operator'
  | 'force'
  | 'lag';

export const TROUBLES: readonly Trouble[] = [
  'slow',
  'lossy',
  'copies',
  'late-copies',
  'feed',
  'gaps',
  'outages',
  'stale',
  'stops',
  'kills',
  'closes',
  'elections',
  'clocks',
  'drift',
  'leaves',
  'holds',
  'cut-off',
  'idle',
  'operator',
  'force',
  'lag',
];

/** How often a scenario has a trouble, where not told otherwise. */
const TROUBLE_RATE = 0.25;
/** How often a process keeps what it has lost until it is unlocked. */
const KEEPER_RATE = 0.3;
/** Those that leave little else to happen. */
const RARE: readonly Trouble[] = ['operator', 'cut-off', 'force'];
/** Those with a chance of their own: the seeds that do not have them are what they were before these came. */
const APART: readonly Trouble[] = ['force', 'lag'];

/** The scenario of a seed; `troubles` instead of those that the seed would draw. */
export function makeScenario(seed: number, troubles?: readonly Trouble[]): Scenario {
  const chance = Chance.named(seed, 'scenario');
  const drawn = TROUBLES.filter((trouble) => {
    const own = APART.includes(trouble) ? Chance.named(seed, `whether ${trouble}`) : chance;
    return own.hit(RARE.includes(trouble) ? 0.1 : TROUBLE_RATE);
  });
  const has = new Set(troubles ?? drawn);
  const processesCount = chance.whole(2, 5);
  const keys = ['a', 'b', 'c'].slice(0, chance.pick([1, 1, 1, 2, 3]));
  // Only lock documents of some age are deleted by hand.
  const windowMS = has.has('operator') ? 4_000 : chance.pick([100, 1_000, 4_000]);
  const clockSkewMS = has.has('cut-off') ? 0 : chance.pick([0, 50, 400, 4_000]);
  const processes = Array.from({ length: processesCount }, (_, index) =>
    makeProcess({
      chance: Chance.named(seed, `process ${index}`),
      keeps: Chance.named(seed, `whether ${index} keeps lost locks`).hit(KEEPER_RATE),
      index,
      has,
      clockSkewMS,
      windowMS,
    }),
  );
  const calls = makeCalls({ chance: Chance.named(seed, 'calls'), processesCount, keys, windowMS, has });
  const faults = makeFaults({ chance: Chance.named(seed, 'faults'), processes, keys, windowMS, has, clockSkewMS });
  if (has.has('force'))
    faults.push(...makeForces({ chance: Chance.named(seed, 'forces'), processesCount, keys, windowMS }));
  if (has.has('lag')) faults.push(...makeLags({ chance: Chance.named(seed, 'lags'), windowMS }));
  if (has.has('cut-off')) cutOff(Chance.named(seed, 'cut off'), { processes, calls, faults, keys });
  const idleLockTtlMS = has.has('idle') ? 1_000 : 3_600_000;
  const commitMS = has.has('slow') ? ([0.2, 30] as const) : ([0.2, 2] as const);
  return {
    seed,
    ...(troubles !== undefined && { troubles }),
    processes,
    calls,
    faults,
    commitMS,
    stepMS: [0, 1],
    idleLockTtlMS,
  };
}

interface Given {
  readonly chance: Chance;
  readonly has: ReadonlySet<Trouble>;
  readonly windowMS: number;
}

interface GivenProcess extends Given {
  readonly index: number;
  readonly clockSkewMS: number;
  /** Whether it passes on what it has lost when that is unlocked, and not before. */
  readonly keeps: boolean;
}

function makeProcess(given: GivenProcess): ProcessPlan {
  const { chance, has, index, windowMS } = given;
  return {
    name: `P${index}`,
    options: makeOptions(given),
    clockRate: has.has('drift') ? chance.between(0.99, 1.01) : 1,
    timerLateMS: chance.pick([0, 1, 3]),
    link: makeLink(given),
    outages: makeOutages(given),
    feed: makeFeed(given),
    gaps: has.has('gaps') ? Array.from({ length: chance.whole(1, 3) }, () => makeGap(chance, windowMS)) : [],
  };
}

function makeOptions({ chance, clockSkewMS, keeps }: GivenProcess): EngineOptions {
  const leaseDurationMS = chance.pick([1_000, 1_500, 3_000]);
  return {
    leaseDurationMS,
    heartbeatIntervalMS: leaseDurationMS / chance.pick([3, 3, 5]),
    deadlineMarginMS: leaseDurationMS / 10,
    patrolIntervalMS: chance.pick([100, leaseDurationMS / 3, leaseDurationMS]),
    clockSkewMS,
    idleMS: chance.pick([500, 1_000]),
    runMaxCount: chance.pick([1, 2, 4, 256]),
    waitersMaxCount: chance.hit(0.05) ? 4 : 100_000,
    releaseLostLocks: keeps ? 'on-unlock' : 'at-once',
  };
}

function makeLink({ chance, has }: Given): LinkSettings {
  return {
    delayMS: [0.1, 1],
    slowRate: has.has('slow') ? chance.pick([0.1, 0.03]) : 0,
    slowMS: [1, chance.pick([30, 300, 1_500])],
    loseRequestRate: has.has('lossy') ? 0.03 : 0,
    loseReplyRate: has.has('lossy') ? 0.05 : 0,
    silentRate: 0.5,
    errorMS: [1, chance.pick([20, 400])],
    copyRate: has.has('copies') || has.has('late-copies') ? 0.1 : 0,
    copyMS: has.has('late-copies') ? [0, 6_000] : [0, 300],
  };
}

function makeFeed({ chance, has }: Given): FeedSettings {
  const bad = has.has('feed');
  return {
    delayMS: bad ? [0.1, 30] : [0.1, 2],
    openMS: bad ? [1, 200] : [1, 20],
    loseRate: bad ? chance.pick([0.1, 0.5, 1]) : 0,
    repeatRate: bad ? 0.2 : 0,
    repeatMS: [0, 500],
    overtakeRate: bad ? 0.1 : 0,
    overtakeMS: [0, 2_000],
    replaceRate: 0.3,
    freshRate: chance.pick([0, 0.5, 1]),
  };
}

function makeOutages({ chance, has, windowMS }: Given): Outage[] {
  const kinds: OutageKind[] = [];
  if (has.has('outages') && chance.hit(0.5)) kinds.push(chance.pick(['refuse', 'drop', 'hold', 'deaf']));
  if (has.has('stale') && chance.hit(0.5)) kinds.push('stale');
  return kinds.map((kind) => {
    const fromMS = chance.between(0, windowMS);
    return { kind, fromMS, toMS: fromMS + chance.between(50, 4_000) };
  });
}

function makeGap(chance: Chance, windowMS: number): Gap {
  const fromMS = chance.between(0, windowMS);
  return { fromMS, toMS: fromMS + chance.between(10, 1_000) };
}

function makeCalls(given: Given & { readonly processesCount: number; readonly keys: readonly string[] }): CallPlan[] {
  const { chance, windowMS } = given;
  const count = chance.whole(5, given.has.has('holds') ? 15 : 50);
  const bursts = Array.from({ length: chance.whole(1, 4) }, () => chance.between(0, windowMS)) as [number, ...number[]];
  const calls = Array.from({ length: count }, (_, index) => {
    const atMS = chance.hit(0.5) ? chance.pick(bursts) + chance.between(0, 3) : chance.between(0, windowMS);
    return makeCall(given, `c${index}`, atMS, given.keys);
  });
  if (!given.has.has('operator')) return calls;
  // So that somebody comes by while things are put in order again.
  const passersBy = Array.from({ length: 20 }, (_, index) =>
    makeCall(given, `d${index}`, chance.between(2_000, windowMS + 2_000), given.keys),
  );
  return [...calls, ...passersBy];
}

function makeCall(
  given: Given & { readonly processesCount: number },
  name: string,
  atMS: number,
  keys: readonly string[],
): CallPlan {
  const { chance, has, processesCount } = given;
  const key = chance.pick(keys as [string, ...string[]]);
  // Nested calls go from one key to a later one only, so that they cannot wait for each other in a circle.
  const later = keys.filter((other) => other > key);
  const nests = later.length > 0 && chance.hit(0.15);
  const leaves = has.has('leaves');
  const long = chance.hit(has.has('holds') ? 0.3 : has.has('force') ? 0.1 : 0.02);
  return {
    name,
    process: chance.whole(0, processesCount - 1),
    key,
    atMS,
    mode: chance.hit(0.15) ? 'try' : 'wait',
    timeoutMS: leaves && chance.hit(0.3) ? chance.pick([0, 1, 5, 50, 400]) : Number.POSITIVE_INFINITY,
    holdMS: chance.pick([0, 0, 1, 5, 20]) * chance.fraction() + (long ? chance.between(0, 4_000) : 0),
    extraReleases: chance.hit(0.1) ? 2 : 0,
    abort: leaves && chance.hit(0.3) ? makeAbort(chance) : { kind: 'none' },
    nested: nests ? makeCall(given, `${name}n`, 0, later) : null,
  };
}

function makeAbort(chance: Chance): CallPlan['abort'] {
  if (chance.hit(0.4)) return { kind: 'after', ms: chance.between(0, chance.pick([3, 30, 500])) };
  return { kind: 'delivery', count: chance.whole(1, 12), when: chance.pick(['before', 'after']) };
}

function makeFaults(
  given: Given & {
    readonly processes: readonly ProcessPlan[];
    readonly keys: readonly string[];
    readonly clockSkewMS: number;
  },
): Fault[] {
  const { chance, has, processes, keys, windowMS, clockSkewMS } = given;
  const faults: Fault[] = [];
  const some = (low: number, high: number, make: () => Fault): void => {
    for (let count = chance.whole(low, high); count > 0; count -= 1) faults.push(make());
  };
  const atMS = (): number => chance.between(0, windowMS + 200);
  const process = (): number => chance.whole(0, processes.length - 1);
  const key = (): string => chance.pick(keys as [string, ...string[]]);
  if (has.has('stops')) some(1, 3, () => ({ kind: 'stop', process: process(), atMS: atMS(), forMS: stopMS(chance) }));
  if (has.has('kills')) some(1, processes.length - 1, () => ({ kind: 'kill', process: process(), atMS: atMS() }));
  if (has.has('closes')) some(1, 2, () => ({ kind: 'close', process: process(), atMS: atMS() }));
  if (has.has('elections')) some(1, 3, () => ({ kind: 'election', atMS: atMS() }));
  if (has.has('clocks')) {
    some(1, 4, () => ({ kind: 'clock', atMS: atMS(), offsetMS: chance.between(0, clockSkewMS) }));
  }
  if (has.has('operator')) {
    some(0, 2, () => ({ kind: 'delete-lock', atMS: atMS(), key: key() }));
    some(0, 1, () => ({ kind: 'delete-tickets', atMS: atMS(), key: key() }));
    some(0, 1, () => ({ kind: 'delete-session', atMS: atMS(), process: process() }));
  }
  return faults.sort((a, b) => a.atMS - b.atMS);
}

function makeForces({
  chance,
  processesCount,
  keys,
  windowMS,
}: Pick<Given, 'chance' | 'windowMS'> & {
  readonly processesCount: number;
  readonly keys: readonly string[];
}): Fault[] {
  const process = (): number => chance.whole(0, processesCount - 1);
  return Array.from({ length: chance.whole(1, 6) }, (_, index) => ({
    kind: 'force',
    name: `f${index}`,
    atMS: chance.between(0, windowMS + 200),
    key: chance.pick(keys as [string, ...string[]]),
    processes: chance.hit(0.3) ? [process(), process()] : [process()],
    alike: chance.hit(0.2),
    token: chance.hit(0.1) ? 'before' : 'standing',
    share: chance.fraction(),
    lateMS: chance.hit(0.3) ? chance.between(0, 30) : 0,
  }));
}

function makeLags({ chance, windowMS }: Pick<Given, 'chance' | 'windowMS'>): Fault[] {
  return Array.from({ length: chance.whole(1, 4) }, () => ({
    kind: 'lag',
    atMS: chance.between(0, windowMS + 200),
    writesCount: chance.whole(0, chance.pick([3, 30])),
    forMS: chance.between(10, chance.pick([100, 1_000])),
    aimed: chance.hit(0.5),
  }));
}

/**
 * A holder that is cut off, or stopped, at any point of its lease, while others wait for nothing else: what its local
 * deadline is for. Answers may take as long as a renewal may.
 */
function cutOff(
  chance: Chance,
  {
    processes,
    calls,
    faults,
    keys,
  }: {
    readonly processes: ProcessPlan[];
    readonly calls: CallPlan[];
    readonly faults: Fault[];
    readonly keys: readonly string[];
  },
): void {
  const [holder] = processes as [ProcessPlan];
  const { leaseDurationMS: leaseMS } = holder.options;
  const atMS = chance.between(100, 2 * leaseMS);
  const stops = chance.hit(0.4);
  const toMS = atMS + chance.between(0.5, stops ? 1.3 : 4) * leaseMS;
  const slow = { slowRate: chance.pick([0, 0.5]), slowMS: [1, 0.3 * leaseMS] } as const;
  const outages: Outage[] = stops ? holder.outages.slice() : [{ kind: 'drop', fromMS: atMS, toMS }, ...holder.outages];
  processes[0] = { ...holder, outages, link: { ...holder.link, ...slow } };
  if (stops) faults.push({ kind: 'stop', process: 0, atMS, forMS: toMS - atMS });
  const call: CallPlan = {
    name: 'cut',
    process: 0,
    key: keys[0] ?? 'a',
    atMS: 0,
    mode: 'wait',
    timeoutMS: Number.POSITIVE_INFINITY,
    holdMS: 4 * leaseMS,
    extraReleases: 0,
    abort: { kind: 'none' },
    nested: null,
  };
  calls.push(call, { ...call, name: 'next', process: 1, atMS: 50, holdMS: 0 });
}

function stopMS(chance: Chance): number {
  return chance.between(0, chance.pick([50, 500, 5_000]));
}
