/**
 * The engine under simulated trouble: many scenarios made from seeds, the invariants checked after every step (INV-05 every 50 ms,
 * INV-08 in the end), and the proof that a run follows from its seed alone. `SIMULATION_SEEDS` says how many, `SIMULATION_FIRST_SEED` from where.
 */
import { describe, expect, test } from 'vitest';
import { flatCost } from '#core/protocol/invariants.js';
import { crowd } from './handmade.js';
import { type CallPlan, makeScenario, type Scenario, TROUBLES } from './scenario.js';
import { report } from './shrink.js';
import { type RunResult, runScenario } from './simulation.js';

const SEEDS_COUNT = Number(process.env.SIMULATION_SEEDS ?? 300);
const FIRST_SEED = Number(process.env.SIMULATION_FIRST_SEED ?? 1);
/** Generous: a machine may have other things to do. */
const LIMIT_MS = 20_000 + SEEDS_COUNT * 200;

describe('the engine under simulated trouble', () => {
  test(`keeps every invariant in ${SEEDS_COUNT} scenarios`, { timeout: LIMIT_MS }, async () => {
    const totals = { calls: 0, grants: 0, told: 0 };
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS_COUNT; seed += 1) {
      const scenario = makeScenario(seed);
      const result = await runScenario(scenario);
      if (result.violation !== null) expect.fail(await report(scenario));
      totals.calls += result.callsCount;
      totals.grants += result.grantsCount;
      totals.told += result.toldCount;
    }
    // Scenarios in which nothing happens would prove nothing.
    expect(totals.calls).toBeGreaterThan(SEEDS_COUNT * 10);
    expect(totals.grants).toBeGreaterThan(totals.calls / 2);
    expect(totals.told).toBeGreaterThan(totals.grants / 10);
  });

  test.each(TROUBLES)('keeps every invariant under nothing but %s', { timeout: LIMIT_MS }, async (trouble) => {
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS_COUNT / 15; seed += 1) {
      const scenario = makeScenario(seed, [trouble]);
      const { violation } = await runScenario(scenario);
      if (violation !== null) expect.fail(await report(scenario));
      expect(violation).toBeNull();
    }
  });

  test('keeps every invariant whatever a caller aborts at', { timeout: LIMIT_MS }, async () => {
    for (const [index, count] of Array.from({ length: 30 }, (_, at) => at + 1).entries()) {
      for (const when of ['before', 'after'] as const) {
        const scenario = abortedAt(index, { kind: 'delivery', count, when });
        const { violation } = await runScenario(scenario);
        if (violation !== null) expect.fail(await report(scenario));
        expect(violation).toBeNull();
      }
    }
  });

  test('INV-10 a handoff costs as much with 160 waiters as with 40', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const few = await runScenario(crowd(seed, 40));
      const many = await runScenario(crowd(seed, 160));
      expect([few.violation, many.violation]).toEqual([null, null]);
      expect(many.grantsCount).toBe(161);
      expect(flatCost({ few, many })).toBeNull();
    }
  });

  test('INV-10 is broken by a PREFETCH that finds what was served', async () => {
    const off = new Set(['prefetch-leaves-out-own'] as const);
    const few = await runScenario(crowd(1, 160));
    expect(flatCost({ few, many: await runScenario(crowd(1, 160), { off }) })).not.toBeNull();
  });

  test('runs a seed the same way every time', async () => {
    for (const seed of [1, 2, 3]) {
      const runs: RunResult[] = [];
      for (let count = 0; count < 2; count += 1) runs.push(await runScenario(makeScenario(seed), { trace: true }));
      expect(runs[0]?.trace.length).toBeGreaterThan(100);
      expect(runs[0]).toEqual(runs[1]);
    }
  });
});

/** A scenario of which every second call is aborted around the same delivery of its process. */
function abortedAt(seed: number, abort: CallPlan['abort']): Scenario {
  const scenario = makeScenario(seed, []);
  const calls = scenario.calls.map((call, index) => (index % 2 === 0 ? { ...call, abort } : call));
  return { ...scenario, calls };
}
