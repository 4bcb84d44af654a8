/** The checkers of the docs, tried: each finds a page that is wrong in its way, and has nothing to say of one that is right. */
import { beforeAll, expect, test } from 'vitest';
import { type Block, countOf, judge } from '../../packages/docs-tools/src/blocks.mjs';
import { commandsOf, type Known, unknownCommands } from '../../packages/docs-tools/src/commands.mjs';
import { compile } from '../../packages/docs-tools/src/compile.mjs';
import { dataProblems } from '../../packages/docs-tools/src/data.mjs';
import { brokenLinks } from '../../packages/docs-tools/src/links.mjs';
import { readPage } from '../../packages/docs-tools/src/markdown.mjs';
import { runBlocks } from '../../packages/docs-tools/src/run.mjs';
import { sharedUri } from '../support/mongod.js';
import { buildPackages } from './repository.js';

const fence = (info: string, code: string): string => `\`\`\`${info}\n${code}\n\`\`\`\n`;
const blocksOf = (...texts: string[]): Block[] => judge(readPage('docs/page.md', texts.join('\n')));

const CLIENT = `import { LockClient } from 'mongo-distributed-locks';
const locks = new LockClient({ uri: 'mongodb://localhost/shop' });`;
const CALL = "await locks.exec({ resource: 'a', id: 1, fn";
const TOKEN = `${CLIENT}\nconst token = ${CALL}: ({ fencingToken }) => { done.push(1); return fencingToken; } });`;

/** Blocks that are wrong in one way each, and some that are right. All are compiled and run at once: that is what takes time. */
const TRIED = {
  misspelt: fence('ts', `${CLIENT}\nawait locks.lock({ resource: 'a', id: 1, timeoutMs: 5 });`),
  throwing: fence('ts', `${CLIENT}\n${CALL}: () => { throw new Error('on purpose'); } });`),
  unseen: fence(
    'ts',
    "void Promise.reject(new Error('unseen'));\nawait new Promise((resolve) => setTimeout(resolve, 50));",
  ),
  incomplete: fence('js', `${CLIENT}\nawait locks.lock({ resource: 'a' });`),
  neverRun: fence('ts no-run: it would wait for ever', 'const count: number = "one";\nconst none = nowhere;'),
  whatFollows: `${fence('ts', 'const value: number = 1;')}\n<!-- afterwards\nif (value === 1) throw new Error('as it should');\n-->\n`,
  operator: fence('js mongosh', 'db.dlocks.updateOne({}, { $unheardOf: 1 })'),
  form: fence('js mongosh no-run: only its form', 'db.dlocks.find({'),
  right: `<!-- prelude\nconst done: number[] = [];\n-->\n\n${fence('ts', TOKEN)}\n<!-- afterwards\nif (done.length !== 1) throw new Error('It was not run.');\n-->\n`,
  continued: fence('ts continues', 'if (!(token > 0)) throw new Error("no token");\nawait locks.close();'),
  commonJs: fence(
    'js',
    "const { LockClient } = require('mongo-distributed-locks');\nnew LockClient({ uri: 'mongodb://localhost/shop' });",
  ),
  shell: fence('js mongosh', "db.dlocks.find({ grant: { $type: 'string' } }).sort({ at: 1 })"),
};

/** What was found, by the name of the block: errors of the compiler, what it failed with, or null. */
const seen = new Map<string, string[] | string | null | undefined>();

beforeAll(async () => {
  await buildPackages();
  const blocks = blocksOf(...Object.values(TRIED));
  const { compiled, remove } = await compile(blocks.filter(({ kind }) => kind === 'run' || kind === 'compiled'));
  const mongosh = blocks.filter(({ kind }) => kind === 'mongosh');
  const verdicts = await runBlocks({ compiled, mongosh }, sharedUri());
  await remove();
  for (const [index, name] of Object.keys(TRIED).entries()) {
    const block = blocks[index];
    const errors = compiled.find((each) => each.block === block)?.errors ?? [];
    seen.set(name, errors.length > 0 ? errors : verdicts.get(block?.name ?? ''));
  }
}, 60_000);

test('code that does not compile is found, with its line in the page', () => {
  expect(seen.get('misspelt')).toEqual([expect.stringMatching(/^docs\/page\.md:4 TS\d+: .*timeoutMs/)]);
  expect(seen.get('incomplete')).toEqual([expect.stringMatching(/^docs\/page\.md:\d+ TS\d+: /)]);
  expect(seen.get('neverRun')).toHaveLength(2);
});

