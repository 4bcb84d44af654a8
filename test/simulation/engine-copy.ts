/**
 * Copies of the engine with something taken out, for tests that show that the checks can fail. The sources are read,
 * changed as text, compiled and loaded from a temporary folder; a change that does not apply exactly once is an error,
 * so that none goes stale unnoticed. The product knows nothing of it.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { transformWithEsbuild } from 'vite';
import type { EngineModule } from './engine-module.js';

/** One change of one source file. */
export interface Patch {
  /** Below `packages/core/src`. */
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

const SOURCES = fileURLToPath(new URL('../../packages/core/src/', import.meta.url));
const FILES = ['errors.ts', 'ports.ts', 'events.ts'];
const FOLDERS = ['base', 'protocol', 'engine'];

type Errors = typeof import('#core/errors.js');

/** The engine with the patches applied. */
export async function patchedEngine(patches: readonly Patch[]): Promise<EngineModule> {
  const folder = await mkdtemp(join(tmpdir(), 'engine-copy-'));
  try {
    await writeFile(join(folder, 'package.json'), '{"type":"module"}');
    for (const file of await sourceFiles())
      await compile(
        folder,
        file,
        patches.filter((patch) => patch.file === file),
      );
    const { Engine } = (await load(folder, 'engine/engine.js')) as Pick<EngineModule, 'Engine'>;
    const errors = (await load(folder, 'errors.js')) as Errors;
    return {
      Engine,
      errors: {
        unavailable: () => new errors.LockUnavailableError('no primary'),
        outcomeUnknown: () => new errors.LockOutcomeUnknownError('connection lost'),
      },
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function sourceFiles(): Promise<string[]> {
  const inFolders = FOLDERS.map(async (folder) =>
    (await readdir(join(SOURCES, folder))).map((name) => `${folder}/${name}`),
  );
  return [...FILES, ...(await Promise.all(inFolders)).flat()].filter((file) => !UNUSED.includes(file));
}

/** Not loaded by the engine, and needing packages that a folder outside the workspace does not find. */
const UNUSED = ['base/random.ts', 'events.ts'];

async function compile(folder: string, file: string, patches: readonly Patch[]): Promise<void> {
  let source = await readFile(join(SOURCES, file), 'utf8');
  for (const { find, replace } of patches) {
    const parts = source.split(find);
    if (parts.length !== 2) throw new Error(`The change of ${file} applies ${parts.length - 1} times: ${find}`);
    source = parts.join(replace);
  }
  const options = { loader: 'ts', target: 'es2022', sourcemap: false } as const;
  const { code } = await transformWithEsbuild(source, join(SOURCES, file), options);
  const target = join(folder, file.replace(/\.ts$/, '.js'));
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, code);
}

function load(folder: string, file: string): Promise<unknown> {
  return import(/* @vite-ignore */ pathToFileURL(join(folder, file)).href);
}
