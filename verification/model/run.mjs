/**
 * Checks the model with Spin: the configurations in which nothing may be found, the situations that must occur, and the
 * rules of the protocol switched off one at a time. One line a run, then one count; exits non-zero where anything is not as
 * runs.mjs says. `node verification/model/run.mjs crash` does only what has "crash" in its line.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endTogether, run } from '../../tools/command.mjs';
import { CAUGHT, CONFIGURATIONS, ECONOMY, SITUATIONS } from './runs.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const RUN_LIMIT_MS = 360_000;
const BUILD_LIMIT_MS = 120_000;
const INSTALL_LIMIT_MS = 240_000;
const MEMORY_MB = 6_000;
/** Deeper than any run here goes: a search that is cut off counts as failed. */
const DEPTH_MAX = 2_000_000;

/**
 * @typedef {object} Job
 * @property {string} name
 * @property {'queue' | 'lease'} model
 * @property {string} defines
 * @property {number} [live] the caller whose progress is checked; absent: safety
 * @property {'nothing' | 'something'} expected what is to be found
 * @property {string} [sought] how that begins
 * @property {string} [why] what is saved, where nothing is found without a rule
 *
 * @typedef {object} Found
 * @property {string} [complaint] why the search says nothing; absent: it is complete, or has found something
 * @property {string} [error] what it found
 * @property {string} states
 * @property {string} depth
 */

/** @returns {Job[]} */
function jobs() {
  const queue = /** @type {const} */ ('queue');
  return [
    ...CONFIGURATIONS.map((job) => ({ ...job, expected: /** @type {const} */ ('nothing') })),
    ...SITUATIONS.map(({ name, defines }) => ({
      name: `occurs: ${name}`,
      model: queue,
      defines: `${defines} -DWITNESS=${name}`,
      expected: /** @type {const} */ ('something'),
      sought: 'it occurs',
    })),
    ...CAUGHT.map(({ name, rule, model = queue, defines, live }) => ({
      name: `without: ${rule}`,
      model,
      defines: `${defines} -D${name}`,
      ...(live !== undefined && { live }),
      expected: /** @type {const} */ ('something'),
    })),
    ...ECONOMY.flatMap(economyJobs),
  ];
}

/**
 * A rule that only saves something; and, where another does its work too, both switched off.
 * @param {(typeof ECONOMY)[number]} rule
 * @returns {Job[]}
 */
function economyJobs({ name, rule, model = 'queue', defines, why, caughtWith }) {
  const alone = `${defines} -D${name}`;
  /** @type {Job[]} */
  const both =
    caughtWith === undefined
      ? []
      : [
          {
            name: `without: ${rule}, and ${caughtWith}`,
            model,
            defines: `${alone} -D${caughtWith}`,
            expected: 'something',
          },
        ];
  return [{ name: `economy: ${rule}`, model, defines: alone, expected: 'nothing', why }, ...both];
}

/** What must be there to check anything: Spin and a C compiler. Rejects with one line that says how to get them. */
async function demandTools() {
  const missing = [];
  for (const [program, args, packageName] of /** @type {const} */ ([
    ['spin', ['-V'], 'spin'],
    ['cc', ['--version'], 'gcc libc6-dev'],
  ])) {
    if ((await run(program, [...args])).code !== 0) missing.push(packageName);
  }
  if (missing.length === 0) return;
  const packages = missing.join(' ').split(' ');
  const advice = `the model needs ${packages.join(', ')}: as root, apt-get install -y ${packages.join(' ')}`;
  if (process.getuid?.() !== 0) throw new Error(advice);
  const limit = { limitMS: INSTALL_LIMIT_MS };
  await run('apt-get', ['update'], limit);
  const { code, output } = await run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], limit);
  if (code !== 0) throw new Error(`${advice} (which failed: ${output.trim().split('\n').at(-1)})`);
}

/**
 * @param {Job} job
 * @param {string} folder an empty one
 * @returns {Promise<Found>}
 */
