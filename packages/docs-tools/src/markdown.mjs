/**
 * Markdown pages, taken apart: their code blocks with what is written around them, links, headings and inline code, each with its line. It judges
 * nothing: `blocks.mjs`, `links.mjs` and `commands.mjs` do. The tests of the docs and `tools/docs.mjs` call it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import GithubSlugger from 'github-slugger';
import { fromMarkdown } from 'mdast-util-from-markdown';
import { ROOT, run } from '../../../tools/command.mjs';

/**
 * @typedef {object} CodeBlock
 * @property {string} page
 * @property {number} line of its first line of code
 * @property {string} lang first word behind the fence; empty for a fence without, and for indented code
 * @property {string} info the words behind that
 * @property {string} code
 * @property {string} prelude code that the reader does not see, from a comment above it and from the page's own
 * @property {string} afterwards the same, from a comment below it
 * @property {boolean} indented
 */

/** @typedef {{ line: number, target: string }} Link */
/** @typedef {{ line: number, text: string }} InlineCode */

/**
 * @typedef {object} Page
 * @property {string} name path in the repository
 * @property {CodeBlock[]} blocks
 * @property {Link[]} links
 * @property {Set<string>} anchors
 * @property {InlineCode[]} inlineCode
 */

/** Files that are tracked, or about to be. @param {string} root */
export async function filesOf(root = ROOT) {
  const listed = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root });
  if (listed.code !== 0) throw new Error(`The list of tracked files is not to be had:\n${listed.output}`);
  return [...new Set(listed.stdout.trim().split('\n'))];
}

/**
 * Every markdown page of the repository. A file that was removed and not yet committed is listed, and not there.
 * @param {readonly string[]} files
 * @returns {Promise<Page[]>}
 */
export async function pagesOf(files) {
  const names = files.filter((name) => name.endsWith('.md')).sort();
  const pages = await Promise.all(
    names.map(async (name) => {
      const text = await readFile(join(ROOT, name), 'utf8').catch(() => undefined);
      return text === undefined ? [] : [readPage(name, text)];
    }),
  );
  return pages.flat();
}

/**
 * @param {string} name
 * @param {string} text
 * @returns {Page}
 */
export function readPage(name, text) {
  /** @type {Page} */
  const page = { name, blocks: [], links: [], anchors: new Set(), inlineCode: [] };
  const slugger = new GithubSlugger();
  const tree = fromMarkdown(text);
  let pagePrelude = '';
  for (const { node, before, after } of walk(tree)) {
    const line = node.position?.start.line ?? 0;
    if (node.type === 'html') {
      pagePrelude = commented(node, 'page prelude') ?? pagePrelude;
      readHtml(node.value, line, page);
    }
    if (node.type === 'code') page.blocks.push(blockOf(node, { page: name, pagePrelude, before, after, text }));
    if (node.type === 'heading') page.anchors.add(slugger.slug(textOf(node)));
    if (node.type === 'inlineCode') page.inlineCode.push({ line, text: node.value });
    if (node.type === 'link' || node.type === 'image' || node.type === 'definition')
      page.links.push({ line, target: node.url });
  }
  return page;
}

/**
 * @param {import('mdast').Code} node
 * @param {{ page: string, pagePrelude: string, before: Node | undefined, after: Node | undefined, text: string }} around
 * @returns {CodeBlock}
 */
function blockOf(node, { page, pagePrelude, before, after, text }) {
  const start = node.position?.start ?? { line: 0, offset: 0 };
  const indented = !/^(```|~~~)/.test(text.slice(start.offset));
  const prelude = [pagePrelude, commented(before, 'prelude') ?? ''].filter((each) => each !== '').join('\n');
  return {
    page,
    line: indented ? start.line : start.line + 1,
    lang: node.lang ?? '',
    info: node.meta ?? '',
    code: node.value,
    prelude,
    afterwards: commented(after, 'afterwards') ?? '',
    indented,
  };
}

/** @typedef {import('mdast').Nodes} Node */

/**
 * What a comment holds that begins with this word on its first line.
 * @param {Node | undefined} node
 * @param {string} word
 */
function commented(node, word) {
  if (node?.type !== 'html') return undefined;
  return new RegExp(`^<!-- ${word}\\n([\\s\\S]*?)\\n?-->`).exec(node.value)?.[1];
}

/**
 * Every node with its neighbours, in the order of the page.
 * @param {Node} node
 * @param {Node} [before]
 * @param {Node} [after]
 * @returns {Iterable<{ node: Node, before: Node | undefined, after: Node | undefined }>}
 */
function* walk(node, before, after) {
  yield { node, before, after };
  if (!('children' in node)) return;
  const { children } = node;
  for (const [index, child] of children.entries()) yield* walk(child, children[index - 1], children[index + 1]);
}

/**
 * Links and anchors that are written as HTML.
 * @param {string} html
 * @param {number} line
 * @param {Page} page
 */
function readHtml(html, line, page) {
  const shown = html.replace(/<!--[\s\S]*?-->/g, '');
  for (const [, target = ''] of shown.matchAll(/\b(?:href|src|srcset)="([^"]*)"/g)) page.links.push({ line, target });
  for (const [, id = ''] of shown.matchAll(/\b(?:id|name)="([^"]*)"/g)) page.anchors.add(id);
}

/** @param {Node} node @returns {string} */
function textOf(node) {
  if ('value' in node) return node.type === 'html' ? '' : node.value;
  return 'children' in node ? node.children.map(textOf).join('') : '';
}
