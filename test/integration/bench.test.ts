/** The benchmark suite, on the smallest scale: that it measures what it says, and that a question without samples has failed. No figure is judged here. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Question } from '../../bench/question.js';
import { BURST } from '../../bench/questions/burst.js';
import { HANDOFF } from '../../bench/questions/handoff.js';
import { markdownOf } from '../../bench/report/markdown.js';
import { plotOf } from '../../bench/report/plot.js';
import type { Report } from '../../bench/report/report.js';
import { ask } from '../../bench/rounds.js';
import { TINY } from '../../bench/scale.js';
import { Stage } from '../../bench/stage.js';
import { judge } from '../../bench/targets.js';
import { sharedUri } from '../support/mongod.js';

let stage: Stage;

beforeAll(async () => {
  stage = new Stage({ uri: sharedUri(), membersCount: 1, serverPids: [], scale: TINY, say: () => {} });
  await stage.mongo.connect();
});

afterAll(() => stage.close());

describe('the benchmark suite', () => {
  it('measures handoffs between processes beside bare writes, and the report holds them', async () => {
    const result = await ask(HANDOFF, stage);
    expect(result.failures).toEqual({});
    expect(result.cases.map(({ name }) => name)).toEqual(['2 waiters, 2 processes, hold 5 ms']);
    const figures = result.cases[0]?.figures ?? {};
    for (const name of [
      'handoff p50 ms',
      'bare write p50 ms',
      'p99 over bare',
      'writes per grant',
      'grants per second',
    ]) {
      expect(figures[name]?.values).toHaveLength(1);
      expect(figures[name]?.median).toBeGreaterThan(0);
    }
    const machine = { date: '', processor: '', system: '', node: '', mongodb: '' };
    const numbers = { coresCount: 1, memoryGB: 1, loadBefore: 0, loadAfter: 0 };
    const report: Report = {
      machine: { ...machine, ...numbers },
      leftOut: {},
      results: [result],
      targets: judge([result]),
    };
    expect(JSON.parse(JSON.stringify(report))).toMatchObject({ results: [{ name: 'handoff', roundsCount: 1 }] });
    expect(markdownOf(report, () => 'plot.svg')).toContain('| 2 waiters, 2 processes, hold 5 ms |');
    expect(plotOf(result)).toMatch(/<rect [^>]*width="\d+\.\d"/);
    // It starts processes and waits for them: on a busy machine that takes long.
  }, 60_000);

  it('counts what a burst sends', async () => {
    const { cases, failures } = await ask(BURST, stage);
    expect(failures).toEqual({});
    for (const { figures } of cases) expect(figures['writes until all are served']?.median).toBeGreaterThanOrEqual(1);
  });

  it('has failed a question whose case returns no samples, and goes on with the others', async () => {
    const question: Question = {
      name: 'broken',
      title: '',
      method: '',
      cases: async () => [
        { name: 'without samples', measure: async () => ({ 'p50 ms': Number.NaN }) },
        { name: 'without figures', measure: async () => ({}) },
        { name: 'whole', measure: async () => ({ 'p50 ms': 1 }) },
      ],
    };
    const { cases, failures } = await ask(question, stage);
    expect(failures).toEqual({ 'without samples': 'no samples for p50 ms', 'without figures': 'nothing was measured' });
    expect(cases.map(({ name }) => name)).toEqual(['whole']);
    const empty = await ask({ ...question, cases: async () => [] }, stage);
    expect(empty.failures).toEqual({ broken: 'it has no cases' });
  });
});
