/**
 * The live page's files, bundled from their sources and the libraries they use into the compiled command line package: nothing is fetched from
 * anywhere when the page is open. Part of the build; `workspace.mjs` runs it after the compiler, and `npm run compile` by itself.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build } from 'esbuild';
import { ROOT } from './command.mjs';

const PACKAGE = join(ROOT, 'packages', 'cli');
const SOURCES = join(PACKAGE, 'src', 'ui', 'page');
const FOLDER = join(PACKAGE, 'dist', 'ui', 'assets');
/** What becomes part of the bundle; their licences go with it. */
const LIBRARIES = ['preact', 'uplot'];

async function bundle() {
  await mkdir(FOLDER, { recursive: true });
  const { resolve } = createRequire(join(PACKAGE, 'package.json'));
  const common = {
    bundle: true,
    minify: true,
    target: ['es2022', 'safari16'],
    tsconfig: join(SOURCES, 'tsconfig.json'),
    logLevel: /** @type {const} */ ('warning'),
  };
  await build({ ...common, entryPoints: { page: join(SOURCES, 'main.tsx') }, outdir: FOLDER, format: 'esm' });
  const styles = `@import ${JSON.stringify(join(dirname(resolve('uplot')), 'uPlot.min.css'))};\n@import './page.css';\n`;
  await build({
    ...common,
    stdin: { contents: styles, resolveDir: SOURCES, loader: 'css', sourcefile: 'styles.css' },
    outfile: join(FOLDER, 'page.css'),
  });
  for (const file of ['index.html', 'icon.svg']) await copyFile(join(SOURCES, file), join(FOLDER, file));
  await writeFile(join(FOLDER, 'licences.txt'), (await Promise.all(LIBRARIES.map(licenceOf))).join('\n\n'));
}

/** @param {string} library */
async function licenceOf(library) {
  const folder = join(PACKAGE, 'node_modules', library);
  const { version } = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'));
  return `${library} ${version}\n\n${await readFile(join(folder, 'LICENSE'), 'utf8')}`;
}

await bundle();
