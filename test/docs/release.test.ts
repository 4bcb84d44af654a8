/**
 * The release, refused: each of its checks in a clone that is ready in every way but one. Nothing here tags this checkout or publishes.
 */
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ROOT, run } from '../../tools/command.mjs';
import * as release from '../../tools/release.mjs';
import { checkedOut, recordVerified } from '../../tools/verified.mjs';

const VERSION = '9.8.7';
const IDENTITY = ['-c', 'user.name=Somebody', '-c', 'user.email=somebody@example.org'];

let folder: string;
let root: string;
let ready: string;

async function git(...args: string[]): Promise<string> {
  const { code, output, stdout } = await run('git', [...IDENTITY, ...args], { cwd: root });
  if (code !== 0) throw new Error(`git ${args.join(' ')} failed:\n${output}`);
  return stdout.trim();
}

async function edit(name: string, change: (text: string) => string): Promise<void> {
  const path = join(root, name);
  await writeFile(path, change(await readFile(path, 'utf8')));
}

/** A clone of what is committed, with everything on main that a release asks for. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-released-'));
  root = join(folder, 'clone');
  await run('git', ['clone', '--quiet', '--shared', '--no-tags', ROOT, root]);
  await git('checkout', '--quiet', '-B', 'main');
  await edit(
    'CHANGELOG.md',
    (text) => `${text.split(/^## /m)[0]}## [Unreleased]\n\n## [${VERSION}] - 2030-01-01\n\n- A thing.\n`,
  );
  const manifests = (await git('ls-files', 'packages/*/package.json')).split('\n');
  await Promise.all(
    manifests.map((name) => edit(name, (text) => text.replace(/^ {2}"version": ".*"/m, `  "version": "${VERSION}"`))),
  );
  await git('commit', '--quiet', '--all', '--message', 'ready');
  ready = await git('rev-parse', 'HEAD');
}, 60_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

beforeEach(async () => {
  await git('checkout', '--quiet', '--force', '-B', 'main', ready);
  await git('clean', '--quiet', '--force', '-dx');
});

const of = (version = VERSION): { root: string; version: string } => ({ root, version });

