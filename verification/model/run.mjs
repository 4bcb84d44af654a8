/**
 * Checks the model with Spin: the configurations in which nothing may be found, the situations that must occur, and the
 * rules of the protocol switched off one at a time. One line a run, then one count; exits non-zero where anything is not as
 * runs.mjs says. `node verification/model/run.mjs crash` does only what has "crash" in its line; `--record` does
 * everything and writes what was found into README.md.
 */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endTogether, run as runProgram } from '../../tools/command.mjs';
import { installPackages } from '../../tools/debian.mjs';
import { jobs } from './jobs.mjs';
import { checkRules } from './rules.mjs';
import { tablesOf } from './tables.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const README = join(HERE, 'README.md');
const RECORD = /(<!-- results -->\n).*(<!-- end of results -->)/s;
const RUN_LIMIT_MS = 900_000;
const BUILD_LIMIT_MS = 120_000;
const MEMORY_MB = 6_000;
/** Deeper than any run here goes: a search that is cut off counts as failed. */
const DEPTH_MAX = 2_000_000;

/**
 * @typedef {import('./jobs.mjs').Job} Job
 *
 * @typedef {object} Found
 * @property {string} [complaint] why the search says nothing; absent: it is complete, or has found something
 * @property {string} [error] what it found
 * @property {string} states
 * @property {string} depth
 * @property {string} memory in MB
 * @property {string} seconds of the processor, that the search took
 *
 * @typedef {object} Result
 * @property {Job} job
 * @property {Found} found
 * @property {boolean} passed
 * @property {string} text
 */

/** Whether this process was told to end: then nothing new begins. */
let ending = false;

/**
 * Never comes back when this process is to end: whoever waits for it shall not go on.
 * @param {string} program
 * @param {string[]} args
 * @param {Parameters<typeof runProgram>[2]} [options]
 * @returns {ReturnType<typeof runProgram>}
 */
async function run(program, args, options) {
  const ended = ending ? null : await runProgram(program, args, options);
  return ended === null || ending ? new Promise(() => {}) : ended;
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
  const failure = await installPackages(missing.join(' ').split(' ')).then(
    () => null,
    (error) => error.message.split('\n')[0],
  );
  if (ending) await new Promise(() => {});
  if (failure !== null) throw new Error(failure);
}

/**
 * @param {Job} job
 * @param {string} folder an empty one
 * @returns {Promise<string | null>} why it could not be built
 */
async function build({ model, defines, live, expected }, folder) {
  const source = join(HERE, `${model}.pml`);
  const all = [...defines.split(' '), ...(live === undefined ? [] : [`-DLIVE=${live}`])];
  const generated = await run('spin', ['-a', ...all, source], { cwd: folder, limitMS: BUILD_LIMIT_MS });
  if (generated.code !== 0) return `spin: ${generated.output.trim()}`;
  const flags = [live === undefined ? '-DSAFETY' : '-DNFAIR=4'];
  // What is to find an error finds it soon: a fast search is not worth a slow compiler.
  const optimised = expected === 'nothing' ? '-O2' : '-O0';
  const args = [optimised, '-w', `-DMEMLIM=${MEMORY_MB}`, ...flags, '-o', 'pan', 'pan.c'];
  const compiled = await run('cc', args, { cwd: folder, limitMS: BUILD_LIMIT_MS });
  return compiled.code === 0 ? null : `cc: ${compiled.output.trim()}`;
}

/**
 * @param {Job} job
 * @param {string} folder an empty one
 * @returns {Promise<Found>}
 */
async function search(job, folder) {
  const failure = await build(job, folder);
  if (failure !== null) return { states: '–', depth: '–', memory: '–', seconds: '–', complaint: failure };
  const fairly = job.live === undefined ? [] : ['-a', '-f'];
  // With the processor time that it took: the other one depends on what else the machine does.
  const script = `nice -n 19 ./pan -m${DEPTH_MAX} ${fairly.join(' ')}; code=$?; times; exit $code`;
  const { code, output } = await run('sh', ['-c', script], { cwd: folder, limitMS: RUN_LIMIT_MS });
  const figures = {
    states: whole(/(\S+) states, stored/.exec(output)?.[1]),
    depth: whole(/depth reached (\d+)/.exec(output)?.[1]),
    memory: whole(/(\S+)\s+total actual memory usage/.exec(output)?.[1]),
    seconds: processorSeconds(output),
  };
  const errorsCount = Number(/errors: (\d+)/.exec(output)?.[1] ?? Number.NaN);
  if (errorsCount > 0) return { ...figures, error: await explain(output) };
  const cut = /max search depth too small|Search not completed|out of memory|reached -DMEMLIM/.exec(output)?.[0];
  if (code === 0 && errorsCount === 0 && cut === undefined) return figures;
  return { ...figures, complaint: `the search is not complete: ${cut ?? output.trim().split('\n').at(-1)}` };
}

