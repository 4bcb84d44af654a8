/**
 * What is done with each code block of the docs, by the words behind its fence:
 *
 * - `ts`, `js`: compiled, and run on a real replica set; `no-run: <reason>` compiles only. A block that `continues` has the code of the one before.
 * - `js mongosh`: run with a stand-in for the shell's `db`; `no-run: <reason>` only parses it.
 * - `sh`: the commands of this repository that it names exist. Indented code is taken for that.
 * - `json`, `jsonc`, `yaml`: parsed. `text`: output, pictures and formulas; nothing to check.
 * - anything else needs `no-check: <reason>`, and so does code that is not ours.
 *
 * A comment `<!-- prelude … -->` above a block (`page prelude`: above all that follow) and `<!-- afterwards … -->` below it hold code that the
 * reader does not see. `compile.mjs`, `run-blocks.mjs` and `commands.mjs` do the work; the tests of the docs call all of them.
 */

/** @typedef {'run' | 'compiled' | 'mongosh' | 'shell' | 'json' | 'jsonc' | 'yaml' | 'text' | 'unchecked'} Kind */
/** @typedef {import('./markdown.mjs').CodeBlock & { kind: Kind, reason: string, problem: string, whole: string, name: string }} Block */

/** @type {Record<string, Kind>} */
const LANGUAGES = {
  ts: 'run',
  js: 'run',
  sh: 'shell',
  json: 'json',
  jsonc: 'jsonc',
  yaml: 'yaml',
  text: 'text',
};
const SHORTEST_REASON = 8;

/** The pages whose blocks are checked. @param {string} name */
export const isDocsPage = (name) => /^(README\.md|[A-Z]+\.md|docs\/.*\.md|packages\/[^/]+\/README\.md)$/.test(name);

/**
 * All blocks of a page with what is to be done with each; `problem` says where that cannot be told.
 * @param {import('./markdown.mjs').Page} page
 * @returns {Block[]}
 */
export function judge(page) {
  let chain = '';
  return page.blocks.map((block) => {
    const whole = /\bcontinues\b/.test(block.info) ? `${chain}\n${block.prelude}` : block.prelude;
    const { kind, reason, problem = '' } = kindOf(block);
    if (kind === 'run' || kind === 'compiled') chain = `${whole}\n${block.code}`;
    return { ...block, kind, reason, problem, whole, name: `${page.name}:${block.line}` };
  });
}

/**
 * @param {import('./markdown.mjs').CodeBlock} block
 * @returns {{ kind: Kind, reason: string, problem?: string }}
 */
function kindOf({ lang, info, indented, code }) {
  const [, word, reason = ''] = /\b(no-run|no-check):?\s*(.*)$/.exec(info) ?? [];
  const known = indented ? 'shell' : LANGUAGES[lang];
  if (word !== undefined && reason.length < SHORTEST_REASON)
    return { kind: 'unchecked', reason, problem: `says ${word} without a reason` };
  if (indented && !isShell(code))
    return { kind: 'unchecked', reason, problem: 'is indented and no shell: fence it, as text' };
  if (word === 'no-check') return { kind: 'unchecked', reason };
  if (known === undefined)
    return { kind: 'unchecked', reason, problem: `is "${lang}": say what it is, or no-check: why` };
  if (known !== 'run') return { kind: known, reason };
  if (/\bmongosh\b/.test(info)) return { kind: 'mongosh', reason };
  return { kind: word === 'no-run' ? 'compiled' : 'run', reason };
}

/** Indented code has no words behind a fence. @param {string} code */
const isShell = (code) =>
  code
    .split('\n')
    .every((line) => /^(\s*$|\s*#|(\w+=\S+ )*(npm|npx|node|dlocks|git|docker|export|cd|curl) )/.test(line));

/**
 * The count, in one line.
 * @param {readonly Block[]} blocks
 */
export function countOf(blocks) {
  const of = (/** @type {Kind[]} */ ...kinds) => blocks.filter(({ kind }) => kinds.includes(kind)).length;
  const left = blocks.filter(({ kind, reason }) => kind === 'compiled' || kind === 'unchecked' || reason !== '');
  const unexplained = left.filter(({ reason }) => reason === '').length;
  return (
    `${blocks.length} code blocks: ${of('run', 'compiled')} compiled, ${of('run')} of them run; ${of('mongosh')} for mongosh; ` +
    `${of('shell')} shell, ${of('json', 'jsonc', 'yaml')} data; ${of('text')} text, ${of('unchecked')} not checked; ` +
    `of ${left.length} that are not run or not checked ${unexplained} without a reason`
  );
}
