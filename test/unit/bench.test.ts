/** What the benchmarks conclude from what they measured: each judgement is shown one that passes and one that does not. */
import { describe, expect, it } from 'vitest';
import { QUESTIONS } from '../../bench/catalogue.js';
import type { Call, Contest } from '../../bench/contest.js';
import { jain, median, percentile, summaryOf } from '../../bench/figures.js';
import { OURS } from '../../bench/peers/ours.js';
import { merged } from '../../bench/report/merged.js';
import type { Report } from '../../bench/report/report.js';
import type { QuestionResult } from '../../bench/rounds.js';
import { FULL } from '../../bench/scale.js';
import { inversionsIn } from '../../bench/server-order.js';
import type { OplogEntry, Stage } from '../../bench/stage.js';
import { judge, TARGETS } from '../../bench/targets.js';
import { grantsPerSecond, handoffsOf, jainOf, overtakingShare, waitsOf } from '../../bench/verdict.js';

function contestOf(calls: readonly Call[], callersCount = 3): Contest {
  const settings = { peer: OURS, processesCount: 2, callersCount, holdMS: 5 };
  const counts = { commands: { writes: 0, reads: 0 }, oplogEntriesCount: 0, inversions: null, bareMS: [] };
  return { settings, calls, fromAt: 0, toAt: 1_000, ...counts };
}

function call(process: number, caller: number, [calledAt, grantedAt, releasedAt]: [number, number, number]): Call {
  return { process, caller, calledAt, grantedAt, releasedAt, answeredAt: releasedAt + 1 };
}

describe('figures', () => {
  it('are by nearest rank, with the median between two', () => {
    expect(percentile([3, 1, 2, 4], 0.5)).toBe(2);
    expect(percentile([1, 2, 3, 4], 0.99)).toBe(4);
    expect(percentile([], 0.5)).toBeNaN();
    expect(median([4, 1, 3, 2])).toBe(2.5);
    expect(summaryOf([2, 9, 4])).toEqual({ median: 4, min: 2, max: 9, values: [2, 9, 4] });
  });

  it('have a Jain index of 1 for equal shares, and of 1 / n where one has all', () => {
    expect(jain([5, 5, 5])).toBeCloseTo(1);
    expect(jain([9, 0, 0])).toBeCloseTo(1 / 3);
  });
});

describe('a contest', () => {
  it('has a handoff where the next had called before the release, and in which process it ran', () => {
    const calls = [call(0, 0, [0, 10, 15]), call(1, 1, [5, 17, 22]), call(1, 2, [6, 23, 28]), call(0, 0, [40, 42, 47])];
    expect(handoffsOf(contestOf(calls))).toEqual([
      { tookMS: 2, betweenProcesses: true, answeredMS: 1 },
      { tookMS: 1, betweenProcesses: false, answeredMS: 1 },
    ]);
    expect(grantsPerSecond(contestOf(calls))).toBe(4);
  });

  it('counts who still waits, where it has waited longer than all others', () => {
    const starving = call(0, 2, [100, Number.NaN, Number.NaN]);
    const served = [call(0, 0, [0, 10, 15]), call(1, 1, [5, 25, 30])];
    expect(waitsOf(contestOf([...served, starving]))).toEqual([10, 20, 900]);
    expect(waitsOf(contestOf([...served, call(0, 2, [990, Number.NaN, Number.NaN])]))).toEqual([10, 20]);
  });

  it('is not fair where one caller has all, or is overtaken', () => {
    const inOrder = [call(0, 0, [0, 300, 305]), call(1, 1, [150, 310, 315]), call(0, 2, [299, 320, 325])];
    expect(overtakingShare(contestOf(inOrder))).toBe(0);
    expect(jainOf(contestOf(inOrder))).toBeCloseTo(1);
    const overtaken = [call(0, 0, [0, 900, 905]), call(1, 1, [150, 310, 315]), call(1, 1, [320, 330, 335])];
    expect(overtakingShare(contestOf(overtaken))).toBeCloseTo(2 / 3);
    expect(jainOf(contestOf(overtaken))).toBeCloseTo(9 / (3 * 5));
    const forgotten = call(0, 2, [0, Number.NaN, Number.NaN]);
    expect(overtakingShare(contestOf([forgotten, call(1, 1, [500, 510, 515])]))).toBe(1);
  });
});

