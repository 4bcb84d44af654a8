/**
 * The set-up that every command does for itself: dependencies as the lock file says, by the one pnpm that package.json names, and the compiled
 * packages. It needs nothing but Node and npm. The drivers call it first, before anything is installed: Node's own modules only.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, run } from './command.mjs';

const INSTALL_LIMIT_MS = 180_000;
const COMPILE_LIMIT_MS = 120_000;
const PACKAGES = ['packages/core', 'packages/cli', 'packages/nestjs', 'packages/examples'];

/**
 * Installs and compiles. Rejects with what the failing program printed.
 * @param {(line: string) => void} [say]
 */
export async function setUp(say = console.log) {
  const installed = await install();
  const compiled = await compile();
  say(`set-up: dependencies ${seconds(installed)}, build ${seconds(compiled)}`);
}

/** The version of pnpm, from the one place that holds it. */
export async function pnpmVersion() {
  const { packageManager } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
  const version = /^pnpm@(\d+\.\d+\.\d+)$/.exec(packageManager)?.[1];
  if (version === undefined) throw new Error('package.json: packageManager names no exact version of pnpm');
  return version;
}

async function install() {
  // Named by --package: inside another npx its package, inherited, would stand in the place of a bare name.
  const args = [
    '-y',
    `--package=pnpm@${await pnpmVersion()}`,
    '--',
    'pnpm',
    'install',
    '--frozen-lockfile',
    '--prefer-offline',
  ];
  // CI: where nobody can be asked, pnpm must not ask whether it may replace what is there.
  return demanded(
    await run('npx', args, { env: { CI: 'true' }, limitMS: INSTALL_LIMIT_MS }),
    'The dependencies could not be installed',
  );
}

async function compile() {
  const compiled = await run('tsc', ['-b', ...PACKAGES], { limitMS: COMPILE_LIMIT_MS });
  const bundled = await run(process.execPath, ['tools/page.mjs'], { limitMS: COMPILE_LIMIT_MS });
  return demanded(compiled, 'The build failed') + demanded(bundled, 'The live page could not be bundled');
}

/**
 * @param {import('./command.mjs').Ended} ended
 * @param {string} complaint
 */
function demanded(ended, complaint) {
  if (ended.code !== 0) throw new Error(`${complaint}:\n${ended.output.trim()}`);
  return ended.tookMS;
}

/** @param {number} milliseconds */
export function seconds(milliseconds) {
  return `${(milliseconds / 1_000).toFixed(1)} s`;
}
