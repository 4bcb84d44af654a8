/**
 * `npm test`: everything that must pass, set-up included. Checks that only need cores run side by side first; whatever watches the clock has the
 * machine for itself afterwards. The last line is one count over all steps: each test and each other step counts once, a skipped test as failed.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, run } from './command.mjs';
import { runExamples } from './examples.mjs';
import { chooseServer } from './mongod.mjs';
import { runCounted } from './tally.mjs';
import { seconds, setUp } from './workspace.mjs';

const CHECK_LIMIT_MS = 90_000;
const TESTS_LIMIT_MS = 330_000;
const DEMO_LIMIT_MS = 90_000;

/**
 * One script of package.json as a step.
 * @param {import('./tally.mjs').Tally} tally
 * @param {string} script
 * @param {(output: string) => boolean} [says] what its output must be, beyond the exit code
 */
async function check(tally, script, says = () => true) {
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  const { code, output, tookMS } = await run('sh', ['-c', scripts[script]], { limitMS: CHECK_LIMIT_MS });
  tally.count(script, code === 0 && says(output), tookMS, output);
}

/**
 * Checks of the sources, one after the other: they are short, and the package tests run beside them.
 * @param {import('./tally.mjs').Tally} tally
 */
async function checks(tally) {
  await check(tally, 'check:types');
  await check(tally, 'check:style');
  // Where it cannot read TypeScript it finds no module, no violation, and ends well.
  await check(tally, 'check:layers', (output) => Number(/\((\d+) modules/.exec(output)?.[1] ?? 0) > 0);
  await check(tally, 'check:unused');
}

/**
 * Some projects of the test suite; each of their tests counts for itself.
 * @param {import('./tally.mjs').Tally} tally
 * @param {string} name
 * @param {string[]} projects
 * @param {{ shows: 'at-end' | 'at-once', env: Record<string, string | undefined>, folder: string }} how
 */
async function tests(tally, name, projects, { shows, env, folder }) {
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

/**
 * @param {import('./tally.mjs').Tally} tally
 * @param {import('./mongod.mjs').ServerChoice} choice
 */
async function examples(tally, choice) {
  const results = await tally.step('examples found their server', () => runExamples(choice));
  if (results === undefined) return;
  for (const { name, ended } of results.value)
    tally.count(`example ${name}`, ended.code === 0, ended.tookMS, ended.output);
  if (results.value.length === 0) tally.count('examples: there is none', false, 0);
}

/**
 * @param {import('./tally.mjs').Tally} tally
 * @param {Record<string, string | undefined>} env
 */
async function demo(tally, env) {
  const { code, output, tookMS } = await run(process.execPath, ['tools/demo.mjs'], { env, limitMS: DEMO_LIMIT_MS });
  tally.count('demo', code === 0, tookMS, output);
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

/**
 * @param {import('./tally.mjs').Tally} tally
 * @param {string} folder
 */
async function everything(tally, folder) {
  const before = await checkoutState();
  if ((await tally.step('set-up and build', () => setUp())) === undefined) return false;
  const chosen = await tally.step('server', () => chooseServer());
  if (chosen === undefined) return false;
  const choice = chosen.value;
  const env = choice.uri === undefined ? { MONGOMS_SYSTEM_BINARY: choice.binary } : {};
  await Promise.all([
    checks(tally),
    tests(tally, 'package', ['package', 'tidy', 'docs'], { shows: 'at-end', env, folder }),
  ]);
  await tests(tally, 'behaviour', ['unit', 'simulation', 'integration', 'faults', 'fairness', 'cli', 'ui', 'compat'], {
    shows: 'at-once',
    env,
    folder,
  });
  await examples(tally, choice);
  await demo(tally, env);
  const after = await checkoutState();
  tally.count('checkout unchanged by the run', after === before, 0, after);
  if (choice.uri !== undefined)
    console.log(`not collected, because MONGODB_URI names the server: ${await notCollected()} test files`);
  return true;
}

await runCounted(everything);
