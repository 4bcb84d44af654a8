/**
 * What the benchmarks compare with: npm packages, installed into a folder of the user's cache as `bench/peers/package-lock.json` says, and servers
 * from Debian. They are no part of the workspace. What cannot be had is said in a line, and the suite leaves it out. `bench.mjs` calls it.
 */
import { createHash } from 'node:crypto';
import { access, copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { cacheFolder } from './cache.mjs';
import { ROOT, run } from './command.mjs';
import { installPackages } from './debian.mjs';

const SOURCE = join(ROOT, 'bench', 'peers');
const FILES = ['package.json', 'package-lock.json', '.npmrc'];
const INSTALL_LIMIT_MS = 180_000;

/** A program that its server needs, and the package that brings it. */
const SERVERS = [
  { program: 'redis-server', packages: ['redis-server'] },
  { program: 'etcd', packages: ['etcd-server'] },
  { program: '/usr/lib/postgresql', packages: ['postgresql'] },
  { program: '/usr/share/java/zookeeper.jar', packages: ['zookeeper', 'default-jre-headless'] },
];

/**
 * The folder with the packages, installed now or earlier; undefined, with a line, where they cannot be had.
 * @param {(line: string) => void} [say]
 */
export async function peerPackages(say = console.log) {
  const lock = await readFile(join(SOURCE, 'package-lock.json'), 'utf8');
  const folder = join(cacheFolder(), `peers-${createHash('sha256').update(lock).digest('hex').slice(0, 12)}`);
  if (await exists(join(folder, 'complete'))) return folder;
  const staged = `${folder}.staged-${process.pid}`;
  await mkdir(staged, { recursive: true });
  for (const file of FILES) await copyFile(join(SOURCE, file), join(staged, file));
  const { code, output } = await run('npm', ['ci', '--ignore-scripts'], { cwd: staged, limitMS: INSTALL_LIMIT_MS });
  if (code !== 0) {
    say(`peers: the npm packages cannot be had: ${output.trim().split('\n').at(-1)}`);
    await rm(staged, { recursive: true, force: true });
    return undefined;
  }
  await writeFile(join(staged, 'complete'), '');
  // Another run may have come first: its copy is as good.
  await rename(staged, folder).catch(() => rm(staged, { recursive: true, force: true }));
  return folder;
}

/**
 * Installs the servers that are missing, where that is possible.
 * @param {(line: string) => void} [say]
 */
export async function peerServers(say = console.log) {
  for (const { program, packages } of SERVERS) {
    if (await isThere(program)) continue;
    await installPackages(packages).catch((error) => say(`peers: ${error.message.split('\n')[0]}`));
  }
}

/** @param {string} program a path, or a name to be found on the PATH */
async function isThere(program) {
  if (program.startsWith('/'))
    return (await exists(program)) && (await readdir(program).catch(() => ['file'])).length > 0;
  const folders = (process.env.PATH ?? '').split(delimiter);
  for (const folder of folders) if (await exists(join(folder, program))) return true;
  return false;
}

/** @param {string} path */
function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  );
}
