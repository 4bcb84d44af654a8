/**
 * Clients that pass on lost locks when they are unlocked, all of a run: nothing is passed on before, and everything in
 * the end, whatever they lost their sessions by. That locks are kept at all, and that others wait for them, is counted.
 */
import { expect, test } from 'vitest';
import { keepers } from './handmade.js';
import type { Trouble } from './scenario.js';
import { report } from './shrink.js';
import { runScenario } from './simulation.js';

const SEEDS_COUNT = Math.ceil(Number(process.env.SIMULATION_SEEDS ?? 300) / 5);
const LIMIT_MS = 20_000 + SEEDS_COUNT * 400;

const LOSSES: readonly (readonly Trouble[])[] = [
  ['stops', 'holds'],
  ['outages', 'holds'],
  ['cut-off'],
  ['closes', 'holds'],
  ['stops', 'holds', 'lossy', 'leaves'],
  ['stops', 'holds', 'late-copies', 'slow'],
  ['stops', 'closes', 'holds', 'elections', 'clocks'],
];

const CASES = LOSSES.map((troubles) => ({ troubles, name: troubles.join(', ') }));

test.each(CASES)(
  'keeps every invariant, and locks until they are unlocked: $name',
  { timeout: LIMIT_MS },
  async ({ troubles }) => {
    let keptCount = 0;
    for (let seed = 1; seed <= SEEDS_COUNT; seed += 1) {
      const scenario = keepers(seed, troubles);
      const result = await runScenario(scenario);
      if (result.violation !== null) expect.fail(await report(scenario));
      keptCount += result.keptCount;
    }
    expect(keptCount).toBeGreaterThan(SEEDS_COUNT / 60);
  },
);
