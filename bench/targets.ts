/**
 * The targets, each a figure of one run (a ratio wherever it can be) and its limit. Pure. A target whose question was not asked, or whose case failed,
 * has no value, and says so. The command line prints the table and fails where one is missed.
 */
import { ETCD } from './peers/etcd.js';
import { OURS } from './peers/ours.js';
import type { Peer } from './peers/peer.js';
import { POSTGRES } from './peers/postgres.js';
import { REDLOCK } from './peers/redis.js';
import { SEED } from './peers/seed.js';
import { THOUSAND_HELD } from './questions/burst.js';
import { STANDING } from './questions/fairness.js';
import { handoffCase } from './questions/handoff.js';
import { NOTHING } from './questions/idle.js';
import { IN_RUNS, WITHOUT_RUNS } from './questions/in-process.js';
import { HELD, WAITING } from './questions/memory.js';
import { MANY, peerCase, TEN } from './questions/peers.js';
import type { QuestionResult } from './rounds.js';

interface Figure {
  readonly question: string;
  readonly case: string;
  readonly figure: string;
}

type Read = (figure: Figure) => number;

export interface Target {
  readonly what: string;
  readonly question: string;
  readonly bound: 'at most' | 'at least' | 'above' | 'below';
  readonly limit: number;
  /** NaN where something it needs was not measured. */
  readonly value: (read: Read) => number;
}

export interface Judged {
  readonly what: string;
  readonly membersCount: number;
  readonly bound: string;
  /** NaN: not measured. */
  readonly value: number;
  readonly verdict: 'met' | 'missed' | 'not measured';
}

/** Our figure over theirs, or the other way round. */
function beside(
  peer: Peer,
  { crowd, figure, inverse = false }: { crowd: typeof MANY; figure: string; inverse?: boolean },
) {
  return (read: Read): number => {
    const of = (each: Peer): number => read({ question: 'peers', case: peerCase(each, crowd), figure });
    return inverse ? of(peer) / of(OURS) : of(OURS) / of(peer);
  };
}

/** How far the slowest of the queues is above the quickest. */
function flatness(read: Read): number {
  const lengths = [2, 10, 50, 200, 1_000];
  const figures = lengths.map((waiters) =>
    read({
      question: 'handoff',
      case: handoffCase({ waiters, processes: 2, holdMS: 5 }),
      figure: 'handoff p50 ms',
    }),
  );
  return Math.max(...figures) / Math.min(...figures);
}

const USUAL = handoffCase({ waiters: 50, processes: 2, holdMS: 5 });
const QUIET = handoffCase({ waiters: 50, processes: 2, holdMS: 50 });
const WITHOUT_HOLD = handoffCase({ waiters: 50, processes: 2, holdMS: 0 });
const SAME = 'the same lock again';