describe('the order by the log of the server', () => {
  let arrivals = 0;
  const ns = 'db.dlocks';
  const ticket = (id: string): OplogEntry => ({ op: 'i', ns, o: { _id: id, key: 'k' }, o2: { _id: id } });
  const lock = (fields: Record<string, unknown>): OplogEntry => {
    return { op: 'u', ns, o: { $v: 2, diff: { u: fields } }, o2: { _id: 'k' } };
  };
  const mark = (): OplogEntry => {
    arrivals += 1;
    return lock({ arrivals });
  };
  const grant = (list: string): OplogEntry => lock({ grant: list });
  const whole = (list: string): OplogEntry => ({
    op: 'u',
    ns,
    o: { _id: 'k', grant: list, arrivals },
    o2: { _id: 'k' },
  });
  const arrive = (id: string): OplogEntry[] => [ticket(id), mark()];

  it('is kept where tickets are granted as they came, in runs and one by one', () => {
    arrivals = 0;
    const came = [...arrive('a/1'), ...arrive('b/1'), ...arrive('b/2'), ...arrive('a/2')];
    const entries = [...came, grant('a/7/1:1'), whole('b/8/1:1,2:1'), mark(), grant('a/9/2:1')];
    expect(inversionsIn(entries, 'k')).toEqual({ inversionsCount: 0, ticketsCount: 4 });
  });

  it('is not where one is granted before others whose arrivals were complete before it came', () => {
    arrivals = 0;
    const came = [...arrive('a/1'), ...arrive('b/1'), ...arrive('a/2'), ...arrive('b/2'), ...arrive('a/3')];
    const entries = [...came, grant('a/7/3:1'), whole('a/8/1:1'), grant('b/9/1:1'), grant('b/10/2:1')];
    expect(inversionsIn(entries, 'k')).toEqual({ inversionsCount: 2, ticketsCount: 4 });
  });

  it('is not where a free lock is taken while somebody waits', () => {
    arrivals = 0;
    const entries = [...arrive('a/1'), ...arrive('b/1'), grant('c/7/1:1'), grant('a/8/1:1'), grant('b/9/1:1')];
    expect(inversionsIn(entries, 'k')).toEqual({ inversionsCount: 1, ticketsCount: 2 });
  });

  it('is anybody’s between arrivals that overlap', () => {
    arrivals = 0;
    const entries = [ticket('a/1'), ticket('b/1'), mark(), grant('b/7/1:1'), mark(), grant('a/8/1:1')];
    expect(inversionsIn(entries, 'k')).toEqual({ inversionsCount: 0, ticketsCount: 2 });
  });
});

describe('the targets', () => {
  const idle = (commands: number): QuestionResult => ({
    name: 'idle',
    title: '',
    method: '',
    plotted: [],
    membersCount: 1,
    roundsCount: 1,
    failures: {},
    cases: [
      {
        name: 'idle, after it waited, held and released',
        windowMS: 100,
        figures: { commands: summaryOf([commands]) },
      },
    ],
  });

  it('are met, missed, or not measured', () => {
    const verdicts = (commands: number): string[] => judge([idle(commands)]).map(({ verdict }) => verdict);
    expect(verdicts(0).filter((verdict) => verdict !== 'not measured')).toEqual(['met']);
    expect(verdicts(1).filter((verdict) => verdict !== 'not measured')).toEqual(['missed']);
    expect(judge([])).toEqual([]);
  });

  it('are judged anew where reports are put together, by what was measured last', () => {
    const machine = { loadBefore: 0, loadAfter: 0 } as Report['machine'];
    const report = (...results: QuestionResult[]): Report => ({ machine, leftOut: {}, results, targets: [] });
    const failed = { ...idle(0), cases: [], failures: { [String(idle(0).cases[0]?.name)]: 'once' } };
    const verdictOf = (...reports: [Report, ...Report[]]): unknown[] => {
      const { results, targets } = merged(reports);
      const met = targets.filter(({ verdict }) => verdict !== 'not measured').map(({ verdict }) => verdict);
      return [results.length, Object.keys(results[0]?.failures ?? {}).length, met];
    };
    expect(verdictOf(report(idle(1)), report(idle(0)))).toEqual([1, 0, ['met']]);
    expect(verdictOf(report(failed), report(idle(1)))).toEqual([1, 0, ['missed']]);
    expect(verdictOf(report(idle(0)), report(failed))).toEqual([1, 1, []]);
    expect(verdictOf(report(idle(0)), report({ ...idle(1), membersCount: 3 }))).toEqual([2, 0, ['met', 'missed']]);
  });

  it('name questions that are asked, and cases that they have', async () => {
    // All that a question needs to say its cases; the one about the peers must find their servers first.
    const stage = { scale: FULL, serverPids: [], leaveOut: () => {} } as unknown as Stage;
    const known = new Map<string, Set<string>>();
    for (const { name, cases } of QUESTIONS.filter((question) => question.name !== 'peers')) {
      known.set(name, new Set((await cases(stage)).map((each) => each.name)));
    }
    const unknown: string[] = [];
    let readCount = 0;
    for (const { value } of TARGETS) {
      value(({ question, case: of, figure }) => {
        readCount += 1;
        if (question !== 'peers' && !known.get(question)?.has(of)) unknown.push(`${question}: ${of}: ${figure}`);
        return 1;
      });
    }
    expect(unknown).toEqual([]);
    expect(readCount).toBeGreaterThan(TARGETS.length);
  });
});
