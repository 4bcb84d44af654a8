/**
 * Replays seeds from the command line: `node --import tsx test/simulation/replay.ts --seed 7` prints the trace of one,
 * with
 * `--shrink` of the smallest scenario that fails likewise; `--from 1 --count 1000` runs many and prints each failure.
 */
import { parseArgs } from 'node:util';
import { makeScenario, type Trouble } from './scenario.js';
import { report } from './shrink.js';
import { runScenario } from './simulation.js';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    shrink: { type: 'boolean', default: false },
    from: { type: 'string', default: '1' },
    count: { type: 'string', default: '100' },
    troubles: { type: 'string' },
    max: { type: 'string', default: '5' },
  },
});
const troubles = values.troubles === undefined ? undefined : (values.troubles.split(',').filter(Boolean) as Trouble[]);

if (values.seed !== undefined && values.shrink) {
  console.log(await report(makeScenario(Number(values.seed), troubles)));
} else if (values.seed !== undefined) {
  const result = await runScenario(makeScenario(Number(values.seed), troubles), { trace: true });
  for (const line of result.trace) console.log(line);
  console.log(result.violation ?? 'no violation');
} else {
  const startedAt = process.hrtime.bigint();
  let failures = 0;
  let steps = 0;
  let grants = 0;
  const first = Number(values.from);
  let seed = first;
  for (; seed < first + Number(values.count) && failures < Number(values.max); seed += 1) {
    const result = await runScenario(makeScenario(seed, troubles));
    steps += result.stepsCount;
    grants += result.grantsCount;
    if (result.violation === null) continue;
    failures += 1;
    console.log(
      `seed ${seed}: ${result.violation.invariant} at ${result.violation.atMS.toFixed(1)}: ${result.violation.what}`,
    );
  }
  const seconds = Number(process.hrtime.bigint() - startedAt) / 1e9;
  console.log(`${seed - first} seeds, ${failures} failures, ${steps} steps, ${grants} grants, ${seconds.toFixed(1)} s`);
}
