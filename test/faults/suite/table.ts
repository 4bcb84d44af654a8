/**
 * Which workload is run under which faults. A row is a run: it has its own replica set, made with what its faults need,
 * and its faults come one after the other at random, seeded. `main.ts` runs the table; the rows of the long runs and of
 * the short one in `npm test` are here too.
 */
import type { WorkloadSettings } from './facts.js';
import { DELETIONS, LARGE_CLOCKS, LARGE_OFFSET_MS, POSITION, SMALL_CLOCKS, STREAMS } from './faults/data-faults.js';
import type { NeedyFault } from './faults/fault.js';
import { LAG } from './faults/lag-faults.js';
import { NETWORK, PARTITIONS } from './faults/network-faults.js';
import { KILLS, PAUSES, POOL, SMALL_POOL_SIZE } from './faults/process-faults.js';
import { MEMBERS, PRIMARY, STEPDOWN } from './faults/server-faults.js';
import { FAST, WORKLOADS } from './workloads.js';

export interface Row {
  /** As `--only` takes it. */
  readonly name: string;
  readonly workload: WorkloadSettings;
  readonly faults: readonly NeedyFault[];
  readonly durationMS: number;
  readonly processesCount: number;
  /** How many of them are never killed. */
  readonly sparedCount: number;
  /** Between two faults, at random. */
  readonly calmMS: readonly [number, number];
  /** By how much the clocks of the servers differ beyond what the locks are told. */
  readonly clockExcessMS: number;
  /** Goes on, for as long again at most, until each fault has happened. */
  readonly each: boolean;
}

const ROW_MS = 20_000;
const EVERYTHING: readonly NeedyFault[] = [
  ...KILLS,
  ...PAUSES,
  ...PRIMARY,
  ...MEMBERS,
  ...NETWORK,
  ...PARTITIONS,
  ...STREAMS,
];

type Options = Partial<Omit<Row, 'name' | 'workload' | 'faults'>>;

function row(name: string, workload: WorkloadSettings, faults: readonly NeedyFault[], options: Options = {}): Row {
  const common = {
    durationMS: ROW_MS,
    processesCount: 5,
    sparedCount: 0,
    calmMS: [300, 1_500] as const,
    clockExcessMS: 0,
    each: false,
  };
  return { name, workload, faults, ...common, ...options };
}

const { lockSet, lockSetUnfenced, lockSetFence, lockSetTransaction, burst, churn } = WORKLOADS;
const WRONG_CLOCKS = { clockExcessMS: 2 * LARGE_OFFSET_MS };

/** The table, once through. */
export const TABLE: readonly Row[] = [
  row('lock-set-unfenced-calm', lockSetUnfenced, []),
  row('lock-set-kills', lockSet, KILLS),
  row('lock-set-pauses', lockSet, PAUSES),
  row('lock-set-primary', lockSet, PRIMARY),
  row('lock-set-members', lockSet, MEMBERS),
  row('lock-set-lag', { ...lockSet, ...FAST }, LAG),
  row('lock-set-network', lockSet, NETWORK),
  row('lock-set-partition', lockSet, PARTITIONS),
  row('lock-set-streams', lockSet, STREAMS),
  row('lock-set-deletions', lockSet, DELETIONS),
  row('lock-set-clocks', lockSet, SMALL_CLOCKS),
  row('lock-set-wrong-clocks', lockSet, LARGE_CLOCKS, WRONG_CLOCKS),
  row('lock-set-everything', lockSet, EVERYTHING),
  row('fence-processes', lockSetFence, [...KILLS, ...PAUSES]),
  row('fence-everything', lockSetFence, EVERYTHING),
  row('transaction-calm', lockSetTransaction, []),
  row('transaction-kills', lockSetTransaction, KILLS),
  row('transaction-pauses', lockSetTransaction, PAUSES),
  row('transaction-primary', lockSetTransaction, PRIMARY),
  row('transaction-members', lockSetTransaction, MEMBERS),
  row('transaction-lag', { ...lockSetTransaction, ...FAST }, LAG),
  row('transaction-network', lockSetTransaction, NETWORK),
  row('transaction-partition', lockSetTransaction, PARTITIONS),
  row('transaction-streams', lockSetTransaction, STREAMS),
  row('transaction-deletions', lockSetTransaction, DELETIONS),
  row('transaction-clocks', lockSetTransaction, SMALL_CLOCKS),
  row('transaction-wrong-clocks', lockSetTransaction, LARGE_CLOCKS, WRONG_CLOCKS),
  row('transaction-everything', lockSetTransaction, EVERYTHING),
  row('burst-calm', burst, [], { durationMS: 10_000 }),
  row('burst-processes', burst, [...KILLS, ...PAUSES]),
  row('burst-primary', burst, PRIMARY),
  row('burst-lag', { ...burst, ...FAST }, LAG),
  row('burst-streams', burst, [...STREAMS, STEPDOWN]),
  row('burst-position', burst, POSITION),
  row('burst-pool', { ...burst, maxPoolSize: SMALL_POOL_SIZE }, POOL),
  row('churn-calm', churn, [], { durationMS: 10_000 }),
  row('churn-processes', churn, [...KILLS, ...PAUSES]),
  row('churn-primary', churn, PRIMARY),
  row('churn-network', churn, [...NETWORK, ...PARTITIONS]),
];

const LONG_MS = 120_000;
const LONG_OPTIONS = { durationMS: LONG_MS, calmMS: [200, 1_000] } as const;

/** The long runs go round these. */
export const LONG: readonly Row[] = [
  row('long-lock-set-unfenced-calm', lockSetUnfenced, [], LONG_OPTIONS),
  row('long-lock-set-processes', lockSet, [...KILLS, ...PAUSES], LONG_OPTIONS),
  row('long-lock-set-members', lockSet, [...PRIMARY, ...MEMBERS], LONG_OPTIONS),
  row('long-lock-set-network', lockSet, [...NETWORK, ...PARTITIONS], LONG_OPTIONS),
  row('long-lock-set-clocks', lockSet, [...SMALL_CLOCKS, ...PAUSES], LONG_OPTIONS),
  row('long-lock-set-everything', lockSet, EVERYTHING, LONG_OPTIONS),
  row('long-burst-everything', burst, EVERYTHING, LONG_OPTIONS),
  row('long-burst-processes', burst, [...KILLS, ...PAUSES], LONG_OPTIONS),
  row('long-churn-everything', churn, EVERYTHING, LONG_OPTIONS),
  row('long-churn-members', churn, [...PRIMARY, ...MEMBERS], LONG_OPTIONS),
];

/** The one in `npm test`: a kill, a pause and a stepdown. */
export const SHORT: Row = row('short', lockSet, [KILLS[0], PAUSES[0], STEPDOWN] as readonly NeedyFault[], {
  durationMS: 12_000,
  each: true,
  processesCount: 4,
  calmMS: [200, 600],
});

/** The soak: its length is given when it is started. */
export const SOAK: Row = row('soak', WORKLOADS.soak, EVERYTHING, {
  processesCount: 4,
  sparedCount: 2,
  calmMS: [1_000, 5_000],
});
