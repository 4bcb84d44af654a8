/**
 * How long the lock is on its way from one process to another: from just before `unlock` is called in one to the moment the next caller runs in the
 * other, on one clock, by waiters, processes and holds; beside it the bare majority write, and what the server was sent for each grant.
 */
import { type ContestSettings, contest } from '../contest.js';
import { percentile } from '../figures.js';
import { OURS } from '../peers/ours.js';
import type { Case, Question } from '../question.js';
import { some } from '../scale.js';
import type { Stage } from '../stage.js';
import { grantsOf, grantsPerSecond, type Handoff, handoffsOf, took } from '../verdict.js';

const HOLDS_MS = [5, 0, 50];
const WAITERS = [2, 1, 10, 50, 200, 1_000];
const PROCESSES = { usual: 2, others: [1, 4], waiters: [10, 50] };

function handing({ waiters, processes, holdMS }: { waiters: number; processes: number; holdMS: number }): Case {
  const settings: ContestSettings = {
    peer: OURS,
    processesCount: processes,
    callersCount: waiters + 1,
    holdMS,
    windowsCount: holdMS >= 50 ? 2 : 1,
    inTurn: true,
    withBareWrites: true,
  };
  return {
    name: handoffCase({ waiters, processes, holdMS }),
    async measure(stage: Stage) {
      const result = await contest(stage, settings);
      const all = handoffsOf(result);
      // In one process the lock is handed over in memory: there is nothing else to look at.
      const handoffs = all.filter(({ betweenProcesses }) => betweenProcesses || processes === 1);
      const grantsCount = grantsOf(result).length;
      const bare = { p50: percentile(result.bareMS, 0.5), p99: percentile(result.bareMS, 0.99) };
      return {
        'handoff p50 ms': took(handoffs, 0.5),
        'handoff p99 ms': took(handoffs, 0.99),
        'bare write p50 ms': bare.p50,
        'bare write p99 ms': bare.p99,
        'release answered p50 ms': percentile(answersOf(handoffs), 0.5),
        'p50 over bare': took(handoffs, 0.5) / bare.p50,
        'p99 over bare': took(handoffs, 0.99) / bare.p99,
        'grants per second': grantsPerSecond(result),
        'writes per grant': result.commands.writes / grantsCount,
        'reads per grant': result.commands.reads / grantsCount,
        'oplog entries per grant': result.oplogEntriesCount / grantsCount,
        'share between processes': all.filter(({ betweenProcesses }) => betweenProcesses).length / all.length,
      };
    },
  };
}

/** How long the releasers waited for their answers. */
function answersOf(handoffs: readonly Handoff[]): number[] {
  return handoffs.map(({ answeredMS }) => answeredMS).filter((answeredMS) => !Number.isNaN(answeredMS));
}

/** How a case is called; the targets name some. */
export function handoffCase({
  waiters,
  processes,
  holdMS,
}: {
  waiters: number;
  processes: number;
  holdMS: number;
}): string {
  const who = processes === 1 ? '1 process' : `${processes} processes`;
  return `${waiters} ${waiters === 1 ? 'waiter' : 'waiters'}, ${who}, hold ${holdMS} ms`;
}

export const HANDOFF: Question = {
  name: 'handoff',
  title: 'from release in one process to the next caller running in another',
  method:
    'The main process holds the lock until everybody waits, the processes in turn, each arrival acknowledged before the next call. Then every caller ' +
    'holds, releases and comes again, so that the queue keeps its length. A handoff counts where the next caller had called before the release, and ' +
    'runs in another process (with one process: in memory); with fewer waiters than it takes to arrive, and a hold of 0, part of the arrival is in ' +
    'it. The time until the releaser has its answer tells how much of it is the write. Then, with the same change streams open, the same processes in turn do bare majority `findOneAndUpdate`s, as far apart as the grants were (their median). Commands and oplog ' +
    'entries are the server’s own counts over the window, for everything: arrivals, deletes, reads of the queue.',
  cases: async ({ scale }) => [
    ...some(scale, HOLDS_MS).flatMap((holdMS) =>
      some(scale, WAITERS).map((waiters) => handing({ waiters, processes: PROCESSES.usual, holdMS })),
    ),
    ...(scale.tiny ? [] : others()),
  ],
  plotted: ['handoff p50 ms', 'bare write p50 ms', 'handoff p99 ms'],
};

function others(): Case[] {
  return PROCESSES.others.flatMap((processes) =>
    PROCESSES.waiters.flatMap((waiters) => HOLDS_MS.map((holdMS) => handing({ waiters, processes, holdMS }))),
  );
}
