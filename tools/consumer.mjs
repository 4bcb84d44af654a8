/**
 * A project as a user of the packages has it: `node_modules` with the core as it is packed or built, and, as links, what is installed in the workspace
 * already. No registry is asked. The compatibility matrix and the tests of the documents' programs make such projects.
 */
import { cp, mkdir, readFile, realpath, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ROOT, run } from './command.mjs';

const COMPILE_LIMIT_MS = 60_000;

/** What a TypeScript program of the project is compiled with; decorators as Nest has them. */
const COMPILER_OPTIONS = {
  target: 'es2022',
  lib: ['es2023', 'esnext.disposable'],
  module: 'nodenext',
  types: ['node'],
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  skipLibCheck: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
};

/**
 * Makes the project in an empty folder.
 * @param {string} folder
 * @param {object} parts
 * @param {string} [parts.tarball] the core as it is published; as it was built last where there is none
 * @param {Record<string, string>} parts.links name of a package → where it is in the workspace, such as `packages/compat-driver6/node_modules/mongodb`
 */
export async function makeConsumer(folder, { tarball, links }) {
  const modules = join(folder, 'node_modules');
  await mkdir(modules, { recursive: true });
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER_OPTIONS }));
  if (tarball === undefined) await copyBuilt('core', join(modules, 'mongo-distributed-locks'));
  else await unpack(tarball, join(modules, 'mongo-distributed-locks'));
  await copyBuilt('nestjs', join(modules, 'mongo-distributed-locks-nestjs'));
  const core = 'packages/core/node_modules';
  const all = {
    '@types/node': 'node_modules/@types/node',
    eventemitter3: `${core}/eventemitter3`,
    nanoid: `${core}/nanoid`,
    ...links,
  };
  for (const [name, place] of Object.entries(all)) await link(join(ROOT, place), join(modules, name));
}

/**
 * Compiles the project's TypeScript beside its sources; rejects with what the compiler says.
 * @param {string} folder
 */
export async function compileConsumer(folder) {
  const { code, output } = await run('tsc', ['-p', folder], { cwd: folder, limitMS: COMPILE_LIMIT_MS });
  if (code !== 0) throw new Error(`It does not compile:\n${output.trim()}`);
}

/**
 * The exact version of what a project imports by that name; with `of`, of what that package imports by it.
 * @param {string} folder
 * @param {string} name
 * @param {string} [of]
 */
export async function installedVersion(folder, name, of) {
  const place = join(folder, 'node_modules');
  const beside = of === undefined ? place : dirname(await realpath(join(place, of)));
  return JSON.parse(await readFile(join(beside, name, 'package.json'), 'utf8')).version;
}

/**
 * A copy and no link: it is to find the project's packages, not the workspace's.
 * @param {string} name
 * @param {string} place
 */
async function copyBuilt(name, place) {
  for (const part of ['package.json', 'dist'])
    await cp(join(ROOT, 'packages', name, part), join(place, part), { recursive: true });
}

/**
 * @param {string} tarball
 * @param {string} place
 */
async function unpack(tarball, place) {
  await mkdir(place, { recursive: true });
  const { code, output } = await run('tar', ['-xzf', tarball, '-C', place, '--strip-components=1']);
  if (code !== 0) throw new Error(`The tarball cannot be unpacked:\n${output.trim()}`);
}

/**
 * @param {string} target
 * @param {string} place
 */
async function link(target, place) {
  await mkdir(dirname(place), { recursive: true });
  // The real place: the package then finds what it needs beside itself, as the package manager put it.
  await symlink(await realpath(target), place);
}
