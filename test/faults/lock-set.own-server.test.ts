/**
 * A short pass of the fault suite: a lock-set of several processes on a replica set of three, while one that holds is
 * killed, one is suspended and the primary steps down; and a lock that is none, which the same checker must find out.
 * All of it: `npm run test:faults`.
 */
import { expect, inject, it } from 'vitest';
import { environmentOfThisMachine } from './suite/environment.js';
import { failureOf } from './suite/report.js';
import { run } from './suite/run.js';
import { BROKEN, findsWhatIsBroken } from './suite/self-check.js';
import { SHORT } from './suite/table.js';

const LIMIT_MS = 90_000;

/** Another one each time: what it finds comes with the seed, and the command that does it again. */
const seed = Math.floor(Math.random() * 2 ** 31);
const binary = inject('mongodBinary');

it('lock-set with the holder killed and suspended and the primary stepped down shows nothing wrong', {
  timeout: LIMIT_MS,
}, async () => {
  const result = await run({ row: SHORT, seed, binary, environment: await environmentOfThisMachine() });
  expect(failureOf(result)).toEqual([]);
  expect(result.verdict.findings).toEqual([]);
  expect(SHORT.faults.map(({ name }) => name).filter((name) => !result.faults.has(name))).toEqual([]);
  expect(result.verdict.writesCount).toBeGreaterThan(0);
  expect(result.verdict.comparedCount).toBeGreaterThan(0);
});

it('a lock that asks no server is found out', { timeout: LIMIT_MS }, async () => {
  const broken = BROKEN.find(({ variant }) => variant === 'ignores the server');
  if (broken === undefined) throw new Error('There is no such lock');
  const settings = { seed, binary, environment: await environmentOfThisMachine() };
  const { found } = await findsWhatIsBroken(broken, settings);
  expect([...found]).toEqual(expect.arrayContaining([...broken.finds]));
});
