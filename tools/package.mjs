/**
 * The tarball as it is published: the core compiled from nothing, with the workspace's README and LICENSE. It works in a folder of its own, so
 * that the checkout stays as it is. `npm run package` writes the tarball to the workspace's folder; the package tests pack into their own.
 */
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT, run } from './command.mjs';

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
  for (const name of ['README.md', 'LICENSE']) await cp(join(ROOT, name), join(core, name));
  await symlink(join(ROOT, 'packages/core/node_modules'), join(core, 'node_modules'));
  return core;
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
