/**
 * Which commit `npm run verify` passed for, kept in a file that is not tracked. Verify writes it, the release asks for it: what was tried is this
 * very commit, with nothing changed beside it.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, run } from './command.mjs';

const FILE = 'dist/verified.json';

/**
 * @param {string} [root]
 * @returns {Promise<{ commit: string, changed: string }>} what is checked out, and what git says is changed beside it
 */
export async function checkedOut(root = ROOT) {
  const head = await run('git', ['rev-parse', 'HEAD'], { cwd: root });
  const status = await run('git', ['status', '--porcelain'], { cwd: root });
  if (head.code !== 0 || status.code !== 0) throw new Error(`This is no checkout:\n${head.output}${status.output}`);
  return { commit: head.stdout.trim(), changed: status.stdout.trimEnd() };
}

/**
 * Keeps that everything passed for what is checked out, if it was the same before, and nothing is changed.
 * @param {{ commit: string, changed: string }} before
 * @param {string} [root]
 * @returns {Promise<string>} what was kept, or why not
 */
export async function recordVerified(before, root = ROOT) {
  const after = await checkedOut(root);
  if (before.changed !== '' || after.changed !== '' || before.commit !== after.commit)
    return 'not recorded for a release: the checkout is not a commit alone, or changed meanwhile';
  await mkdir(join(root, 'dist'), { recursive: true });
  await writeFile(join(root, FILE), `${JSON.stringify({ commit: after.commit })}\n`);
  return `recorded for a release of ${after.commit}`;
}

/**
 * @param {string} root
 * @returns {Promise<string | undefined>} the commit, where there is one
 */
export async function verifiedCommit(root) {
  const text = await readFile(join(root, FILE), 'utf8').catch(() => '{}');
  return JSON.parse(text).commit;
}
