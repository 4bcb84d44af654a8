/**
 * The package as its users get it: packed by pnpm, which turns the workspace's own reference into a version, looked at by publint, installed from its
 * tarball beside the core's and run by its name.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, run } from '../../tools/command.mjs';
import { pack } from '../../tools/package.mjs';
import { pnpmVersion } from '../../tools/workspace.mjs';
import { useDatabase } from '../support/database.js';

const database = useDatabase(import.meta.url);

let folder: string;
let tarball: string;

async function successful(program: string, args: string[], cwd: string): Promise<string> {
  const { code, output, stdout } = await run(program, args, { cwd, limitMS: 60_000 });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}:\n${output}`);
  return stdout;
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-cli-package-'));
  const pnpm = ['-y', `--package=pnpm@${await pnpmVersion()}`, '--', 'pnpm'];
  const packed = await successful(
    'npx',
    [...pnpm, 'pack', '--json', '--pack-destination', folder],
    join(ROOT, 'packages/cli'),
  );
  tarball = JSON.parse(packed).filename;
  await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
  const install = ['install', '--no-audit', '--no-fund', '--prefer-offline', await pack(folder), tarball];
  await successful('npm', install, folder);
}, 120_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

const installed = (name: string): Promise<string> =>
  readFile(join(folder, 'node_modules/mongo-distributed-locks-cli', name), 'utf8');

test('the package depends on the very version of the library that it was tried with, and is what publint calls right', async () => {
  const { dependencies, bin, version } = JSON.parse(await installed('package.json'));
  const core = JSON.parse(await readFile(join(ROOT, 'packages/core/package.json'), 'utf8'));
  expect(dependencies).toMatchObject({ 'mongo-distributed-locks': core.version });
  expect(version).toBe(core.version);
  expect(bin).toEqual({ dlocks: 'dist/main.js' });
  expect(await installed('README.md')).toContain('dlocks exec');
  expect(await installed('LICENSE')).toContain('MIT');
  expect(await successful('publint', ['run', '--strict', tarball], ROOT)).toContain('All good!');
});

test('it runs a command under a lock by its name', async () => {
  const dlocks = join(folder, 'node_modules/.bin/dlocks');
  const args = ['exec', '--uri', database.uri, 'packed', '1', '--', 'echo', 'ran'];
  expect(await successful(dlocks, args, folder)).toBe('ran\n');
});
