/** Links of all pages: what they lead to is there, headings too. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { brokenLinks } from '../../packages/docs-tools/src/links.mjs';
import { filesOf, pagesOf, readPage } from '../../packages/docs-tools/src/markdown.mjs';
import { ROOT } from '../../tools/command.mjs';
import { publishedReadme } from '../../tools/package.mjs';

test('every link inside the repository leads to a file and a heading that exist', async () => {
  const files = await filesOf();
  const pages = await pagesOf(files);
  expect(pages.flatMap(({ links }) => links).length).toBeGreaterThan(20);
  expect(brokenLinks(pages, files)).toEqual([]);
});

test('the README of the tarball has no link that needs the repository beside it, and nothing that only the tests read', async () => {
  const text = await readFile(join(ROOT, 'README.md'), 'utf8');
  const published = publishedReadme(text, '4.0.0');
  expect(published).not.toContain('<!--');
  const targets = readPage('README.md', published).links.map(({ target }) => target);
  expect(targets).toHaveLength(readPage('README.md', text).links.length);
  expect(targets.filter((target) => !target.startsWith('https://'))).toEqual([]);
  const files = await filesOf();
  const own = targets.flatMap((target) => /\/v4\.0\.0\/([^#?]*)/.exec(target)?.[1] ?? []);
  expect(own.length).toBeGreaterThan(10);
  expect(own.filter((path) => !files.includes(path))).toEqual([]);
});
