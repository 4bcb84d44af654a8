/**
 * Other versions of Node, each as the `node` package of npm has it. They stay in npm's own cache. `compat.mjs` runs programs with them.
 */
import { run } from './command.mjs';

const FETCH_LIMIT_MS = 90_000;

/** The first version of each range that the packages ask for, and the newest of each major. */
export const NODE_VERSIONS = ['20.19.0', '20.20.2', '22.12.0', '22.23.3', '24.21.0', '26.10.0'];

/**
 * Where that version is, fetched now or earlier. Rejects with the reason where it cannot be had.
 * @param {string} version
 * @returns {Promise<string>} path of the program
 */
export async function nodeBinary(version) {
  if (process.version === `v${version}`) return process.execPath;
  const args = ['-y', `--package=node@${version}`, '--', 'node', '-p', 'process.execPath'];
  const { code, stdout, output } = await run('npx', args, { limitMS: FETCH_LIMIT_MS });
  const path = stdout.trim().split('\n').at(-1) ?? '';
  const said = code === 0 ? (await run(path, ['--version'])).stdout.trim() : '';
  if (said === `v${version}`) return path;
  throw new Error(`Node ${version} cannot be had: ${output.trim().split('\n').at(-1)}`);
}
