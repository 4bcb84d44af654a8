/**
 * The tarball as it is published: the core compiled from nothing, with the workspace's README and LICENSE. It works in a folder of its own, so
 * that the checkout stays as it is. `npm run package` writes the tarball to the workspace's folder; the package tests pack into their own.
 */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT, run } from './command.mjs';

const REPOSITORY = 'Zurili/mongo-distributed-locks';

/**
 * @param {string} destination an existing folder
 * @returns {Promise<string>} path of the tarball
 */
export async function pack(destination) {
  const stage = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-package-'));
  try {
    const core = await staged(stage);
    await demanded('tsc', ['-p', core], core);
    const listed = await demanded(
      'npm',
      ['pack', '--json', '--ignore-scripts', '--pack-destination', destination],
      core,
    );
    return join(destination, JSON.parse(listed)[0].filename);
  } finally {
    await rm(stage, { recursive: true, force: true });
  }
}

/** @param {string} stage */
async function staged(stage) {
  const core = join(stage, 'packages', 'core');
  await mkdir(core, { recursive: true });
  await cp(join(ROOT, 'tsconfig.base.json'), join(stage, 'tsconfig.base.json'));
  for (const name of ['package.json', 'tsconfig.json', 'src']) {
    await cp(join(ROOT, 'packages/core', name), join(core, name), { recursive: true });
  }
  await cp(join(ROOT, 'LICENSE'), join(core, 'LICENSE'));
  const { version } = JSON.parse(await readFile(join(core, 'package.json'), 'utf8'));
  await writeFile(join(core, 'README.md'), publishedReadme(await readFile(join(ROOT, 'README.md'), 'utf8'), version));
  await symlink(join(ROOT, 'packages/core/node_modules'), join(core, 'node_modules'));
  return core;
}

/**
 * The README as it is shown where the other pages are not: links lead to those of the version's tag, and what only the tests of the docs read is left out.
 * @param {string} text
 * @param {string} version
 */
export function publishedReadme(text, version) {
  return text
    .replace(/<!--[\s\S]*?-->\n\n?/g, '')
    .replace(/(!\[[^\]]*\]\()(?![a-z]+:|#)/g, `$1https://raw.githubusercontent.com/${REPOSITORY}/v${version}/`)
    .replace(/(\.svg)\)/g, '$1?sanitize=true)')
    .replace(/(\]\()(?![a-z]+:|#)/g, `$1https://github.com/${REPOSITORY}/blob/v${version}/`);
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {string} cwd
 */
async function demanded(program, args, cwd) {
  const { code, output, stdout } = await run(program, args, { cwd });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed:\n${output}`);
  return stdout;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(await pack(ROOT));
