/**
 * The guarantees: each number in the docs has its sentence in the README, and tests whose titles carry it.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ROOT } from '../../tools/command.mjs';

const IDS = Array.from({ length: 11 }, (_, index) => `INV-${String(index + 1).padStart(2, '0')}`);

/** The titles of all tests, with those around them. */
async function titles(): Promise<string> {
  const names = (await readdir(join(ROOT, 'test'), { recursive: true })).filter((name) => name.endsWith('.test.ts'));
  const texts = await Promise.all(names.map((name) => readFile(join(ROOT, 'test', name), 'utf8')));
  const calls = texts.join('\n').match(/\b(describe|it|test)(\.each\([^\n]*\))?\(\s*(['"`])(?:(?!\3).)*\3/gs) ?? [];
  return calls.join('\n');
}

test('each guarantee is in its docs page and has a test that carries its number', async () => {
  const page = await readFile(join(ROOT, 'docs/guarantees.md'), 'utf8');
  expect(IDS.filter((id) => !page.includes(`| ${id} |`))).toEqual([]);
  expect([...new Set(page.match(/INV-\d+/g))].filter((id) => !IDS.includes(id))).toEqual([]);
  const all = await titles();
  expect(IDS.filter((id) => !all.includes(id))).toEqual([]);
});
