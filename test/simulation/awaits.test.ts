/**
 * A caller that aborts at every await: not only before or after something reaches its process, but between the promise
 * reactions that follow, where the engine has done half of what it does with an answer. That the aborts do fall into waits is
 * counted: one that comes when its call has ended tries nothing.
 */
import { expect, test } from 'vitest';
import { type CallPlan, makeScenario, type Scenario } from './scenario.js';
import { report } from './shrink.js';
import { runScenario } from './simulation.js';

/** Deliveries after the call, and promise turns after the delivery: no chain of reactions in the engine is longer. */
const DELIVERIES_MAX = 8;
const TURNS_MAX = 20;

test('keeps every invariant whatever a caller aborts between', { timeout: 180_000 }, async () => {
  let abortedCount = 0;
  for (let count = 1; count <= DELIVERIES_MAX; count += 1) {
    for (let turns = 0; turns <= TURNS_MAX; turns += 1) {
      const scenario = abortedAt(count * 100 + turns, { kind: 'delivery', count, when: 'after', turns });
      const { violation, trace } = await runScenario(scenario, { trace: true });
      if (violation !== null) expect.fail(await report(scenario));
      const aborted = trace.filter((line) => line.endsWith('aborted by the caller')).length;
      abortedCount += aborted;
    }
  }
  expect(abortedCount).toBeGreaterThan(DELIVERIES_MAX * TURNS_MAX);
});

/** Every second call aborts, in a scenario with little else, or with answers that get lost. */
function abortedAt(seed: number, abort: CallPlan['abort']): Scenario {
  const scenario = makeScenario(seed, seed % 3 === 0 ? ['lossy'] : []);
  const calls = scenario.calls.map((call, index) => (index % 2 === 0 ? { ...call, abort } : call));
  return { ...scenario, calls };
}
