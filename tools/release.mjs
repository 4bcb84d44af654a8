/**
 * `npm run release -- <version>`: every step of a release as one command, which refuses where anything is stale, changed or not tried. It tags the
 * commit and leaves the tarballs in `dist/release`; `--dry-run` does all but the tag, `--publish` publishes as well, and nothing else does. The
 * short checks come first and are told together; only what passed them is tested. Each check resolves to its complaints, and can be called alone.
 */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { endTogether, ROOT, run } from './command.mjs';
import { buildReference, staleTables } from './docs.mjs';
import { pack } from './package.mjs';
import { checkedOut, verifiedCommit } from './verified.mjs';
import { pnpmVersion, setUp } from './workspace.mjs';

const TEST_LIMIT_MS = 20 * 60_000;
const AUDIT_LIMIT_MS = 5 * 60_000;
const NOT_ANSWERED = 2;

/** @typedef {{ root: string, version: string }} Release */
/** @typedef {(release: Release) => Promise<string[]>} Check */

/** @type {Check} */
export async function checkoutIsClean({ root }) {
  const { changed } = await checkedOut(root);
  return changed === '' ? [] : [`There are changes that are not committed:\n${changed}`];
}

/** @type {Check} */
export async function branchIsMain({ root }) {
  const branch = (await run('git', ['branch', '--show-current'], { cwd: root })).stdout.trim();
  return branch === 'main' ? [] : [`Releases are made of main; this is ${branch || 'no branch'}.`];
}

/** @type {Check} */
export async function tagIsFree({ root, version }) {
  const tags = (await run('git', ['tag', '--list', `v${version}`], { cwd: root })).stdout.trim();
  return tags === '' ? [] : [`The tag v${version} exists already.`];
}

/** @type {Check} */
export async function changelogHasIt({ root, version }) {
  const text = await readFile(join(root, 'CHANGELOG.md'), 'utf8');
  const sections = text.split(/^## /m).slice(1);
  const dated = sections.find((section) => section.startsWith(`[${version}]`));
  const waiting = sections.find((section) => section.startsWith('[Unreleased]'));
  const problems = [];
  if (dated === undefined) problems.push(`CHANGELOG.md has no section "## [${version}]".`);
  else if (!/^\[[^\]]+\] - \d{4}-\d{2}-\d{2}\n/.test(dated)) problems.push(`CHANGELOG.md: ${version} has no date.`);
  else if (!/^- /m.test(dated)) problems.push(`CHANGELOG.md: the section of ${version} says nothing.`);
  if (waiting !== undefined && /^- /m.test(waiting)) problems.push('CHANGELOG.md: something stands under Unreleased.');
  return problems;
}

/** @type {Check} */
export async function versionsAgree({ root, version }) {
  const problems = [];
  if (!/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) problems.push(`"${version}" is no version.`);
  for (const { folder, manifest } of await publicPackages(root)) {
    if (manifest.version !== version) problems.push(`${folder} has version ${manifest.version}, not ${version}.`);
  }
  const { packageManager } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  if (!/^pnpm@\d+\.\d+\.\d+$/.test(packageManager)) problems.push(`packageManager names no exact version.`);
  const named = await run('git', ['grep', '-ohE', 'pnpm@[0-9]+\\.[0-9]+\\.[0-9]+'], { cwd: root });
  const others = new Set(
    named.stdout
      .trim()
      .split('\n')
      .filter((each) => each !== '' && each !== packageManager),
  );
  if (others.size > 0) problems.push(`packageManager is ${packageManager}; elsewhere it is ${[...others].join(', ')}.`);
  return problems;
}

/**
 * The packages that are published.
 * @param {string} root
 */
async function publicPackages(root) {
  const folders = await readdir(join(root, 'packages'));
  const all = await Promise.all(
    folders.sort().map(async (name) => {
      const text = await readFile(join(root, 'packages', name, 'package.json'), 'utf8').catch(() => '{"private":true}');
      return { folder: `packages/${name}`, manifest: JSON.parse(text) };
    }),
  );
  return all.filter(({ manifest }) => manifest.private !== true);
}

/** @type {Check} */
export async function verifyPassed({ root }) {
  const { commit } = await checkedOut(root);
  const verified = await verifiedCommit(root);
  if (verified === commit) return [];
  return [`npm run verify has not passed for this commit${verified === undefined ? '' : `, but for ${verified}`}.`];
}

/** @type {Check} */
export async function tablesAreFresh({ root }) {
  const stale = await staleTables({ root });
  return stale.map((page) => `${page}: its tables are not what the sources give; run npm run fix:docs.`);
}

/**
 * @param {Release} _release
 * @param {typeof buildReference} [build]
 */
export async function referenceBuilds(_release, build = buildReference) {
  return build().then(
    () => [],
    (error) => [error.message],
  );
}

/**
 * @param {Release} release
 * @param {(destination: string) => Promise<string[]>} [packing]
 */
