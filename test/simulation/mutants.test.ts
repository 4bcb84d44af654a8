/**
 * The proof that the checks can fail: each condition of the commands and each rule of the engine is taken away in turn,
 * and some seed must show it by breaking what the rule is for. The same seed with the rule in place breaks nothing. What
 * turned out to be economy is run as well, and breaks nothing. `SIMULATION_MUTANT_SEEDS` says how far to look.
 */
import { describe, expect, test } from 'vitest';
import { patchedEngine } from './engine-copy.js';
import { realEngine } from './engine-module.js';
import { ECONOMIES, type Economy, MUTANTS, type Mutant } from './mutants.js';
import { makeScenario, type Scenario } from './scenario.js';
import { type RunSettings, runScenario } from './simulation.js';

const SEEDS_MAX = Number(process.env.SIMULATION_MUTANT_SEEDS ?? 1_500);
/** Breaking nothing takes all the seeds it is given. */
const ECONOMY_SEEDS = Math.ceil(SEEDS_MAX / 100);
const LIMIT_MS = 30_000 + SEEDS_MAX * 40;

describe('without a rule, some seed breaks what it is for', () => {
  test.each(MUTANTS)('$rule: $name', { timeout: LIMIT_MS }, async (mutant) => {
    const { seed, invariant } = await firstBroken(mutant);
    expect(mutant.breaks).toContain(invariant);
    expect((await runScenario(scenarioOf(mutant, seed))).violation).toBeNull();
  });
});

describe('what only saves time or commands breaks nothing that is promised', () => {
  test.each(ECONOMIES)('$rule: $name', { timeout: LIMIT_MS }, async (economy) => {
    const settings = await settingsOf(economy);
    for (let seed = 1; seed <= ECONOMY_SEEDS; seed += 1) {
      expect((await runScenario(scenarioOf(economy, seed), settings)).violation).toBeNull();
    }
  });
});

async function firstBroken(mutant: Mutant): Promise<{ seed: number; invariant: string | null }> {
  const settings = await settingsOf(mutant);
  for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
    const { violation } = await runScenario(scenarioOf(mutant, seed), settings);
    if (violation !== null) return { seed, invariant: violation.invariant };
  }
  return { seed: SEEDS_MAX, invariant: null };
}

function scenarioOf({ troubles, scenario }: Mutant | Economy, seed: number): Scenario {
  return scenario === undefined ? makeScenario(seed, troubles) : scenario(seed);
}

async function settingsOf({ off, patches }: Mutant | Economy): Promise<RunSettings> {
  const engine = patches === undefined ? realEngine : await patchedEngine(patches);
  return { engine, off: new Set(off) };
}
