/**
 * Every code block of the docs: compiled, run on the shared replica set, its commands looked up, its data parsed. What is done with a block is said
 * behind its fence (`packages/docs-tools/src/blocks.mjs`). The packages are used as their users get them, built.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Block, countOf, isDocsPage, judge } from '../../packages/docs-tools/src/blocks.mjs';
import { commandsOf, unknownCommands } from '../../packages/docs-tools/src/commands.mjs';
import { type Compiled, compile } from '../../packages/docs-tools/src/compile.mjs';
import { dataProblems } from '../../packages/docs-tools/src/data.mjs';
import { filesOf, pagesOf } from '../../packages/docs-tools/src/markdown.mjs';
import { runBlocks } from '../../packages/docs-tools/src/run.mjs';
import { sharedUri } from '../support/mongod.js';
import { buildPackages, knownCommands } from './repository.js';

const files = await filesOf();
const pages = await pagesOf(files);
const blocks = pages.filter(({ name }) => isDocsPage(name)).flatMap(judge);
const DONE = {
  run: 'compiles and runs',
  compiled: 'compiles',
  mongosh: 'runs in the shell',
  shell: 'names commands that exist',
  json: 'is JSON',
  jsonc: 'is JSON with comments',
  yaml: 'is YAML',
  text: 'is text',
  unchecked: 'is left out',
};

let verdicts: Map<string, string | null>;
let results: Compiled[];
let known: Awaited<ReturnType<typeof knownCommands>>;
let remove = async (): Promise<void> => {};

beforeAll(async () => {
  await buildPackages();
  const result = await compile(blocks.filter(({ kind }) => kind === 'run' || kind === 'compiled'));
  ({ compiled: results, remove } = result);
  const mongosh = blocks.filter(({ kind }) => kind === 'mongosh');
  verdicts = await runBlocks({ compiled: results, mongosh }, sharedUri());
  known = await knownCommands(files);
}, 150_000);

afterAll(() => remove());

async function problemsOf(block: Block): Promise<string[]> {
  const { kind, problem, name } = block;
  const told = problem === '' ? [] : [`${name} ${problem}`];
  if (kind === 'run' || kind === 'compiled')
    told.push(...(results.find((each) => each.block === block)?.errors ?? ['It was not compiled.']));
  const verdict = verdicts.get(name);
  if (told.length === 0 && (kind === 'run' || kind === 'mongosh') && verdict !== null)
    told.push(verdict ?? 'It was not run.');
  if (kind === 'shell') told.push(...unknownCommands(commandsOf([], [block]), known));
  if (kind === 'json' || kind === 'jsonc' || kind === 'yaml') told.push(...(await dataProblems(block)));
  return told;
}

const titled = blocks.map((block) => {
  const why = block.reason === '' ? '' : ` (not run or checked: ${block.reason})`;
  return { title: `${block.name} ${block.lang || 'indented'} ${DONE[block.kind]}${why}`, block };
});

test.each(titled)('$title', async ({ block }) => {
  expect(await problemsOf(block)).toEqual([]);
});

test(`${countOf(blocks)}`, () => {
  console.log(countOf(blocks));
  expect(blocks.length).toBeGreaterThan(0);
  expect(countOf(blocks)).toContain(' 0 without a reason');
});

test('commands that are named in running text exist', () => {
  const commands = commandsOf(pages, []);
  expect(commands.length).toBeGreaterThan(0);
  expect(unknownCommands(commands, known)).toEqual([]);
});
