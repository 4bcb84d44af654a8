/**
 * The command line of the benchmarks: `npm run bench -- …`. It starts a replica set for each number of members (or takes that of `MONGODB_URI`), asks
 * the questions, prints their tables and the targets, and writes what it was told to write. It ends with 1 where a case failed, and where
 * `--targets` finds one missed. `tools/bench.mjs` starts it.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { startReplicaSet } from '../tools/replica-set.mjs';
import { QUESTIONS } from './catalogue.js';
import { loadNow, type Machine, machineOf, QUIET_LOAD } from './report/machine.js';
import { markdownOf, members, tablesOf, targetsTable } from './report/markdown.js';
import { merged } from './report/merged.js';
import { plotOf } from './report/plot.js';
import type { Report } from './report/report.js';
import { ask, type QuestionResult } from './rounds.js';
import { FULL, type Scale, TINY } from './scale.js';
import { Stage } from './stage.js';
import { judge } from './targets.js';

const LINGER_MS = 2_000;

const USAGE = `
  [name…]             these questions; all where none is named
  --only <words>      only their cases with these words in the name; a bar between alternatives
  --list              the questions
  --rounds <n>        how many count, default ${FULL.roundsCount}; one more before them is dropped
  --members 1|3       on a replica set of so many members; both, one after the other, where it is left out
  --window <ms>       how long a case is measured in a round, default ${FULL.windowMS}
  --tiny              a look whether it works: one short round, small counts
  --json <file>       everything, as JSON
  --markdown <file>   everything, as Markdown; its plots are put beside it
  --merge <file>      measures nothing: puts together the JSON of earlier runs; once for each, the later counts
  --targets           the targets at the end, and exit code 1 where one is missed`;

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    tiny: { type: 'boolean', default: false },
    targets: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    rounds: { type: 'string' },
    members: { type: 'string' },
    window: { type: 'string' },
    json: { type: 'string' },
    merge: { type: 'string', multiple: true, default: [] },
    markdown: { type: 'string' },
  },
});

function scale(): Scale {
  const base = options.tiny ? TINY : FULL;
  const roundsCount = Number(options.rounds ?? base.roundsCount);
  const windowMS = Number(options.window ?? base.windowMS);
  if (!Number.isInteger(roundsCount) || roundsCount < 1) throw new Error('--rounds wants a whole number from 1');
  if (!(windowMS >= 50)) throw new Error('--window wants 50 milliseconds or more');
  return { ...base, roundsCount, windowMS, only: options.only };
}

function questions(): typeof QUESTIONS {
  const unknown = positionals.filter((name) => !QUESTIONS.some((question) => question.name === name));
  if (unknown.length > 0) throw new Error(`There is no question ${unknown.join(', ')}; --list shows them`);
  return positionals.length === 0 ? QUESTIONS : QUESTIONS.filter(({ name }) => positionals.includes(name));
}

function setSizes(): number[] {
  if (options.members === undefined) return [1, 3];
  if (!['1', '3'].includes(options.members)) throw new Error('--members is 1 or 3');
  return [Number(options.members)];
}

/** What ends when this process does, however it does. */
const undo: (() => Promise<void>)[] = [];

async function cleanUp(): Promise<void> {
  for (const step of undo.splice(0).reverse()) await step().catch(() => {});
}

interface Measured {
  readonly machine: Machine;
  readonly results: readonly QuestionResult[];
  readonly leftOut: ReadonlyMap<string, string>;
}

/** All questions on one set of servers. */
async function measure(stage: Stage): Promise<Measured> {
  const loadBefore = loadNow();
  if (loadBefore > QUIET_LOAD)
    console.log(`the machine is busy (load ${loadBefore.toFixed(1)}): times are worth little, counts hold`);
  await stage.mongo.connect();
  const results: QuestionResult[] = [];
  for (const question of questions()) {
    const result = await ask(question, stage);
    results.push(result);
    console.log(`\n${question.title} (${members(stage.membersCount)})\n${tablesOf(result).join('\n\n')}\n`);
  }
  return { machine: await machineOf(stage.mongo, loadBefore), results, leftOut: stage.leftOut };
}

async function onServers(membersCount: number): Promise<Measured> {
  const settings = { scale: scale(), say: (line: string) => console.log(line) };
  const uri = process.env.MONGODB_URI;
  if (uri) {
    const stage = new Stage({ ...settings, uri, membersCount, serverPids: [] });
    undo.push(() => stage.close());
    return measure(stage);
  }
  const binary = process.env.MONGOMS_SYSTEM_BINARY ?? '';
  const servers = await startReplicaSet({ binary, members: membersCount });
  undo.push(servers.stop);
  const serverPids = servers.members.map(({ pid }) => pid);
  const stage = new Stage({ ...settings, uri: servers.uri, membersCount, serverPids });
  undo.push(() => stage.close());
  return measure(stage);
}

async function write(report: Report): Promise<void> {
  if (options.json !== undefined) await writeWhole(options.json, `${JSON.stringify(report, null, 2)}\n`);
  if (options.markdown === undefined) return;
  const file = options.markdown;
  const plots = new Map(report.results.map((result) => [result, plotOf(result)]));
  const nameOf = (result: QuestionResult): string =>
    `${basename(file, '.md')}-${result.name}-${result.membersCount}.svg`;
  for (const [result, plot] of plots) if (plot !== null) await writeWhole(join(dirname(file), nameOf(result)), plot);
  await writeWhole(
    file,
    markdownOf(report, (result) => (plots.get(result) ? nameOf(result) : null)),
  );
}

async function writeWhole(file: string, content: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, content);
}

/** The files of earlier runs, as one report. */
async function mergedFiles(files: readonly string[]): Promise<Report> {
  const read = async (file: string): Promise<Report> => JSON.parse(await readFile(file, 'utf8')) as Report;
  const [first, ...others] = await Promise.all(files.map(read));
  if (first === undefined) throw new Error('--merge wants a file');
  return merged([first, ...others]);
}

async function bench(): Promise<number> {
  const report = options.merge.length > 0 ? await mergedFiles(options.merge) : await measuredReport();
  await write(report);
  if (options.targets) console.log(`\n${targetsTable(report.targets)}`);
  const failed = report.results.some(({ failures }) => Object.keys(failures).length > 0);
  const missed = report.targets.some(({ verdict }) => verdict === 'missed');
  return failed || (options.targets && missed) ? 1 : 0;
}

async function measuredReport(): Promise<Report> {
  const measured: Measured[] = [];
  // A server from outside has the members it has; it is asked once.
  for (const membersCount of process.env.MONGODB_URI && options.members === undefined ? [1] : setSizes()) {
    measured.push(await onServers(membersCount));
    await cleanUp();
  }
  const [first] = measured;
  if (first === undefined) throw new Error('Nothing was measured');
  const results = measured.flatMap((each) => each.results);
  const leftOut = Object.fromEntries(measured.flatMap((each) => [...each.leftOut]));
  const machine = { ...first.machine, loadAfter: measured.at(-1)?.machine.loadAfter ?? Number.NaN };
  return { machine, leftOut, results, targets: judge(results) };
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)
  process.on(signal, () => void cleanUp().finally(() => process.exit(code)));

if (options.help) console.log(USAGE);
else if (options.list) for (const { name, title } of QUESTIONS) console.log(`${name.padEnd(14)}${title}`);
else {
  try {
    process.exitCode = await bench();
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  }
  await cleanUp();
  // What a peer that failed has left open must not keep this process.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}
