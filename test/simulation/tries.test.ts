/**
 * Callers that only try, and a holder that is dead: nobody waits, so nothing that INV-05 says of those who wait helps. Some
 * try must get the lock all the same, once the bound for a dead holder is over.
 */
import { expect, test } from 'vitest';
import { patchedEngine } from './engine-copy.js';
import { type EngineModule, realEngine } from './engine-module.js';
import { type CallPlan, makeScenario, type Scenario } from './scenario.js';
import { runScenario } from './simulation.js';

const SEEDS = [1, 2, 3, 4, 5, 6, 7, 8];
const KILLED_AT_MS = 500;
const TRY_EVERY_MS = 200;

test('a dead holder is found by callers that only try', async () => {
  for (const seed of SEEDS) expect(await triesGranted(seed, realEngine)).toBeGreaterThan(0);
});

test('and by nobody where a refused try has nobody look', async () => {
  const find = 'this.#host.patrolSoon(this.key);\n    for';
  const replace = "if (waiting.some(({ mode }) => mode === 'wait')) this.#host.patrolSoon(this.key);\n    for";
  const engine = await patchedEngine([{ file: 'engine/resource-queue.ts', find, replace }]);
  expect(await triesGranted(1, engine)).toBe(0);
});

async function triesGranted(seed: number, engine: EngineModule): Promise<number> {
  const { violation, trace } = await runScenario(onlyTries(seed), { engine, trace: true });
  expect(violation).toBeNull();
  return trace.filter((line) => / granted t\d+ /.test(line)).length;
}

/** One holds for good and is killed; others try again and again, for as long as the bound of INV-05 and a little more. */
function onlyTries(seed: number): Scenario {
  const scenario = makeScenario(seed, []);
  const { leaseDurationMS, clockSkewMS, patrolIntervalMS } = longest(scenario);
  const untilMS = KILLED_AT_MS + leaseDurationMS + clockSkewMS + 2 * patrolIntervalMS + 1_000;
  const plan = {
    key: 'a',
    timeoutMS: Number.POSITIVE_INFINITY,
    extraReleases: 0,
    abort: { kind: 'none' },
    nested: null,
  };
  const holder = { ...plan, name: 'holder', process: 0, atMS: 0, mode: 'try', holdMS: 60_000 } as CallPlan;
  const tries = Array.from({ length: Math.floor((untilMS - 100) / TRY_EVERY_MS) }, (_, index) => {
    return {
      ...plan,
      name: `t${index}`,
      process: 1,
      atMS: 100 + index * TRY_EVERY_MS,
      mode: 'try',
      holdMS: 0,
    } as CallPlan;
  });
  return { ...scenario, calls: [holder, ...tries], faults: [{ kind: 'kill', process: 0, atMS: KILLED_AT_MS }] };
}

function longest({ processes }: Scenario): { leaseDurationMS: number; clockSkewMS: number; patrolIntervalMS: number } {
  const most = (of: 'leaseDurationMS' | 'clockSkewMS' | 'patrolIntervalMS'): number => {
    return Math.max(...processes.map(({ options }) => options[of]));
  };
  return {
    leaseDurationMS: most('leaseDurationMS'),
    clockSkewMS: most('clockSkewMS'),
    patrolIntervalMS: most('patrolIntervalMS'),
  };
}
