/**
 * The documentation. `npm run docs` builds the API reference, in which every warning is an error, and says where it is; `npm run fix:docs` writes the
 * tables that are made from the sources (`packages/docs-tools/src/tables.mjs`) into the pages. The code blocks and links are checked by the
 * project `docs` of the tests. `release.mjs` and the tests call the functions.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endTogether, ROOT, run } from './command.mjs';
import { setUp } from './workspace.mjs';

const REFERENCE_LIMIT_MS = 120_000;

/**
 * Builds the reference. Rejects with what typedoc says where it warns of anything.
 * @param {string} [destination] another folder than the usual one
 * @returns {Promise<string>} the folder it is in
 */
export async function buildReference(destination = join(ROOT, 'packages/docs-tools/dist/reference')) {
  const tools = join(ROOT, 'packages/docs-tools');
  const typedoc = join(tools, 'node_modules', 'typedoc', 'bin', 'typedoc');
  const entries = (await entryPoints()).flatMap((path) => ['--entryPoints', path]);
  const args = [typedoc, '--options', join(tools, 'typedoc.json'), '--out', destination, ...entries];
  const { code, output } = await run(process.execPath, args, { cwd: tools, limitMS: REFERENCE_LIMIT_MS });
  if (code !== 0) throw new Error(`The reference has warnings, which count as errors:\n${output.trim()}`);
  return destination;
}

/** The source behind each name that the core can be imported by: none can be forgotten here. */
async function entryPoints() {
  const core = join(ROOT, 'packages/core');
  const { exports } = JSON.parse(await readFile(join(core, 'package.json'), 'utf8'));
  const built = Object.values(exports).flatMap((target) => target.default ?? []);
  return built.map((path) => join(core, path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')));
}

/**
 * The pages whose tables are not what the sources give.
 * @param {{ fixes?: 'fix', root?: string }} [how]
 */
export async function staleTables({ fixes, root = ROOT } = {}) {
  // Installed by the set-up: not to be had before.
  const { readSources, stalePages } = await import('../packages/docs-tools/src/tables.mjs');
  const sources = await readSources(root);
  return stalePages(await pageNames(root), sources, { root, ...(fixes && { fixes }) });
}

/** @param {string} root */
async function pageNames(root) {
  const docs = await readdir(join(root, 'docs'), { recursive: true });
  const packages = await readdir(join(root, 'packages'));
  return [
    'README.md',
    ...docs.filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`),
    ...packages.map((name) => `packages/${name}/README.md`),
  ];
}

async function main() {
  await setUp();
  if (process.argv.includes('--fix')) {
    const fixed = await staleTables({ fixes: 'fix' });
    console.log(fixed.length === 0 ? 'every table is what the sources give' : `written: ${fixed.join(', ')}`);
    return;
  }
  console.log(`the reference is in ${join(await buildReference(), 'index.html')}`);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  endTogether(async () => {});
  await main().catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