describe('a release is refused', () => {
  test('where something is not committed', async () => {
    expect(await release.checkoutIsClean(of())).toEqual([]);
    await appendFile(join(root, 'README.md'), 'more\n');
    await writeFile(join(root, 'new.txt'), '');
    expect((await release.checkoutIsClean(of())).join()).toMatch(/README\.md[\s\S]*new\.txt/);
  });

  test('on another branch than main, and on none', async () => {
    expect(await release.branchIsMain(of())).toEqual([]);
    await git('checkout', '--quiet', '-B', 'feature');
    expect((await release.branchIsMain(of())).join()).toContain('feature');
    await git('checkout', '--quiet', '--detach');
    expect((await release.branchIsMain(of())).join()).toContain('no branch');
  });

  test('where the version was tagged before', async () => {
    expect(await release.tagIsFree(of())).toEqual([]);
    await git('tag', `v${VERSION}`);
    expect(await release.tagIsFree(of())).toHaveLength(1);
    await git('tag', '--delete', `v${VERSION}`);
  });

  test.each([
    ['without a section of it', (text: string) => text.replace(`[${VERSION}]`, '[1.0.0]'), 'no section'],
    ['without a date', (text: string) => text.replace(' - 2030-01-01', ''), 'no date'],
    ['with an empty section', (text: string) => text.replace('- A thing.', ''), 'says nothing'],
    [
      'with changes that are not released',
      (text: string) => text.replace('## [Unreleased]\n', '## [Unreleased]\n\n- More.\n'),
      'Unreleased',
    ],
  ])('by a changelog %s', async (_, change, complaint) => {
    expect(await release.changelogHasIt(of())).toEqual([]);
    await edit('CHANGELOG.md', change);
    expect(await release.changelogHasIt(of())).toEqual([expect.stringContaining(complaint)]);
  });

  test('where a package has another version, or the version is none', async () => {
    expect(await release.versionsAgree(of())).toEqual([]);
    await edit('packages/core/package.json', (text) => text.replace(VERSION, '4.0.1'));
    expect(await release.versionsAgree(of())).toEqual(['packages/core has version 4.0.1, not 9.8.7.']);
    expect((await release.versionsAgree(of('next'))).join()).toContain('"next" is no version');
  });

  test('where another pnpm is named than the pinned one, or none is pinned', async () => {
    await appendFile(join(root, 'README.md'), `pnpm@${'1.2.3'}\n`);
    expect((await release.versionsAgree(of())).join()).toContain(`elsewhere it is pnpm@${'1.2.3'}`);
    await edit('package.json', (text) => text.replace(/"pnpm@[\d.]+"/, '"pnpm@latest"'));
    expect((await release.versionsAgree(of())).join()).toContain('names no exact version');
  });

  test('before verify has passed for this commit', async () => {
    expect(await release.verifyPassed(of())).toHaveLength(1);
    expect(await recordVerified(await checkedOut(root), root)).toContain('recorded for a release of');
    expect(await release.verifyPassed(of())).toEqual([]);
    await git('commit', '--quiet', '--allow-empty', '--message', 'later');
    expect((await release.verifyPassed(of())).join()).toContain(`but for ${ready}`);
  });

  test('what verify passed for with something changed beside is not recorded', async () => {
    const before = await checkedOut(root);
    await appendFile(join(root, 'README.md'), 'more\n');
    expect(await recordVerified(before, root)).toContain('not recorded');
    expect(await release.verifyPassed(of())).toHaveLength(1);
  });

  test('where a table in the docs is not what the sources give', async () => {
    await edit('docs/reference.md', (text) => text.replace('`LOCK_TIMEOUT`', '`LOCK_LATE`'));
    expect(await release.tablesAreFresh(of())).toContainEqual(expect.stringContaining('docs/reference.md'));
  });

  test('where the reference has a warning', async () => {
    expect(await release.referenceBuilds(of(), async () => '')).toEqual([]);
    const failing = release.referenceBuilds(of(), () => Promise.reject(new Error('a warning')));
    expect(await failing).toEqual(['a warning']);
  });

  test('where a tarball is not the same when it is packed again', async () => {
    const contents = ['one', 'another'];
    const packing = (content: () => string) => async (destination: string) => {
      const path = join(destination, 'package.tgz');
      await writeFile(path, content());
      return [path];
    };
    expect(
      await release.tarballsAreReproducible(
        of(),
        packing(() => 'same'),
      ),
    ).toEqual([]);
    const problems = await release.tarballsAreReproducible(
      of(),
      packing(() => contents.pop() ?? ''),
    );
    expect(problems).toEqual(['package.tgz is not the same when it is packed again.']);
  });

  test('by a known vulnerability, by an audit that is not answered, and by tests that fail', async () => {
    const ends = (code: number): string[] => [process.execPath, '-e', `console.log('said'); process.exit(${code})`];
    expect(await release.auditIsClean(of(), ends(0))).toEqual([]);
    expect((await release.auditIsClean(of(), ends(1))).join()).toMatch(/found something:\nsaid/);
    expect((await release.auditIsClean(of(), ends(2))).join()).toContain('was not answered');
    expect(await release.testsPass(of(), ends(0))).toEqual([]);
    expect(await release.testsPass(of(), ends(1))).toHaveLength(1);
  });
});

test('the command tells every short reason at once, ends with 1, and tags nothing', async () => {
  await appendFile(join(root, 'README.md'), 'more\n');
  for (const args of [['--dry-run'], ['--publish'], []]) {
    const { code, output } = await run(process.execPath, ['tools/release.mjs', '0.0.1', ...args], { cwd: root });
    expect(code).toBe(1);
    for (const check of ['checkoutIsClean', 'changelogHasIt', 'versionsAgree', 'verifyPassed'])
      expect(output).toContain(`REFUSED ${check}`);
    expect(output).toContain('ok      branchIsMain');
    expect(output).toContain('0.0.1 is not released.');
  }
  expect(await git('tag', '--list')).toBe('');
});

test.each([[[]], [['1.0.0', '2.0.0']], [['1.0.0', '--dry-run', '--publish']], [['1.0.0', '--force']]])(
  'the command refuses %j with how it is used',
  async (args) => {
    const { code, output } = await run(process.execPath, ['tools/release.mjs', ...args], { cwd: root });
    expect(code).toBe(1);
    expect(output).toContain('npm run release -- <version>');
  },
);