export async function tarballsAreReproducible({ root }, packing = (destination) => packAll(root, destination)) {
  const folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-release-'));
  try {
    const sums = [];
    for (const turn of ['first', 'second']) {
      const destination = join(folder, turn);
      await mkdir(destination);
      const tarballs = await packing(destination);
      sums.push(await Promise.all(tarballs.map(async (path) => `${basename(path)} ${await sumOf(path)}`)));
    }
    const [first = [], second = []] = sums;
    const differing = first.filter((sum) => !second.includes(sum)).map((sum) => sum.split(' ')[0]);
    if (first.length === 0) return ['Nothing was packed.'];
    return differing.map((name) => `${name} is not the same when it is packed again.`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** @param {string} path */
async function sumOf(path) {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

/**
 * Packs every package that is published. The core is compiled anew; the others are packed as they were built, from nothing, by pnpm, which puts versions in the
 * place of what refers to the workspace.
 * @param {string} root
 * @param {string} destination
 * @returns {Promise<string[]>} paths of the tarballs
 */
async function packAll(root, destination) {
  const tarballs = [await pack(destination)];
  for (const { folder, manifest } of await publicPackages(root)) {
    if (folder === 'packages/core') continue;
    const pnpm = [
      '-y',
      `--package=pnpm@${await pnpmVersion()}`,
      '--',
      'pnpm',
      'pack',
      '--pack-destination',
      destination,
    ];
    const { code, output } = await run('npx', pnpm, { cwd: join(root, folder) });
    if (code !== 0) throw new Error(`${folder} could not be packed:\n${output}`);
    tarballs.push(join(destination, `${manifest.name}-${manifest.version}.tgz`));
  }
  return tarballs;
}

/**
 * @param {Release} release
 * @param {string[]} [command]
 */
export async function auditIsClean({ root }, command = [process.execPath, 'tools/audit.mjs']) {
  const [program = '', ...args] = command;
  const { code, output } = await run(program, args, { cwd: root, limitMS: AUDIT_LIMIT_MS });
  if (code === 0 || (code === NOT_ANSWERED && process.argv.includes('--accept-unanswered-audit'))) return [];
  const what =
    code === NOT_ANSWERED ? 'was not answered (--accept-unanswered-audit goes on without)' : 'found something';
  return [`The audit ${what}:\n${output.trim()}`];
}

/**
 * @param {Release} release
 * @param {string[]} [command]
 */
export async function testsPass({ root }, command = ['npm', 'test']) {
  const [program = '', ...args] = command;
  const { code } = await run(program, args, { cwd: root, shows: 'at-once', limitMS: TEST_LIMIT_MS });
  return code === 0 ? [] : ['The tests did not pass.'];
}

/** What takes no time, and needs nothing installed. @type {readonly Check[]} */
const SHORT = [checkoutIsClean, branchIsMain, tagIsFree, changelogHasIt, versionsAgree, verifyPassed];
/** @type {readonly Check[]} */
const LONG = [tablesAreFresh, referenceBuilds, tarballsAreReproducible, auditIsClean, testsPass, checkoutIsClean];

/**
 * @param {readonly Check[]} checks
 * @param {Release} release
 * @param {'all' | 'to the first'} how far they are taken
 * @returns {Promise<boolean>} whether there was nothing to complain of
 */
async function passed(checks, release, how) {
  let good = true;
  for (const check of checks) {
    const problems = await check(release);
    console.log(`${problems.length === 0 ? 'ok     ' : 'REFUSED'} ${check.name}`);
    for (const problem of problems) console.log(`        ${problem.split('\n').join('\n        ')}`);
    if (problems.length > 0) good = false;
    if (!good && how === 'to the first') return false;
  }
  return good;
}

/** @param {Release} release */
async function checked(release) {
  if (!(await passed(SHORT, release, 'all'))) return false;
  // What an older build left would be packed, too.
  for (const { folder } of await publicPackages(release.root))
    await rm(join(release.root, folder, 'dist'), { recursive: true, force: true });
  await setUp();
  return passed(LONG, release, 'to the first');
}

/**
 * @param {Release} release
 * @param {'tagged' | 'published'} until
 */
async function finish({ root, version }, until) {
  const destination = join(root, 'dist', 'release');
  await rm(destination, { recursive: true, force: true });
  await mkdir(destination, { recursive: true });
  const tarballs = await packAll(root, destination);
  await demanded('git', ['tag', '--annotate', `v${version}`, '--message', `Version ${version}`], root);
  console.log(`tagged v${version}; ${tarballs.map((path) => basename(path)).join(', ')} in dist/release`);
  if (until === 'tagged') return;
  for (const tarball of tarballs) await demanded('npm', ['publish', tarball], root);
  console.log(`published. Push it: git push origin main v${version}`);
}

/**
 * @param {string} program
 * @param {string[]} args
 * @param {string} cwd
 */
async function demanded(program, args, cwd) {
  const { code } = await run(program, args, { cwd, shows: 'at-once' });
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} failed.`);
}

const FLAGS = ['--dry-run', '--publish', '--accept-unanswered-audit'];
const USAGE = `npm run release -- <version> [${FLAGS.join('] [')}]`;

/** @param {readonly string[]} args */
async function main(args) {
  const [version = '', ...more] = args.filter((each) => !each.startsWith('--'));
  const flags = args.filter((each) => each.startsWith('--'));
  const both = flags.includes('--dry-run') && flags.includes('--publish');
  if (version === '' || more.length > 0 || both || flags.some((flag) => !FLAGS.includes(flag))) throw new Error(USAGE);
  const release = { root: ROOT, version };
  if (!(await checked(release))) throw new Error(`${version} is not released.`);
  if (flags.includes('--dry-run')) console.log(`${version} could be released; nothing was tagged or published.`);
  else await finish(release, flags.includes('--publish') ? 'published' : 'tagged');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  endTogether(async () => {});
  await main(process.argv.slice(2)).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
