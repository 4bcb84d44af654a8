/** The workloads, by name: what the callers of each process do. The table combines them with faults. */
import type { WorkloadSettings } from './facts.js';
import { LEASE_MS } from './settings.js';

/** The lock guards a read-modify-write of a set; critical sections of up to a lease, at random. */
const lockSet: WorkloadSettings = {
  name: 'lock-set',
  style: 'loop',
  ids: ['a', 'b'],
  callersCount: 3,
  holdMS: [0, LEASE_MS],
  restMS: [0, 50],
  guard: 'token',
  keepsElements: true,
};

/**
 * The same, after Jepsen's `lock-etcd-set`: the guarded write is a transaction that is conditional on the lock. It is read
 * before the transaction, so that the server finds no conflict in it: nothing but the lock document can refuse it.
 */
const lockSetTransaction: WorkloadSettings = {
  ...lockSet,
  name: 'lock-set by transaction',
  guard: 'transaction',
  holdMS: [0, LEASE_MS / 2],
  insideMS: [0, LEASE_MS / 2],
};

/** Many callers again and again, with next to no critical section: handoffs all the time, in runs within a process too. */
const burst: WorkloadSettings = {
  name: 'burst',
  style: 'burst',
  ids: ['a'],
  callersCount: 8,
  holdMS: [0, 10],
  restMS: [0, 20],
  guard: 'token',
  keepsElements: false,
};

/** Calls that time out, are aborted at any moment, or would not wait, among some that wait. */
const churn: WorkloadSettings = {
  name: 'churn',
  style: 'churn',
  ids: ['a', 'b', 'c'],
  callersCount: 8,
  holdMS: [0, 60],
  restMS: [0, 40],
  guard: 'token',
  keepsElements: false,
};

/** One call at a time, as the harness says: for what is measured. */
const told: WorkloadSettings = {
  name: 'told',
  style: 'told',
  ids: ['a'],
  callersCount: 0,
  holdMS: [0, 0],
  restMS: [0, 0],
  guard: 'token',
  keepsElements: false,
};

/** As `churn`, over more locks and slower, so that it can go on for long. */
const soak: WorkloadSettings = {
  ...churn,
  name: 'soak',
  ids: ['a', ...Array.from({ length: 19 }, (_, index) => `${index}`)],
  callersCount: 8,
  maxPoolSize: 30,
  holdMS: [0, 200],
  restMS: [0, 1_000],
};

/** The shortest heartbeat that the locks allow: with each the grants are checked. */
export const FAST = { heartbeatMS: 100 } as const;

export const WORKLOADS = {
  soak,
  lockSet,
  lockSetUnfenced: { ...lockSet, name: 'lock-set unfenced', guard: 'nothing' },
  lockSetFence: { ...lockSet, name: 'lock-set by fence', guard: 'fence' },
  lockSetTransaction,
  burst,
  churn,
  told,
} as const satisfies Record<string, WorkloadSettings>;
