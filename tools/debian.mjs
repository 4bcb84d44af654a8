/**
 * Programs and libraries that come from Debian: installed where that is possible (root, apt-get), else one line that says what to do. The drivers of
 * the model and of the fault suite call it.
 */
import { run } from './command.mjs';

const INSTALL_LIMIT_MS = 240_000;

/**
 * @param {string[]} packages
 * @returns {Promise<void>} rejects with what to do where they could not be installed
 */
export async function installPackages(packages) {
  const names = packages.join(' ');
  const advice = `as root: apt-get install -y ${names}`;
  if (process.getuid?.() !== 0) throw new Error(`Not installed: ${names}; ${advice}`);
  console.log(`set-up: apt-get install ${names}`);
  const options = { limitMS: INSTALL_LIMIT_MS, env: { DEBIAN_FRONTEND: 'noninteractive' } };
  await run('apt-get', ['update'], options);
  const { code, output } = await run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], options);
  if (code !== 0) throw new Error(`${names} could not be installed (${advice}):\n${output.trim()}`);
}