async function search({ model, defines, live, expected }, folder) {
  const nothing = { states: '–', depth: '–' };
  const source = join(HERE, `${model}.pml`);
  const all = [...defines.split(' '), ...(live === undefined ? [] : [`-DLIVE=${live}`])];
  const generated = await run('spin', ['-a', ...all, source], { cwd: folder, limitMS: BUILD_LIMIT_MS });
  if (generated.code !== 0) return { ...nothing, complaint: `spin: ${generated.output.trim()}` };
  const flags = [live === undefined ? '-DSAFETY' : '-DNFAIR=4'];
  // What is to find an error finds it soon: a fast search is not worth a slow compiler.
  const compile = [
    expected === 'nothing' ? '-O2' : '-O0',
    '-w',
    `-DMEMLIM=${MEMORY_MB}`,
    ...flags,
    '-o',
    'pan',
    'pan.c',
  ];
  const compiled = await run('cc', compile, { cwd: folder, limitMS: BUILD_LIMIT_MS });
  if (compiled.code !== 0) return { ...nothing, complaint: `cc: ${compiled.output.trim()}` };
  const fairly = live === undefined ? [] : ['-a', '-f'];
  const args = ['-n', '19', './pan', `-m${DEPTH_MAX}`, ...fairly];
  const { code, output } = await run('nice', args, { cwd: folder, limitMS: RUN_LIMIT_MS });
  const states = Number(/(\S+) states, stored/.exec(output)?.[1] ?? Number.NaN).toLocaleString('en');
  const depth = /depth reached (\d+)/.exec(output)?.[1] ?? '–';
  const errorsCount = Number(/errors: (\d+)/.exec(output)?.[1] ?? Number.NaN);
  if (errorsCount > 0) return { states, depth, error: await explain(output) };
  const cut = /max search depth too small|Search not completed|out of memory|reached -DMEMLIM/.exec(output)?.[0];
  if (code !== 0 || errorsCount !== 0 || cut !== undefined)
    return { states, depth, complaint: `the search is not complete: ${cut ?? output.trim().split('\n').at(-1)}` };
  return { states, depth };
}

/**
 * The error in words: each assertion carries the number of its property, and properties.pml has the words.
 * @param {string} output
 */
async function explain(output) {
  if (output.includes('acceptance cycle')) return 'INV-05: somebody waits for ever';
  const said = /pan:1: .*/.exec(output)?.[0] ?? '';
  const number = /\((\d{4})==0\)/.exec(said)?.[1];
  const properties = await readFile(join(HERE, 'properties.pml'), 'utf8');
  const words = new RegExp(`^#define \\w+ ${number} +/\\* (.*) \\*/$`, 'm').exec(properties)?.[1];
  return words ?? `not understood: ${said}`;
}

/**
 * @param {Job} job
 * @param {Found} found
 */
function verdict({ expected, sought = 'INV-', why }, { complaint, error }) {
  if (complaint !== undefined) return { passed: false, text: complaint };
  if (expected === 'nothing') return { passed: error === undefined, text: error ?? why ?? 'no error' };
  return { passed: error?.startsWith(sought) ?? false, text: error ?? 'nothing was found' };
}

/** @param {Job} job */
async function check(job) {
  const folder = await mkdtemp(join(tmpdir(), 'model-'));
  const startedAt = performance.now();
  try {
    const found = await search(job, folder);
    const { passed, text } = verdict(job, found);
    const took = `${((performance.now() - startedAt) / 1_000).toFixed(1)} s`;
    const columns = [job.name.padEnd(66), found.states.padStart(11), found.depth.padStart(6), took.padStart(8)];
    console.log(`${passed ? 'ok    ' : 'FAILED'} ${columns.join(' ')}  ${text}`);
    return passed;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function main() {
  endTogether(async () => {});
  const wanted = process.argv[2] ?? '';
  const chosen = jobs().filter(({ name, defines }) => `${name} ${defines}`.includes(wanted));
  await demandTools();
  console.log(
    `       ${'what'.padEnd(66)} ${'states'.padStart(11)} ${'depth'.padStart(6)} ${'time'.padStart(8)}  result`,
  );
  let failedCount = 0;
  for (const job of chosen) if (!(await check(job))) failedCount += 1;
  console.log(`model: ${chosen.length - failedCount} passed, ${failedCount} failed`);
  if (failedCount > 0 || chosen.length === 0) process.exitCode = 1;
}

await main().catch((error) => {
  console.error(`model: FAILED, ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
});
