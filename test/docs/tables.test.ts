/** What the docs take from the sources: tables, the reference of the API, the privileges of the database user. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseSource } from '../../packages/docs-tools/src/source.mjs';
import { disagreements, readSources, withTables } from '../../packages/docs-tools/src/tables.mjs';
import { ROOT } from '../../tools/command.mjs';
import { buildReference, staleTables } from '../../tools/docs.mjs';

const page = (name: string): Promise<string> => readFile(join(ROOT, name), 'utf8');

test('the tables of options, errors and events are what the sources give (else: npm run fix:docs)', async () => {
  const reference = await page('docs/reference.md');
  for (const name of ['sources', 'options', 'errors', 'events']) expect(reference).toContain(`<!-- table: ${name} -->`);
  expect(await staleTables()).toEqual([]);
});

test('every error, option and event of the sources has a row', async () => {
  const sources = await readSources();
  const text = await page('docs/reference.md');
  const rows = (name: string): string[] => sources.options.declared.get(name)?.members.map((each) => each.name) ?? [];
  const events = sources.events.declared.get('LockEvents')?.members.map((each) => each.name) ?? [];
  const codes = (await page('packages/core/src/errors.ts')).match(/^ {2}\| '\w+'/gm)?.map((line) => line.slice(5, -1));
  const names = [...rows('LockSettings'), ...events, ...(codes ?? [])];
  expect(names.length).toBeGreaterThan(30);
  expect(names.filter((name) => !text.includes(`\n| \`${name}\` |`))).toEqual([]);
});

test('the numbers in the doc comments of the options are those of their table', async () => {
  expect(disagreements(await readSources())).toEqual([]);
});

test('another number in a doc comment, another text in an error are seen', async () => {
  const sources = await readSources();
  const text = await page('packages/core/src/options.ts');
  const longer = parseSource('options.ts', text.replace('default\n   * 30,000', 'default\n   * 40,000'));
  expect(disagreements({ ...sources, options: longer })).toEqual([
    'leaseDurationMS: its doc comment has 40,000 for the default',
  ]);
  const reference = await page('docs/reference.md');
  const errors = parseSource(
    'errors.ts',
    (await page('packages/core/src/errors.ts')).replace('What to do: call', 'What to do: phone'),
  );
  expect(withTables(reference, { ...sources, errors })).not.toBe(reference);
});

test('the role in docs/operations.md has the privileges that the library asks for, and no others', async () => {
  const { ACTIONS } = Object.fromEntries(
    parseSource('indexes.ts', await page('packages/core/src/mongo/indexes.ts')).constants,
  );
  const [, actions = ''] = /actions: (\[.*?\])/.exec(await page('docs/operations.md')) ?? [];
  expect(JSON.parse(actions.replaceAll("'", '"'))).toEqual(ACTIONS);
});

test('every event in the table of what to watch exists', async () => {
  const [, watched = ''] = (await page('docs/operations.md')).split('## What to watch\n');
  const names = [...(watched.split('\n## ')[0] ?? '').matchAll(/^\| `([\w:]+)`/gm)].map(([, name]) => name);
  const events = (await readSources()).events.declared.get('LockEvents')?.members.map((each) => each.name) ?? [];
  expect(names.length).toBeGreaterThan(3);
  expect(names.filter((name) => !events.includes(name ?? ''))).toEqual([]);
});

test('the reference of the API is built without a warning: no type that is not exported, no broken link, nothing undocumented', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-reference-'));
  try {
    const reference = await buildReference(folder);
    const page = await readFile(join(reference, 'classes/index.LockClient.html'), 'utf8');
    expect(page).toContain('forceRelease');
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}, 60_000);
