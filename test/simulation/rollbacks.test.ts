/**
 * Elections that take back what was written. In the scenarios of the seeds a write is committed within some milliseconds,
 * so that an election rarely finds one that is not; here commits are slow and elections frequent, and what was taken back
 * is counted, so that none of it goes untried unnoticed.
 */
import { expect, test } from 'vitest';
import { Chance } from './chance.js';
import { type Fault, makeScenario, type Scenario } from './scenario.js';
import { report } from './shrink.js';
import { runScenario } from './simulation.js';

const SEEDS_COUNT = 60;
const ELECTIONS_COUNT = 12;
/** What holders and waiters rely on when it is acknowledged, and not before. */
const TAKEN_BACK = ['TRY', 'ARRIVE', 'HANDOFF', 'VACATE', 'OPEN', 'RENEW', 'LEAVE'];

test('keeps every invariant when elections roll back what was not acknowledged', { timeout: 120_000 }, async () => {
  const counts = new Map<string, number>();
  for (let seed = 1; seed <= SEEDS_COUNT; seed += 1) {
    const scenario = withRollbacks(seed);
    const { violation, trace } = await runScenario(scenario, { trace: true });
    if (violation !== null) expect.fail(await report(scenario));
    for (const command of rolledBack(trace)) counts.set(command, (counts.get(command) ?? 0) + 1);
  }
  expect(TAKEN_BACK.filter((command) => (counts.get(command) ?? 0) < 3)).toEqual([]);
});

/** Many elections while calls are made, and commits as slow as those of members that are far apart. */
function withRollbacks(seed: number): Scenario {
  const scenario = makeScenario(seed, seed % 2 === 0 ? ['elections'] : ['elections', 'kills', 'leaves']);
  const chance = Chance.named(seed, 'rollbacks');
  const lastMS = Math.max(...scenario.calls.map(({ atMS }) => atMS)) + 200;
  const elections: Fault[] = Array.from({ length: ELECTIONS_COUNT }, () => {
    return { kind: 'election', atMS: chance.between(0, lastMS) };
  });
  const faults = [...scenario.faults, ...elections].sort((a, b) => a.atMS - b.atMS);
  return { ...scenario, faults, commitMS: [5, 40] };
}

/** Applied, and never committed: by the command that wrote it. */
function rolledBack(trace: readonly string[]): string[] {
  const committed = new Set(trace.flatMap((line) => / ## (\d+) \S+ committed$/.exec(line)?.[1] ?? []));
  return trace.flatMap((line) => {
    const [, position = '', command] = / ## (\d+) \S+ ([A-Z]+) \S+ = /.exec(line) ?? [];
    return command === undefined || committed.has(position) ? [] : [command];
  });
}
