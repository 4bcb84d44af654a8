/**
 * `npm run verify`: all that is tried before a release, in under 75 minutes: `npm test`, the model, the long simulation and fuzzing, the fault
 * suite once through and its checker, the matrix of drivers and versions of Node, the audit. The runs of an hour (`npm run test:faults -- --long`, `npm run test:soak`) are commands of
 * their own. It sets itself up, and the last line is one count.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, run } from './command.mjs';
import { compat } from './compat.mjs';
import { chooseServer } from './mongod.mjs';
import { runCounted } from './tally.mjs';
import { checkedOut, recordVerified } from './verified.mjs';
import { setUp } from './workspace.mjs';

const MINUTE_MS = 60_000;
const SIMULATION = { SIMULATION_SEEDS: '10000', SIMULATION_MUTANT_SEEDS: '3000' };
/** Fuzzing says how many times what `npm test` does. */
const AGAINST_SERVER = { CONFORMANCE_SEEDS: '300', FUZZ_RUNS: '10' };

/**
 * One program as a step; its output is shown where it failed, or at once where nothing else runs beside it.
 * @param {import('./tally.mjs').Tally} tally
 * @param {string} name
 * @param {string[]} command
 * @param {{ minutes: number, env?: Record<string, string | undefined>, shows?: 'at-end' | 'at-once' }} how
 */
async function step(tally, name, [program = '', ...args], { minutes, env = {}, shows = 'at-end' }) {
  const { code, output, tookMS } = await run(program, args, { env, shows, limitMS: minutes * MINUTE_MS });
  tally.count(name, code === 0, tookMS, output);
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  if (code === 0 && last !== '') console.log(`       ${last}`);
}

/** @param {string[]} files */
const tests = (...files) => ['vitest', 'run', ...files];

/** @param {import('./tally.mjs').Tally} tally */
async function model(tally) {
  await step(tally, 'model', [process.execPath, 'verification/model/run.mjs'], { minutes: 50 });
}

/**
 * @param {import('./tally.mjs').Tally} tally
 * @param {Record<string, string | undefined>} server
 */
async function simulation(tally, server) {
  const env = { ...server, ...SIMULATION };
  await step(tally, '10,000 seeds', tests('--project', 'simulation'), { minutes: 12, env });
}

/**
 * @param {import('./tally.mjs').Tally} tally
 * @param {Record<string, string | undefined>} server
 */
async function againstServer(tally, server) {
  const env = { ...server, ...AGAINST_SERVER };
  await step(tally, 'fuzzing, simulated store against the server', tests('fuzz', 'conformance'), { minutes: 12, env });
}

/** @param {import('./tally.mjs').Tally} tally */
async function faults(tally) {
  const suite = [process.execPath, 'tools/faults.mjs'];
  await step(tally, 'fault suite, the table once', suite, { minutes: 35, shows: 'at-once' });
  await step(tally, 'fault suite, its checkers', [...suite, '--self-check'], { minutes: 15, shows: 'at-once' });
}

/**
 * What `npm test` leaves out: files called `*.long.*`.
 * @param {import('./tally.mjs').Tally} tally
 * @param {Record<string, string | undefined>} server
 */
async function long(tally, server) {
  await step(tally, 'long tests', tests('.long.'), { minutes: 10, env: { ...server, LONG_TESTS: '1' } });
}

/**
 * The live page in a real browser.
 * @param {import('./tally.mjs').Tally} tally
 * @param {Record<string, string | undefined>} server
 */
async function browser(tally, server) {
  await step(tally, 'live page in Chromium', [process.execPath, 'tools/browser.mjs'], {
    minutes: 15,
    env: server,
    shows: 'at-once',
  });
}

/** @param {import('./tally.mjs').Tally} tally */
async function audit(tally) {
  const { code, output, tookMS } = await run(process.execPath, ['tools/audit.mjs'], { limitMS: 5 * MINUTE_MS });
  const unanswered = output.split('\n').find((line) => line.startsWith('NOT TRIED'));
  if (code === 2) tally.countNotTried('audit', unanswered ?? output);
  else tally.count('audit', code === 0, tookMS, output);
}

/** @param {import('./tally.mjs').Tally} tally */
async function everything(tally) {
  if ((await tally.step('set-up and build', () => setUp())) === undefined) return false;
  const chosen = await tally.step('server', () => chooseServer());
  if (chosen === undefined) return false;
  const { binary } = chosen.value;
  if (binary === undefined) throw new Error('Servers are killed here: unset MONGODB_URI to have some started.');
  const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  await step(tally, 'npm test', scripts.test.split(' '), { minutes: 15, shows: 'at-once' });
  const server = { MONGOMS_SYSTEM_BINARY: binary };
  // The model takes one core for a quarter of an hour, at the lowest priority; the fault suite mostly waits.
  await Promise.all([model(tally), faults(tally)]);
  await Promise.all([simulation(tally, server), againstServer(tally, server)]);
  await long(tally, server);
  await browser(tally, server);
  await compat(tally, binary);
  await audit(tally);
  return true;
}

// A source archive is no checkout, and nothing is released of it.
const before = await checkedOut().catch(() => undefined);
await runCounted(everything);
if (before !== undefined && process.exitCode === 0) await recordVerified(before);
