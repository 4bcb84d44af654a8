/**
 * What the tests of the docs ask of the repository: the packages built, and the names of everything that a page may tell its reader to run.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { dlocksHelp, type Known } from '../../packages/docs-tools/src/commands.mjs';
import { ROOT, run } from '../../tools/command.mjs';
import config from '../../vitest.config.js';

async function scripts(): Promise<Record<string, string>> {
  return JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')).scripts;
}

/** Compiles what has changed since it was compiled: a test that is run by itself must not look at an older build. */
export async function buildPackages(): Promise<void> {
  const { code, output } = await run('tsc', ['-b', 'packages/core', 'packages/cli', 'packages/nestjs']);
  if (code !== 0) throw new Error(`The packages could not be built:\n${output}`);
}

/** Needs the packages built. */
export async function knownCommands(files: readonly string[]): Promise<Known> {
  const { createProgram } = await import(pathToFileURL(join(ROOT, 'packages/cli/dist/program.js')).href);
  const silent = { out: { write: () => {} }, err: { write: () => {} } };
  return {
    files,
    scripts: Object.keys(await scripts()),
    projects: (config.test?.projects ?? []).map((each) => (each as { test: { name: string } }).test.name),
    dlocks: dlocksHelp(createProgram({ terminal: silent })),
  };
}
