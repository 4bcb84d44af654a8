/**
 * The programs of docs/frameworks.md, each as a process of its own on the shared server, which must end by itself, have locked, and leave nothing. The
 * tests of the docs compile all pages and run what can share a process; a program that forks itself, or starts itself as a thread, cannot.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judge } from '../../packages/docs-tools/src/blocks.mjs';
import { compile } from '../../packages/docs-tools/src/compile.mjs';
import { pagesOf } from '../../packages/docs-tools/src/markdown.mjs';
import { ROOT, run } from '../../tools/command.mjs';
import { TestDatabase } from '../support/database.js';
import { storedLeftovers } from '../support/leaks.js';

const [page] = await pagesOf(['docs/frameworks.md']);
if (page === undefined) throw new Error('The page is gone.');
const blocks = judge(page);
const database = new TestDatabase(import.meta.url);
let modules: Map<string, { module: string; errors: string[] }>;
let remove = async (): Promise<void> => {};

beforeAll(async () => {
  const done = await compile(blocks);
  remove = done.remove;
  modules = new Map(done.compiled.map(({ block, module, errors }) => [block.name, { module, errors }]));
  await database.observer.connect();
}, 60_000);

afterAll(async () => {
  await remove();
  await database.observer.close();
});

/** What the program printed, by lines, once it ended by itself. */
async function printed(module: string, uri: string): Promise<string[]> {
  const text = await readFile(module, 'utf8');
  await writeFile(module, text.replaceAll(/mongodb:\/\/[^'"`\s]*/g, uri));
  const { code, output } = await run(process.execPath, [module], { cwd: join(ROOT, 'packages'), limitMS: 15_000 });
  expect({ code, output }).toMatchObject({ code: 0 });
  return output.trim().split('\n');
}

describe('the page of frameworks', () => {
  it('has a program for each of its sections', () => {
    expect(blocks.filter(({ lang }) => lang === 'ts')).toHaveLength(5);
  });

  it.concurrent.each(blocks.map(({ name }, index) => [name, index] as const))(
    'has a program that runs, ends by itself and leaves nothing: %s',
    async (name, index) => {
      const { module, errors } = modules.get(name) ?? { module: '', errors: ['It was not compiled.'] };
      expect(errors).toEqual([]);
      const own = `${database.name}_${index}`;
      const lines = await printed(module, database.uri.replace(database.name, own));
      const db = database.observer.db(own);
      const tokens = lines.flatMap((line) => /token (\d+)/.exec(line)?.[1] ?? []);
      expect(new Set(tokens).size).toBe(tokens.length);
      expect(await db.collection('dlocks').countDocuments({ fence: { $exists: true } })).toBeGreaterThan(0);
      expect(await storedLeftovers(db)).toEqual([]);
      await db.dropDatabase();
    },
  );
});