/**
 * What the children took, user and system: the last line that `times` prints.
 * @param {string} output
 */
function processorSeconds(output) {
  const [, ...parts] = /^(\d+)m([\d.]+)s (\d+)m([\d.]+)s\s*$/.exec(output.trimEnd().split('\n').at(-1) ?? '') ?? [];
  const [userMinutes = 0, userSeconds = 0, systemMinutes = 0, systemSeconds = 0] = parts.map(Number);
  return (60 * (userMinutes + systemMinutes) + userSeconds + systemSeconds).toFixed(1);
}

/** @param {string | undefined} number as Spin prints it */
function whole(number) {
  return number === undefined ? '–' : Math.round(Number(number)).toLocaleString('en');
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

/**
 * @param {Job} job
 * @param {string} folder
 * @returns {Promise<Result>}
 */
async function check(job, folder) {
  await mkdir(folder);
  const found = await search(job, folder);
  await rm(folder, { recursive: true, force: true });
  const { passed, text } = verdict(job, found);
  printLine(
    passed ? 'ok' : 'FAILED',
    [job.name, found.states, found.depth, `${found.memory} MB`, `${found.seconds} s`],
    text,
  );
  return { job, found, passed, text };
}

/**
 * @param {string} mark
 * @param {string[]} columns
 * @param {string} text
 */
function printLine(mark, [name = '', ...numbers], text) {
  const widths = [11, 9, 9, 8];
  const columns = numbers.map((number, index) => number.padStart(widths[index] ?? 0));
  console.log(`${mark.padEnd(6)} ${name.padEnd(68)} ${columns.join(' ')}  ${text}`);
}

/** @param {readonly Result[]} results */
async function record(results) {
  const version = (await run('spin', ['-V'])).output.trim();
  const text = await readFile(README, 'utf8');
  if (!RECORD.test(text)) throw new Error('README.md has no place for the results');
  const tables = await tablesOf(results, version);
  await writeFile(
    README,
    text.replace(RECORD, (_, before, after) => `${before}\n${tables}\n${after}`),
  );
}

/**
 * @param {Job[]} chosen
 * @param {string} folder
 */
async function checkAll(chosen, folder) {
  await demandTools();
  printLine('', ['what', 'states', 'depth', 'memory', 'time'], 'result');
  const results = [];
  for (const [index, job] of chosen.entries()) results.push(await check(job, join(folder, String(index))));
  return results;
}

async function main() {
  const startedAt = performance.now();
  const folder = await mkdtemp(join(tmpdir(), 'model-'));
  const cleanUp = () => rm(folder, { recursive: true, force: true, maxRetries: 5 });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => {
      ending = true;
    });
  }
  endTogether(cleanUp);
  const options = process.argv.slice(2);
  const recording = options.includes('--record');
  const wanted = options.find((option) => !option.startsWith('--')) ?? '';
  if (recording && wanted !== '') throw new Error('only what is complete is recorded');
  try {
    await checkRules();
    const results = await checkAll(
      jobs().filter(({ name, defines }) => `${name} ${defines}`.includes(wanted)),
      folder,
    );
    if (recording) await record(results);
    const unexpectedCount = results.filter(({ passed }) => !passed).length;
    const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1);
    const counts = `${results.length} runs, ${results.length - unexpectedCount} as expected, ${unexpectedCount} not`;
    console.log(`model: ${counts}, ${minutes} minutes`);
    if (unexpectedCount > 0 || results.length === 0) process.exitCode = 1;
  } finally {
    await cleanUp();
  }
}

await main().catch((error) => {
  const line = `model: FAILED, ${error instanceof Error ? error.message : error}`;
  console.error(process.stderr.isTTY ? `\u001b[31m${line}\u001b[0m` : line);
  process.exitCode = 1;
});
