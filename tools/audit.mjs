/**
 * Known vulnerabilities, asked of the registry: of what a user of the package gets (the tarball in an empty project, with the driver), and of the
 * workspace with its tools. `npm run check:audit`. It ends with 1 where there is one, and with 2 where a registry does not answer the question:
 * that is not "clean", and whoever calls it must say so.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT, run } from './command.mjs';
import { pack } from './package.mjs';
import { pnpmVersion, setUp } from './workspace.mjs';

/** @typedef {{ what: string, found: 'none' | 'some' | 'not answered', detail: string }} Audit */

/**
 * What the two programs print as JSON, read: both count by severity under the same name; anything else is no answer.
 * @param {string} what
 * @param {string} stdout
 * @returns {Audit}
 */
function auditOf(what, stdout) {
  const counts = countsOf(stdout);
  if (counts === undefined)
    return { what, found: 'not answered', detail: stdout.trim().split('\n').join(' ').slice(0, 300) };
  const named = Object.entries(counts).filter(([severity, count]) => severity !== 'total' && count > 0);
  const detail = named.map(([severity, count]) => `${count} ${severity}`).join(', ');
  return { what, found: named.length === 0 ? 'none' : 'some', detail };
}

/**
 * @param {string} stdout
 * @returns {Record<string, number> | undefined}
 */
function countsOf(stdout) {
  try {
    return JSON.parse(stdout).metadata?.vulnerabilities;
  } catch {
    return undefined;
  }
}

/**
 * @param {string} what
 * @param {string} folder with its dependencies installed by npm
 * @param {Record<string, string>} [env] for a registry that is not the usual one
 */
export async function auditProject(what, folder, env = {}) {
  return auditOf(what, (await run('npm', ['audit', '--json'], { cwd: folder, env })).stdout);
}

/** The published package and the driver, as a user installs them. */
async function auditPackage() {
  const folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-audit-'));
  try {
    await writeFile(join(folder, 'package.json'), JSON.stringify({ name: 'consumer', private: true }));
    const installed = await run('npm', ['install', '--no-audit', await pack(folder), 'mongodb@7'], { cwd: folder });
    if (installed.code !== 0) throw new Error(`The package could not be installed:\n${installed.output}`);
    return await auditProject('the package with the driver', folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function auditWorkspace() {
  const pnpm = ['-y', `--package=pnpm@${await pnpmVersion()}`, '--', 'pnpm', 'audit', '--json'];
  return auditOf('the workspace with its tools', (await run('npx', pnpm, { cwd: ROOT })).stdout);
}

/** @param {Audit} audit */
function lineOf({ what, found, detail }) {
  if (found === 'none') return `ok     ${what}: no known vulnerability`;
  if (found === 'some') return `FAILED ${what}: ${detail}; see npm audit`;
  return `NOT TRIED ${what}: the registry did not answer: ${detail || 'nothing'}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await setUp();
  const audits = [await auditPackage(), await auditWorkspace()];
  for (const audit of audits) console.log(lineOf(audit));
  const worst = audits.map(({ found }) => found);
  process.exitCode = worst.includes('some') ? 1 : worst.includes('not answered') ? 2 : 0;
}
