/**
 * The repository itself: what is tracked, what must agree in two places, and that no test is left out of the run. Nothing here looks at behaviour.
 */
import { readFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { ROOT, run } from '../../tools/command.mjs';
import { pnpmVersion } from '../../tools/workspace.mjs';
import config from '../../vitest.config.js';

/** Text of every tracked file, and of those that are about to be. */
const files = new Map<string, string>();

beforeAll(async () => {
  const { code, output, stdout } = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard']);
  if (code !== 0) throw new Error(`The list of tracked files is not to be had:\n${output}`);
  for (const name of stdout.trim().split('\n')) {
    // A file that was removed and not yet committed is listed, and not there.
    const text = await readFile(join(ROOT, name), 'utf8').catch(() => undefined);
    if (text !== undefined) files.set(name, text);
  }
});

/** `file: line` for each line that matches. */
function lines(pattern: RegExp, names: (name: string) => boolean = () => true): string[] {
  return [...files].flatMap(([name, text]) => {
    return names(name)
      ? text.split('\n').flatMap((line) => (pattern.test(line) ? [`${name}: ${line.trim()}`] : []))
      : [];
  });
}

async function manifest(folder: string): Promise<Record<string, Record<string, string>>> {
  return JSON.parse(await readFile(join(ROOT, folder, 'package.json'), 'utf8'));
}

const isTest = (name: string): boolean => name.endsWith('.test.ts');

describe('what is tracked', () => {
  test('holds no path of a machine', () => {
    // Put together here, so that this file does not hold what it looks for.
    const folders = ['home', 'root', 'Users', 'work', 'tmp'].join('|');
    expect(lines(new RegExp(`(^|[^\\w.*/-])/(${folders})/\\w`))).toEqual([]);
    for (const own of [ROOT.replace(/\/$/, ''), homedir()].filter((path) => path.split('/').length > 2)) {
      expect(lines(new RegExp(own.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))).toEqual([]);
    }
  });

  test('holds no address of a package registry', () => {
    const hosts = ['registry\\.(npmjs|yarnpkg)', 'npm\\.pkg\\.github', 'pypi\\.org', 'pythonhosted'].join('|');
    expect(lines(new RegExp(`(${hosts})`), (name) => name !== 'test/tidy/repository.test.ts')).toEqual([]);
    expect(lines(/(resolved|tarball|registry)"?\s*[:=]\s*"?https?:/)).toEqual([]);
  });

  test('holds nothing that a build or a run makes', () => {
    const made = [...files.keys()].filter((name) => /(^|\/)(node_modules|dist)\/|\.(tgz|tsbuildinfo|log)$/.test(name));
    expect(made).toEqual([]);
  });

  test('opens each source file with what it is', () => {
    const sources = [...files.keys()].filter((name) =>
      /^(packages\/\w+\/src|tools|test)\/.*\.(ts|mjs|cjs|cts)$/.test(name),
    );
    expect(sources.length).toBeGreaterThan(0);
    expect(sources.filter((name) => !/^(#!.*\n)?(\/\*\*?|\/\/) ?(\n \*)? ?\S/.test(files.get(name) ?? ''))).toEqual([]);
  });
});

describe('the tests', () => {
  test('all belong to a project that the run knows', () => {
    const known = (config.test?.projects ?? []).map((each) => (each as { test: { name: string } }).test.name);
    expect(known).toContain('unit');
    const folders = [...files.keys()].filter(isTest).map((name) => name.split('/').slice(0, 2));
    expect(folders.filter(([top, project]) => top !== 'test' || !known.includes(project ?? ''))).toEqual([]);
  });

  test('are all run by the test command', async () => {
    const driver = await readFile(join(ROOT, 'tools/test.mjs'), 'utf8');
    const projects = new Set([...files.keys()].filter(isTest).map((name) => name.split('/')[1]));
    expect([...projects].filter((project) => !driver.includes(`'${project}'`))).toEqual([]);
  });

  test('leave none out', () => {
    const marks = ['only', 'skip', 'skipIf', 'runIf', 'todo', 'fails'].join('|');
    expect(lines(new RegExp(`\\b(test|it|describe|suite)\\.(\\w+\\.)*(${marks})\\b`), isTest)).toEqual([]);
  });

  test('are named *.own-server.test.ts exactly where they start servers of their own', () => {
    const starters = [...files].filter(
      ([name, text]) => isTest(name) && /\bstart(ReplicaSet|Standalone)\(|'\.\/suite\/run\.js'/.test(text),
    );
    expect(starters.map(([name]) => name).filter((name) => !name.endsWith('.own-server.test.ts'))).toEqual([]);
    const named = [...files.keys()].filter((name) => name.endsWith('.own-server.test.ts'));
    expect(named.filter((name) => !starters.some(([starter]) => starter === name))).toEqual([]);
  });
});

describe('what must agree', () => {
  test('pnpm has one version everywhere', async () => {
    const version = await pnpmVersion();
    const named = lines(/pnpm@\d/).flatMap((line) => line.match(/pnpm@(\d+\.\d+\.\d+)/g) ?? []);
    expect([...new Set(named)]).toEqual([`pnpm@${version}`]);
  });

  test('tools have exact versions, the same in every package', async () => {
    const seen = new Map<string, Set<string>>();
    for (const folder of ['.', 'packages/core', 'packages/cli', 'packages/nestjs', 'packages/examples']) {
      const { dependencies, devDependencies } = await manifest(folder);
      const published = folder === 'packages/core' ? {} : dependencies;
      for (const [name, version] of Object.entries({ ...published, ...devDependencies })) {
        seen.set(name, (seen.get(name) ?? new Set()).add(version));
      }
    }
    const exact = /^(\d+\.\d+\.\d+|workspace:\*|npm:\w+@\d+\.\d+\.\d+)$/;
    const wrong = [...seen].filter(
      ([, versions]) => versions.size !== 1 || ![...versions].every((each) => exact.test(each)),
    );
    expect(wrong.map(([name, versions]) => `${name} ${[...versions].join(' ')}`)).toEqual([]);
  });

  test('the core depends on eventemitter3 and nanoid, and on the driver as a peer', async () => {
    const { dependencies, peerDependencies, peerDependenciesMeta, optionalDependencies } =
      await manifest('packages/core');
    expect(Object.keys(dependencies ?? {}).sort()).toEqual(['eventemitter3', 'nanoid']);
    expect(peerDependencies).toEqual({ '@opentelemetry/api': '^1.9.0', mongodb: '^6.20.0 || ^7.0.0' });
    // For one subpath, whose users have it.
    expect(peerDependenciesMeta).toEqual({ '@opentelemetry/api': { optional: true } });
    expect(optionalDependencies).toBeUndefined();
  });

  test('every package asks for the same Node', async () => {
    const engines = await Promise.all(
      ['.', 'packages/core', 'packages/cli', 'packages/nestjs', 'packages/examples'].map(
        async (each) => (await manifest(each)).engines,
      ),
    );
    expect(new Set(engines.map((each) => each?.node))).toEqual(new Set(['^20.19.0 || >=22.12.0']));
  });
});

describe('the README', () => {
  test('is at most 150 lines, and names the commands that there are', async () => {
    const readme = files.get('README.md') ?? '';
    expect(readme.split('\n').length).toBeLessThanOrEqual(151);
    const { scripts } = await manifest('.');
    const named = [...readme.matchAll(/npm (?:run )?(test|demo|build|[a-z]+:[a-z]+)\b/g)].map(([, name]) => name ?? '');
    expect(named).toEqual(expect.arrayContaining(['demo', 'test']));
    expect(named.filter((name) => scripts?.[name] === undefined)).toEqual([]);
  });

  test('links to files that exist', () => {
    const links = [...files]
      .filter(([name]) => /^[A-Z]+\.md$/.test(name))
      .flatMap(([, text]) => {
        return [...text.matchAll(/\]\(([^)#:]+)(#[^)]*)?\)/g)].map(([, target]) => target ?? '');
      });
    const known = [...files.keys()];
    expect(
      links.filter((link) => !known.some((name) => name === link || name.startsWith(`${link.replace(/\/$/, '')}/`))),
    ).toEqual([]);
  });
});