export const TARGETS: readonly Target[] = [
  single({
    what: 'uncontended lock p50 over a bare write',
    ...atMost(1.1),
    question: 'uncontended',
    case: SAME,
    figure: 'lock p50 over bare',
  }),
  single({
    what: 'uncontended unlock p50 over a bare write',
    ...atMost(1.1),
    question: 'uncontended',
    case: SAME,
    figure: 'unlock p50 over bare',
  }),
  single({
    what: 'uncontended lock and unlock, commands',
    ...atMost(2.05),
    question: 'uncontended',
    case: SAME,
    figure: 'commands per lock and unlock',
  }),
  single({
    what: 'handoff p50 over a bare write, hold 5 ms',
    ...atMost(1.25),
    question: 'handoff',
    case: USUAL,
    figure: 'p50 over bare',
  }),
  single({
    what: 'handoff p99 over a bare write’s p99, hold 5 ms',
    ...atMost(2),
    question: 'handoff',
    case: USUAL,
    figure: 'p99 over bare',
  }),
  single({
    what: 'handoff p50 over a bare write, hold 50 ms',
    ...atMost(1.25),
    question: 'handoff',
    case: QUIET,
    figure: 'p50 over bare',
  }),
  single({
    what: 'handoff p99 over a bare write’s p99, hold 50 ms',
    ...atMost(2),
    question: 'handoff',
    case: QUIET,
    figure: 'p99 over bare',
  }),
  single({
    what: 'reads per grant with a hold of 0',
    ...atMost(1),
    question: 'handoff',
    case: WITHOUT_HOLD,
    figure: 'reads per grant',
  }),
  {
    what: 'handoff p50, 2 to 1,000 waiters, highest over lowest',
    question: 'handoff',
    ...atMost(1.15),
    value: flatness,
  },
  single({
    what: 'handoff inside one process p50, µs',
    ...atMost(20),
    question: 'in-process',
    case: IN_RUNS,
    figure: 'handoff p50 µs',
  }),
  single({
    what: 'grants per second inside one process',
    ...atLeast(10_000),
    question: 'in-process',
    case: IN_RUNS,
    figure: 'grants per second',
  }),
  {
    what: 'the same over that with runMaxCount 1',
    question: 'in-process',
    ...atLeast(10),
    value: (read) =>
      read({ question: 'in-process', case: IN_RUNS, figure: 'grants per second' }) /
      read({ question: 'in-process', case: WITHOUT_RUNS, figure: 'grants per second' }),
  },
  single({
    what: 'wait p99 over the fair one, 50 waiters',
    ...atMost(1.2),
    question: 'fairness',
    case: STANDING.name,
    figure: 'wait p99 over fair',
  }),
  single({
    what: 'Jain index, 50 waiters',
    ...atLeast(0.999),
    question: 'fairness',
    case: STANDING.name,
    figure: 'Jain index',
  }),
  single({
    what: 'inversions by the server’s order',
    ...atMost(0),
    question: 'fairness',
    case: STANDING.name,
    figure: 'inversions',
  }),
  {
    what: 'wait p99 of Redlock over ours',
    ...atLeast(5),
    question: 'peers',
    value: beside(REDLOCK, { crowd: MANY, figure: 'wait p99 ms', inverse: true }),
  },
  {
    what: 'wait p99 of 2.0.3 over ours',
    ...atLeast(20),
    question: 'peers',
    value: beside(SEED, { crowd: MANY, figure: 'wait p99 ms', inverse: true }),
  },
  {
    what: 'grants per second over Redlock’s',
    ...above(1),
    question: 'peers',
    value: beside(REDLOCK, { crowd: MANY, figure: 'grants per second' }),
  },
  {
    what: 'grants per second over 2.0.3’s',
    ...above(1),
    question: 'peers',
    value: beside(SEED, { crowd: MANY, figure: 'grants per second' }),
  },
  {
    what: 'grants per second over PostgreSQL’s',
    ...above(1),
    question: 'peers',
    value: beside(POSTGRES, { crowd: MANY, figure: 'grants per second' }),
  },
  {
    what: 'handoff p50 over etcd’s, 10 processes',
    ...below(1),
    question: 'peers',
    value: beside(ETCD, { crowd: TEN, figure: 'handoff p50 ms' }),
  },
  single({
    what: 'burst of 1,000: writes to arrive',
    ...atMost(3),
    question: 'burst',
    case: THOUSAND_HELD,
    figure: 'writes to arrive',
  }),
  single({
    what: 'burst of 1,000: writes until all are served',
    ...atMost(5),
    question: 'burst',
    case: THOUSAND_HELD,
    figure: 'writes until all are served',
  }),
  single({
    what: '10,000 held locks: writes per heartbeat',
    ...atMost(1),
    question: 'memory',
    case: HELD,
    figure: 'writes per heartbeat',
  }),
  single({
    what: '10,000 held locks: bytes each',
    ...atMost(2_048),
    question: 'memory',
    case: HELD,
    figure: 'bytes each',
  }),
  single({
    what: '10,000 waiters: bytes each',
    ...atMost(2_048),
    question: 'memory',
    case: WAITING,
    figure: 'bytes each',
  }),
  single({ what: 'an idle process: commands', ...atMost(0), question: 'idle', case: NOTHING, figure: 'commands' }),
];

/** A target that is one figure of one case. */
function single({ what, bound, limit, ...figure }: Omit<Target, 'value'> & Figure): Target {
  return { what, bound, limit, question: figure.question, value: (read) => read(figure) };
}

function atMost(limit: number): Pick<Target, 'bound' | 'limit'> {
  return { bound: 'at most', limit };
}

function atLeast(limit: number): Pick<Target, 'bound' | 'limit'> {
  return { bound: 'at least', limit };
}

function above(limit: number): Pick<Target, 'bound' | 'limit'> {
  return { bound: 'above', limit };
}

function below(limit: number): Pick<Target, 'bound' | 'limit'> {
  return { bound: 'below', limit };
}

/** All targets on these results, those of one set of servers at a time. */
export function judge(results: readonly QuestionResult[]): Judged[] {
  const sets = [...new Set(results.map(({ membersCount }) => membersCount))];
  return sets.flatMap((membersCount) => {
    const read = reader(results.filter((result) => result.membersCount === membersCount));
    return TARGETS.map(({ what, bound, limit, value }) => {
      const measured = value(read);
      return {
        what,
        membersCount,
        bound: `${bound} ${limit}`,
        value: measured,
        verdict: verdict({ bound, limit }, measured),
      };
    });
  });
}

function reader(results: readonly QuestionResult[]): Read {
  return ({ question, case: of, figure }) => {
    const found = results.find(({ name }) => name === question)?.cases.find(({ name }) => name === of);
    return found?.figures[figure]?.median ?? Number.NaN;
  };
}

function verdict({ bound, limit }: Pick<Target, 'bound' | 'limit'>, value: number): Judged['verdict'] {
  if (Number.isNaN(value)) return 'not measured';
  const holds = { 'at most': value <= limit, 'at least': value >= limit, above: value > limit, below: value < limit };
  return holds[bound] ? 'met' : 'missed';
}
