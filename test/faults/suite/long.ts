/**
 * The long runs: so many repeats, each of two minutes, round the rows of the long table. They may be interrupted at any
 * time: what is done is kept in the user's cache, outside of the checkout, and the next start goes on from there, as long as
 * the library's sources are the same. Called by `main.ts`.
 */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../../../tools/cache.mjs';
import { failureOf, lineOf, type Summarised, summaryOf } from './report.js';
import { type RunSettings, run } from './run.js';
import type { Row } from './table.js';

const SOURCES = 'packages/core/src';
const SUITE = 'test/faults/suite';

export interface LongSettings extends Omit<RunSettings, 'row' | 'seed'> {
  readonly rows: readonly Row[];
  readonly repeatsCount: number;
  /** Of the first; the others follow from it. */
  readonly seed: number;
  /** Forget what was done before. */
  readonly fresh: boolean;
}

interface State {
  /** What was tested, and by what. */
  readonly tested: string;
  readonly seed: number;
  readonly done: Summarised[];
}

/** Runs what is not done yet. Resolves with everything that is. */
export async function runLong(settings: LongSettings, print: (line: string) => void): Promise<readonly Summarised[]> {
  const { rows, repeatsCount, fresh } = settings;
  const file = join(await stateFolder(), 'long.json');
  if (fresh) await rm(file, { force: true });
  const names = rows.map(({ name }) => name).join(' ');
  const state = await load(file, settings.seed, `${await hashOf(SOURCES)} ${await hashOf(SUITE)} ${names}`);
  if (state.done.length > 0) print(`${state.done.length} of ${repeatsCount} repeats were done before`);
  while (state.done.length < repeatsCount) {
    const index = state.done.length;
    const row = rows[index % rows.length] as Row;
    const result = await run({ ...settings, row, seed: state.seed + index });
    print(`${index + 1} of ${repeatsCount}: ${lineOf(result)}`);
    for (const line of failureOf(result)) print(line);
    state.done.push(summaryOf(result));
    await writeFile(file, JSON.stringify(state));
  }
  return state.done;
}

async function load(file: string, seed: number, tested: string): Promise<State> {
  const known = await readFile(file, 'utf8').then(
    (text): State => JSON.parse(text),
    () => null,
  );
  return known?.tested === tested ? known : { tested, seed, done: [] };
}

/** What git calls the sources of the library, as they are in the checkout. */
export function sourcesHash(): Promise<string> {
  return hashOf(SOURCES);
}

async function hashOf(folder: string): Promise<string> {
  const git = (...args: string[]): Promise<string> =>
    promisify(execFile)('git', args).then(
      ({ stdout }) => stdout.trim(),
      () => 'unknown',
    );
  const changed = await git('status', '--porcelain', '--', folder);
  return `${await git('rev-parse', `HEAD:${folder}`)}${changed === '' ? '' : ' with changes'}`;
}

async function stateFolder(): Promise<string> {
  const folder = join(cacheFolder(), 'fault-suite');
  await mkdir(folder, { recursive: true });
  return folder;
}