test('code that throws, rejects behind its back, or fails in what the reader does not see, is found', () => {
  expect(seen.get('throwing')).toContain('on purpose');
  expect(seen.get('unseen')).toContain('unseen');
  expect(seen.get('whatFollows')).toContain('as it should');
  expect(seen.get('operator')).toContain('unheardOf');
  expect(seen.get('form')).toContain('SyntaxError');
});

test('code that is right is run, with what stands in comments around it, and what it continues', () => {
  for (const name of ['right', 'continued', 'commonJs', 'shell']) expect(seen.get(name)).toBeNull();
});

test('a block that says not what it is, or not why it is left out, is found and counted', () => {
  const blocks = blocksOf(
    fence('', 'what is this?'),
    fence('ts no-run', 'await forever();'),
    fence('promql', 'rate(x[5m])'),
    fence('promql no-check: the language of another tool', 'rate(x[5m])'),
    fence('text', 'figures'),
  );
  const told = blocks.map(({ problem }) => problem !== '');
  expect(told).toEqual([true, true, true, false, false]);
  expect(countOf(blocks)).toContain('3 without a reason');
  expect(countOf(blocks.slice(3))).toContain(' 0 without a reason');
});

const KNOWN: Known = {
  scripts: ['test', 'demo'],
  files: ['tools/demo.mjs', 'packages/examples/src/manual.ts', 'test/unit/key.test.ts'],
  projects: ['unit'],
  dlocks: new Map([
    ['', 'Usage: dlocks\nOptions:\n  --json  as JSON'],
    ['show', 'Usage: dlocks show\nOptions:\n  -w, --watch  go on'],
  ]),
};

test.each([
  ['npm run nothing', 'npm run demo && npm test'],
  ['node tools/nothing.mjs', 'node tools/demo.mjs --fast'],
  ['MONGODB_URI=x node packages/examples/dist/nothing.js', 'MONGODB_URI=x node packages/examples/dist/manual.js'],
  ['npx vitest run --project nothing', 'FUZZ=1 npx vitest run --project unit key'],
  ['npx vitest run nothing.test', 'npx vitest run test/unit/key.test.ts'],
  ['dlocks nothing', 'dlocks show account 7 --watch --json'],
  ['dlocks show --unheard-of', '$ dlocks show -w   # a comment, npm run nothing'],
  ['npm test && npm run nothing', 'curl -s localhost | dlocks show a 1'],
])('of shell lines, %s is found where there is no such thing, and %s is not', (wrong, right) => {
  const problems = (line: string): string[] => unknownCommands(commandsOf([], blocksOf(fence('sh', line))), KNOWN);
  expect(problems(wrong)).toHaveLength(1);
  expect(problems(right)).toEqual([]);
});

test('commands in running text are looked at, too', () => {
  const page = readPage('README.md', 'Run `npm run nothing`, `npm test` or `lock()`.');
  expect(unknownCommands(commandsOf([page], []), KNOWN)).toEqual([
    'README.md:1 npm run nothing: there is no such script',
  ]);
});

test.each([
  ['json', '{ "a": 1, }', '{ "a": 1 }'],
  ['jsonc', '{ "a": }', '{ "a": 1, /* why */ }'],
  ['yaml', 'a: [1', 'a: [1]'],
])('%s that cannot be parsed is found', async (kind, wrong, right) => {
  expect(await dataProblems({ kind, code: wrong })).not.toEqual([]);
  expect(await dataProblems({ kind, code: right })).toEqual([]);
});

test('links to files and headings that are not there are found, with their line', () => {
  const page = readPage(
    'docs/page.md',
    '# One thing: `a` & b\n\n[ok](../README.md) [ok](#one-thing-a--b) [ok](other.md#there) [ok](../docs/)\n' +
      '[bad](nowhere.md)\n[bad](#nothing)\n![bad](picture.svg)\n[bad](other.md#gone)\n<img src="gone.svg">\n[bad](http://plain.example)\n',
  );
  const other = readPage('docs/other.md', '## There\n');
  const broken = brokenLinks([page, other], ['README.md', 'docs/page.md', 'docs/other.md']);
  expect(broken.map((each) => each.split(' ')[0])).toEqual([4, 5, 6, 7, 8, 9].map((line) => `docs/page.md:${line}`));
});
