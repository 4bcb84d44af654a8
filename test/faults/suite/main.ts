/**
 * The command line of the fault suite: `npm run test:faults -- …`. Without more it runs the table once. It prints a line
 * for each run, what could not be tried and why, the shortest excerpt of what went wrong with the command that does it
 * again, and what it all amounts to in Markdown; it ends with 1 where anything went wrong. `tools/faults.mjs` starts it.
 */
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { environmentOfThisMachine } from './environment.js';
import { runLong, sourcesHash } from './long.js';
import { measureRecovery } from './recovery.js';
import { failureOf, lineOf, markdownOf, summaryOf } from './report.js';
import { missing, run } from './run.js';
import { BROKEN, findsWhatIsBroken, findsWhatLeaks, LEAKING } from './self-check.js';
import { soak } from './soak.js';
import { LONG, type Row, SHORT, TABLE } from './table.js';

const USAGE = `
  (nothing)             the table once
  --only <row>          this row, may be repeated; of the table, of the long runs, or "short"
  --long                120 s each, round the long rows; goes on where it was interrupted
    --repeats <n>       how many, default 30
    --fresh             from the beginning
  --recovery            how long faults cost; --repeats <n>, default 20; --only <word of what is measured>
  --soak                20 minutes; --minutes <n>
  --self-check          locks that are broken on purpose, and processes that leak, must be found out; --only <word of it>
  --list                the rows and their faults
  --seed <n>            instead of a random one
  --times <n>           each row so often, with seeds that follow one another
  --keep <folder>       keeps the recorded histories there
  --verbose             each step as it is taken`;

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', multiple: true, default: [] },
    long: { type: 'boolean', default: false },
    recovery: { type: 'boolean', default: false },
    soak: { type: 'boolean', default: false },
    'self-check': { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    repeats: { type: 'string' },
    times: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '20' },
    seed: { type: 'string' },
    keep: { type: 'string' },
  },
});

// By `exit`, so that servers and processes go along.
for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)
  process.on(signal, () => process.exit(code));

const binary = process.env.MONGOMS_SYSTEM_BINARY ?? '';
const environment = await environmentOfThisMachine();
const seed = Number(options.seed ?? Math.floor(Math.random() * 2 ** 31));
const say = options.verbose ? (line: string): void => console.log(`       ${stamp()} ${line}`) : () => {};

function stamp(): string {
  return `${(performance.now() / 1_000).toFixed(1)} s`;
}

function rows(): readonly Row[] {
  const known = [...TABLE, SHORT, ...LONG];
  const unknown = options.only.filter((name) => !known.some((row) => row.name === name));
  if (unknown.length > 0) throw new Error(`There is no row ${unknown.join(', ')}; --list shows them`);
  return known.filter(({ name }) => options.only.includes(name));
}

function list(): boolean {
  for (const { name, workload, faults, durationMS } of [...TABLE, SHORT, ...LONG]) {
    console.log(`${name}: ${workload.name}, ${durationMS / 1_000} s`);
    for (const fault of faults) console.log(`    ${fault.name}`);
  }
  return true;
}

/** What cannot be tried here is said, and is not counted as tried. */
function sayWhatIsMissing(of: readonly Row[]): void {
  for (const line of new Set(of.flatMap((row) => missing(row, environment)))) console.log(`NOT TRIED ${line}`);
}

async function runTable(): Promise<boolean> {
  const chosen = options.only.length === 0 ? TABLE : rows();
  sayWhatIsMissing(chosen);
  const done = [];
  for (const row of chosen) {
    for (let time = 0; time < Number(options.times); time += 1) {
      const result = await run({ row, seed: seed + time, binary, environment, say });
      if (options.keep !== undefined)
        await writeFile(join(options.keep, `${row.name}-${result.seed}.jsonl`), result.history.toText());
      console.log(lineOf(result));
      for (const line of failureOf(result)) console.log(line);
      done.push(summaryOf(result));
    }
  }
  if (done.length > 1) console.log(`\n${await heading()}\n\n${markdownOf(done)}`);
  return done.every(({ findings }) => findings.length === 0);
}

async function runLongTable(): Promise<boolean> {
  const chosen = options.only.length === 0 ? LONG : rows();
  sayWhatIsMissing(chosen);
  const repeatsCount = Number(options.repeats ?? 30);
  const settings = { rows: chosen, repeatsCount, seed, fresh: options.fresh, binary, environment, say };
  const done = await runLong(settings, console.log);
  console.log(`\n${await heading()}\n\n${markdownOf(done)}`);
  return done.every(({ findings }) => findings.length === 0);
}

/** When, on what, with what. */
async function heading(): Promise<string> {
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} cores, ${process.platform} ${process.arch}`;
  const sources = (await sourcesHash()).slice(0, 12);
  return `${date}, Node ${process.versions.node}, ${machine}, library sources ${sources}, first seed ${seed}`;
}

async function checkTheChecker(): Promise<boolean> {
  let all = true;
  const chosen = (name: string): boolean =>
    options.only.length === 0 || options.only.some((word) => name.includes(word));
  for (const broken of BROKEN.filter(({ what }) => chosen(what))) {
    const { passed, found } = await findsWhatIsBroken(broken, { seed, binary, environment, say });
    console.log(`${passed ? 'ok    ' : 'FAILED'} ${broken.what}: found ${[...found].join(', ') || 'nothing'}`);
    all &&= passed;
  }
  for (const leaking of LEAKING.filter(({ variant }) => chosen(`soak, ${variant}`))) {
    const { passed, found } = await findsWhatLeaks(leaking, { seed, binary, environment, say });
    console.log(
      `${passed ? 'ok    ' : 'FAILED'} soak, ${leaking.variant}: found ${[...found].join(', ') || 'nothing'}`,
    );
    all &&= passed;
  }
  return all;
}

async function main(): Promise<boolean> {
  if (options.help) console.log(USAGE);
  if (options.help) return true;
  if (options.list) return list();
  if (options['self-check']) return checkTheChecker();
  if (options.long) return runLongTable();
  const print = async (): Promise<void> => console.log(`\n${await heading()}\n`);
  if (options.recovery) {
    await print();
    return measureRecovery({
      repeatsCount: Number(options.repeats ?? 20),
      only: options.only,
      seed,
      binary,
      environment,
      say,
    });
  }
  if (options.soak) {
    await print();
    return soak({ durationMS: Number(options.minutes) * 60_000, seed, binary, environment, say });
  }
  return runTable();
}

process.exitCode = (await main()) ? 0 : 1;
// Everything has been taken down. What is still there is a fault of the suite, and must not hang whoever waits for it.
setTimeout(() => {
  console.error(`still open: ${process.getActiveResourcesInfo().join(', ')}`);
  process.exit(1);
}, 5_000).unref();
