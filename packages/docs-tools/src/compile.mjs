/**
 * The TypeScript and JavaScript blocks of the docs, compiled as a strict user would compile them: each a module of its own, against the built
 * packages. What the compiler says is put in terms of the page. It runs nothing: `run-blocks.mjs` runs what it leaves in `out`.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../../tools/command.mjs';

const PACKAGE = fileURLToPath(new URL('..', import.meta.url));

const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2023', 'esnext.disposable', 'dom'],
  module: 'nodenext',
  moduleDetection: 'force',
  types: ['node'],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  allowJs: true,
  checkJs: true,
  skipLibCheck: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  rootDir: 'in',
  outDir: 'out',
};

/** @typedef {import('./blocks.mjs').Block} Block */
/** @typedef {{ block: Block, module: string, errors: string[] }} Compiled `module`: path of what may be run */

/**
 * Compiles these blocks. The folder is inside of this package, so that imports find what the docs speak of; `remove` takes it away.
 * @param {readonly Block[]} blocks
 * @returns {Promise<{ compiled: Compiled[], remove: () => Promise<void> }>}
 */
export async function compile(blocks) {
  const folder = join(PACKAGE, 'dist', `blocks-${process.pid}`);
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, 'in'), { recursive: true });
  const files = blocks.map((block, index) => fileOf(block, index));
  await Promise.all(files.map(({ name, text }) => writeFile(join(folder, 'in', name), text)));
  const config = { compilerOptions: COMPILER_OPTIONS, include: ['in'] };
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config));
  const { code, output } = await run('tsc', ['-p', folder, '--pretty', 'false'], { cwd: folder });
  const compiled = files.map(({ block, name, before, outName }) => ({
    block,
    module: join(folder, 'out', outName),
    errors: errorsOf({ output, name, block, before }),
  }));
  if (code !== 0 && compiled.every(({ errors }) => errors.length === 0)) throw new Error(`tsc failed:\n${output}`);
  return { compiled, remove: () => rm(folder, { recursive: true, force: true }) };
}

/**
 * @param {Block} block
 * @param {number} index
 */
function fileOf(block, index) {
  const ending = /\brequire\(/.test(block.code) ? 'c' : 'm';
  const page = block.page.replace(/\W+/g, '-');
  const stem = `${String(index).padStart(3, '0')}-${page}-${block.line}`;
  const before = block.whole === '' ? 0 : block.whole.split('\n').length;
  const code = [...(block.whole === '' ? [] : [block.whole]), block.code, block.afterwards].join('\n');
  return { block, name: `${stem}.${ending}${block.lang}`, outName: `${stem}.${ending}js`, before, text: `${code}\n` };
}

/**
 * @param {{ output: string, name: string, block: Block, before: number }} of
 * @returns {string[]}
 */
function errorsOf({ output, name, block, before }) {
  return output.split('\n').flatMap((line) => {
    const [, file, at, message] = /([^/\\]+)\((\d+),\d+\): error (.*)$/.exec(line) ?? [];
    if (file !== name) return [];
    const within = Number(at) - before - 1;
    const where = within < 0 ? `${block.name} (its prelude)` : `${block.page}:${block.line + within}`;
    return [`${where} ${message}`];
  });
}
