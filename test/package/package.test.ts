/**
 * The tarball as its users get it: packed from the sources, looked at by the two checkers, installed into empty projects (one for each major
 * of the driver) and used there from ES modules, CommonJS and both kinds of TypeScript, on the shared server. Nothing here sees the workspace's
 * sources: only what was packed.
 */
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ROOT, run } from '../../tools/command.mjs';
import { pack } from '../../tools/package.mjs';
import { databaseName, sharedUri } from '../support/mongod.js';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** The drivers that the peer range begins and ends with, and what else shares the project with them. */
const PROJECTS = [
  { driver: '7.9.0', others: [] },
  // The optional peer is in one of them only.
  { driver: '6.20.0', others: ['mongoose@8.24.10', '@opentelemetry/api@1.9.0'] },
];
const COMPILERS = ['typescript-5.9', 'typescript'];

let folder: string;
let tarball: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-consumers-'));
  tarball = await pack(folder);
  await Promise.all(PROJECTS.map(install));
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const consumer = (driver: string): string => join(folder, `driver-${driver}`);
const installed = (): string => join(consumer('7.9.0'), 'node_modules/mongo-distributed-locks');

async function install({ driver, others }: (typeof PROJECTS)[number]): Promise<void> {
  const project = consumer(driver);
  await mkdir(project);
  await writeFile(join(project, 'package.json'), JSON.stringify({ name: 'consumer', private: true, type: 'module' }));
  await cp(here('fixtures'), project, { recursive: true });
  await cp(here('../types'), join(project, 'types'), { recursive: true });
  const packages = [tarball, `mongodb@${driver}`, '@types/node@20', ...others];
  await successful('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', ...packages], { cwd: project });
}

/** What a program printed as its answer, once it ended well; else it fails the test with what it printed. */
async function successful(program: string, args: string[], options: Parameters<typeof run>[2]): Promise<string> {
  const { code, output, stdout } = await run(program, args, { limitMS: 60_000, ...options });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output}`);
  return stdout;
}

/** A program of a consumer, on the shared server. It ends by itself, or the limit fails the test. */
function used(driver: string, program: string): Promise<string> {
  const env = { MONGODB_URI: sharedUri(), DATABASE: databaseName(import.meta.url) };
  return successful(process.execPath, [program], { cwd: consumer(driver), env, limitMS: 15_000 });
}

describe('the tarball', () => {
  test('carries the compiled code, its sources, README and LICENSE, and nothing else', async () => {
    const files = await readdir(installed());
    expect(files.sort()).toEqual(['LICENSE', 'README.md', 'dist', 'package.json', 'src']);
    const compiled = await readdir(join(installed(), 'dist'), { recursive: true });
    expect(compiled.filter((name) => !/(^|\/)[a-z-]+(\.d\.ts|\.js)?(\.map)?$/.test(name))).toEqual([]);
    expect(compiled).toEqual(expect.arrayContaining(['index.js', 'index.d.ts']));
  });

  test('says the same of itself as the workspace, and brings two packages', async () => {
    const { scripts, dependencies, peerDependencies, peerDependenciesMeta, engines, license } = JSON.parse(
      await readFile(join(installed(), 'package.json'), 'utf8'),
    );
    expect(scripts).toBeUndefined();
    expect(Object.keys(dependencies).sort()).toEqual(['eventemitter3', 'nanoid']);
    expect(peerDependencies).toEqual({ '@opentelemetry/api': '^1.9.0', mongodb: '^6.20.0 || ^7.0.0' });
    expect(peerDependenciesMeta).toEqual({ '@opentelemetry/api': { optional: true } });
    expect(engines).toEqual({ node: '^20.19.0 || >=22.12.0' });
    expect(license).toBe('MIT');
  });

  test('is the same to the byte from the same sources, so that whoever packs it again can compare', async () => {
    const again = await mkdtemp(join(folder, 'again-'));
    const [first, second] = await Promise.all([tarball, await pack(again)].map((path) => readFile(path)));
    expect(second?.equals(first ?? Buffer.alloc(0))).toBe(true);
  });

  test('says where its sources are, and is published with provenance only', async () => {
    const { repository, publishConfig } = JSON.parse(await readFile(join(installed(), 'package.json'), 'utf8'));
    expect(repository).toMatchObject({ type: 'git', directory: 'packages/core' });
    expect(publishConfig).toEqual({ access: 'public', provenance: true });
  });

  test('shows its sources by its source maps, and no path of the machine that packed it', async () => {
    const names = await readdir(join(installed(), 'dist'), { recursive: true });
    for (const name of names.filter((each) => each.endsWith('.map'))) {
      const { sources } = JSON.parse(await readFile(join(installed(), 'dist', name), 'utf8'));
      const target = join(installed(), 'dist', name, '..', sources[0]);
      expect(target.startsWith(join(installed(), 'src'))).toBe(true);
      expect(await readFile(target, 'utf8')).not.toContain(ROOT);
    }
  });

  test('is what publint calls right', async () => {
    expect(await successful('publint', ['run', '--strict', tarball], {})).toContain('All good!');
  });

  test('has types for every way to import it, as attw sees it', async () => {
    // Its model of Node is older than require() of ES modules, which the CommonJS projects below use for real.
    // Subpaths are what `exports` says: the way of before Node 12 does not know them, and no Node of ours goes it.
    const args = [tarball, '--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm'];
    const output = await successful('attw', args, {});
    expect(output).toContain('mongo-distributed-locks v4.0.0');
  });
});

describe.each(PROJECTS)('in a project with driver $driver', ({ driver }) => {
  test('it brings no second driver', async () => {
    const listed = JSON.parse(await successful('npm', ['ls', 'mongodb', '--json', '--all'], { cwd: consumer(driver) }));
    const { version, dependencies } = listed.dependencies['mongo-distributed-locks'];
    expect(version).toBe('4.0.0');
    expect(dependencies.mongodb.version).toBe(driver);
  });

  test('an ES module takes and releases locks', async () => {
    expect(await used(driver, 'esm.mjs')).toContain('esm: done');
  });

  test('CommonJS gets the class by require, its statics, and a process that ends by itself', async () => {
    expect(await used(driver, 'cjs.cjs')).toContain('cjs: done');
  });

  test.each(COMPILERS)(
    'TypeScript compiles it strictly, with its libraries checked, and runs (%s)',
    async (compiler) => {
      const tsc = join(ROOT, 'node_modules', compiler, 'bin/tsc');
      const output = `compiled-${compiler}`;
      await successful(process.execPath, [tsc, '-p', '.', '--outDir', output], { cwd: consumer(driver) });
      expect(await used(driver, `${output}/use.js`)).toContain('ts: done');
      expect(await used(driver, `${output}/use.cjs`)).toContain('cts: done');
    },
    60_000,
  );
});

describe('the optional peer', () => {
  test('is missed by its own subpath alone where it is not installed', async () => {
    expect(await used('7.9.0', 'without-peer.mjs')).toContain('without peer: done');
  });

  test.each(COMPILERS)(
    'is used where it is installed, from TypeScript (%s)',
    async (compiler) => {
      const tsc = join(ROOT, 'node_modules', compiler, 'bin/tsc');
      const output = `compiled-peer-${compiler}`;
      const args = [tsc, '-p', 'tsconfig.peer.json', '--outDir', output];
      await successful(process.execPath, args, { cwd: consumer('6.20.0') });
      expect(await used('6.20.0', `${output}/with-peer.js`)).toContain('with peer: done');
    },
    60_000,
  );
});
