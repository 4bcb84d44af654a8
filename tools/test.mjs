/**
 * `npm test`: everything that must pass, set-up included. Checks that only need cores run side by side first; whatever watches the clock has the
 * machine for itself afterwards. The last line is one count over all steps: each test and each other step counts once, a skipped test as failed.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endTogether, leftovers, ROOT, run } from './command.mjs';
import { runExamples } from './examples.mjs';
import { chooseServer } from './mongod.mjs';
import { scratch } from './scratch.mjs';
import { seconds, setUp } from './workspace.mjs';

const CHECK_LIMIT_MS = 90_000;
const TESTS_LIMIT_MS = 200_000;
const DEMO_LIMIT_MS = 90_000;

const startedAt = performance.now();
const tally = { passed: 0, failed: 0 };
/** Whether every step was reached: a run that stops early must not look like a short one. */
let complete = false;

/**
 * Counts one step and says how it went; what it printed only where it failed.
 * @param {string} name
 * @param {boolean} passed
 * @param {number} tookMS
 * @param {string} [output]
 */
function count(name, passed, tookMS, output = '') {
  tally[passed ? 'passed' : 'failed'] += 1;
  console.log(`${passed ? 'ok    ' : 'FAILED'} ${name} (${seconds(tookMS)})`);
  if (!passed && output.trim() !== '') console.log(output.trimEnd());
}

/**
 * One step whose rejection is its failure.
 * @template T
 * @param {string} name
 * @param {() => Promise<T>} work
 * @returns {Promise<{ value: T } | undefined>} undefined where it failed
 */
async function step(name, work) {
  const from = performance.now();
  try {
    const value = await work();
    count(name, true, performance.now() - from);
    return { value };
  } catch (error) {
    count(name, false, performance.now() - from, error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

/**
 * One script of package.json as a step.
 * @param {string} script
 * @param {(output: string) => boolean} [says] what its output must be, beyond the exit code
 */
async function check(script, says = () => true) {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  const { code, output, tookMS } = await run('sh', ['-c', scripts[script]], { limitMS: CHECK_LIMIT_MS });
  count(script, code === 0 && says(output), tookMS, output);
}

/** Checks of the sources, one after the other: they are short, and the package tests run beside them. */
async function checks() {
  await check('check:types');
  await check('check:style');
  // Where it cannot read TypeScript it finds no module, no violation, and ends well.
  await check('check:layers', (output) => Number(/\((\d+) modules/.exec(output)?.[1] ?? 0) > 0);
  await check('check:unused');
}

/**
 * Some projects of the test suite; each of their tests counts for itself.
 * @param {string} name
 * @param {string[]} projects
 * @param {{ shows: 'at-end' | 'at-once', env: Record<string, string | undefined>, folder: string }} how
 */
async function tests(name, projects, { shows, env, folder }) {
  const file = join(folder, `tally-${name}.json`);
  const args = ['run', ...projects.flatMap((project) => ['--project', project])];
  const ended = await run('vitest', args, { shows, env: { ...env, TALLY_FILE: file }, limitMS: TESTS_LIMIT_MS });
  const counted = JSON.parse(await readFile(file, 'utf8').catch(() => '{"passed":0,"failed":0}'));
  // Ended before it could count, or for a reason that no test shows.
  if (ended.code !== 0 && counted.failed === 0) counted.failed = 1;
  tally.passed += counted.passed;
  tally.failed += counted.failed;
  const verdict = counted.failed === 0 ? 'ok    ' : 'FAILED';
  console.log(
    `${verdict} ${name} tests: ${counted.passed} of ${counted.passed + counted.failed} (${seconds(ended.tookMS)})`,
  );
  if (counted.failed > 0) console.log(ended.output.trimEnd());
}

/** @param {import('./mongod.mjs').ServerChoice} choice */
async function examples(choice) {
  const results = await step('examples found their server', () => runExamples(choice));
  if (results === undefined) return;
  for (const { name, ended } of results.value) count(`example ${name}`, ended.code === 0, ended.tookMS, ended.output);
  if (results.value.length === 0) count('examples: there is none', false, 0);
}

/** @param {Record<string, string | undefined>} env */
async function demo(env) {
  const { code, output, tookMS } = await run(process.execPath, ['tools/demo.mjs'], { env, limitMS: DEMO_LIMIT_MS });
  count('demo', code === 0, tookMS, output);
}

/** What git says of the checkout; empty where this is no checkout. */
async function checkoutState() {
  const { code, output } = await run('git', ['status', '--porcelain']);
  return code === 0 ? output : '';
}

/** With a server from outside some tests cannot run: how many files are left out is part of the result. */
async function notCollected() {
  const files = await readdir(join(ROOT, 'test'), { recursive: true });
  return files.filter((name) => name.endsWith('.own-server.test.ts')).length;
}

/** @param {string} folder */
async function everything(folder) {
  const before = await checkoutState();
  if ((await step('set-up and build', () => setUp())) === undefined) return;
  const chosen = await step('server', () => chooseServer());
  if (chosen === undefined) return;
  const choice = chosen.value;
  const env = choice.uri === undefined ? { MONGOMS_SYSTEM_BINARY: choice.binary } : {};
  await Promise.all([checks(), tests('package', ['package', 'tidy'], { shows: 'at-end', env, folder })]);
  await tests('behaviour', ['unit', 'simulation', 'integration', 'faults', 'fairness'], {
    shows: 'at-once',
    env,
    folder,
  });
  await examples(choice);
  await demo(env);
  const after = await checkoutState();
  count('checkout unchanged by the run', after === before, 0, after);
  if (choice.uri !== undefined)
    console.log(`not collected, because MONGODB_URI names the server: ${await notCollected()} test files`);
  complete = true;
}

const { folder, remove } = await scratch();
endTogether(remove);
await everything(folder).catch((error) => count('run', false, 0, error instanceof Error ? error.stack : String(error)));
const left = await leftovers();
count('no process left', left.length === 0, 0, left.join('\n'));
await remove();
if (!complete && tally.failed === 0) count('run: it stopped before its last step', false, 0);
console.log(`took ${seconds(performance.now() - startedAt)}`);
process.exitCode = tally.failed === 0 ? 0 : 1;
console.log(`${tally.passed} passed, ${tally.failed} failed`);
