/**
 * That forced releases do happen in the scenarios that have them: runs are ended, refused because they had ended, their
 * callers lose their places and are served all the same, and holders hear by their streams who has ended them.
 */
import { expect, test } from 'vitest';
import { heardTooLate } from './handmade.js';
import { makeScenario } from './scenario.js';
import { report } from './shrink.js';
import { runScenario } from './simulation.js';

const SEEDS_COUNT = 20;

test('forced releases end runs, and are too late, and their callers queue again', async () => {
  const counts = { ended: 0, refused: 0, displaced: 0, told: 0 };
  for (let seed = 1; seed <= SEEDS_COUNT; seed += 1) {
    const scenario = makeScenario(seed, ['force']);
    const { violation, trace, ...totals } = await runScenario(scenario, { trace: true });
    if (violation !== null) expect.fail(await report(scenario));
    counts.ended += totals.forcesCount;
    counts.displaced += totals.displacedCount;
    counts.refused += trace.filter((line) => / forced \S+: false$/.test(line)).length;
    counts.told += trace.filter((line) => line.includes('** lost') && line.includes('released by force')).length;
  }
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(SEEDS_COUNT / 4);
});

test('and nothing is served that is known to be ended, however late it is told', async () => {
  let endedCount = 0;
  for (let seed = 1; seed <= 5; seed += 1) {
    const { violation, forcesCount } = await runScenario(heardTooLate(seed));
    if (violation !== null) expect.fail(await report(heardTooLate(seed)));
    endedCount += forcesCount;
  }
  expect(endedCount).toBeGreaterThan(20);
});
