/**
 * The guards of the layers, tried: a tree with one violation of each kind, run through the workspace's own lint and layer rules. A rule that no
 * longer fires (renamed, overridden by another entry, blind to a new compiler) is found here and nowhere else.
 */
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ROOT, run } from '../../tools/command.mjs';

interface Violation {
  readonly rule: string;
  readonly file: string;
  readonly source: string;
}

/** What the linter must refuse in the core's sources. */
const LINT: Violation[] = [
  { rule: 'noRestrictedGlobals', file: 'engine/timer.ts', source: 'export const t = setTimeout(() => {}, 1);' },
  { rule: 'noRestrictedGlobals', file: 'mongo/elapsed.ts', source: 'export const t = performance.now();' },
  {
    rule: 'noRestrictedImports',
    file: 'engine/sleep.ts',
    source: "export { setTimeout } from 'node:timers/promises';",
  },
  { rule: 'noRestrictedImports', file: 'engine/driver.ts', source: "export type { Db } from 'mongodb';" },
  { rule: 'noRestrictedImports', file: 'client.ts', source: "export const m = () => import('mongodb');" },
  { rule: 'noRestrictedImports', file: 'mongo/id.ts', source: "export { nanoid } from 'nanoid';" },
  { rule: 'plugin', file: 'protocol/now.ts', source: 'export const t = Date.now();' },
  { rule: 'plugin', file: 'engine/date.ts', source: 'export const t = new Date();' },
  { rule: 'plugin', file: 'base/random.ts', source: 'export const t = process.hrtime.bigint();' },
  { rule: 'plugin', file: 'engine/chance.ts', source: 'export const r = Math.random();' },
  { rule: 'plugin', file: 'base/clock.ts', source: 'export const r = Math.random();' },
  { rule: 'plugin', file: 'engine/listener.ts', source: "process.on('exit', () => {});" },
  { rule: 'noDefaultExport', file: 'engine/default.ts', source: 'export default 1;' },
  { rule: 'noFloatingPromises', file: 'engine/floating.ts', source: 'const f = async () => {};\nf();\nexport { f };' },
];

/** What the layer rules must refuse. Type imports count, and a cycle is reported once. */
const LAYERS: Violation[] = [
  { rule: 'layer-base', file: 'base/up.ts', source: "export type { E } from '../errors.js';" },
  { rule: 'layer-base-random', file: 'base/random.ts', source: "export { Db } from 'mongodb';" },
  { rule: 'layer-errors', file: 'errors.ts', source: "export type E = 1;\nexport type { V } from './events.js';" },
  { rule: 'layer-events', file: 'events.ts', source: "export type V = 1;\nexport type { O } from './options.js';" },
  {
    rule: 'layer-options',
    file: 'options.ts',
    source: "export type O = 1;\nexport type { P } from './protocol/p.js';",
  },
  { rule: 'layer-protocol', file: 'protocol/p.ts', source: "export type P = 1;\nexport { inspect } from 'node:util';" },
  { rule: 'layer-ports', file: 'ports.ts', source: "export type S = 1;\nexport type { V } from './events.js';" },
  { rule: 'layer-engine', file: 'engine/across.ts', source: "export type { M } from '../mongo/m.js';" },
  { rule: 'layer-mongo', file: 'mongo/across.ts', source: "export type { N } from '../engine/n.js';" },
  { rule: 'layer-api', file: 'lock.ts', source: "export { Db } from 'mongodb';" },
  { rule: 'layer-index', file: 'index.ts', source: "export { nanoid } from 'nanoid';" },
  { rule: 'layer-diagnostics', file: 'diagnostics.ts', source: "export type { V } from './options.js';" },
  { rule: 'layer-telemetry', file: 'telemetry/up.ts', source: "export type { M } from '../mongo/m.js';" },
  { rule: 'telemetry-apart', file: 'base/peer.ts', source: "export { trace } from '@opentelemetry/api';" },
  { rule: 'layer-base', file: 'base/peer.ts', source: "export { trace } from '@opentelemetry/api';" },
  { rule: 'unplaced-file', file: 'helpers.ts', source: "export type { S } from './ports.js';" },
  { rule: 'no-cycle', file: 'engine/a.ts', source: "export type A = 1;\nexport type { N } from './n.js';" },
  { rule: 'layer-api', file: 'dlocks.ts', source: "export { x } from './nowhere.js';" },
  { rule: 'resolvable', file: 'dlocks.ts', source: "export { x } from './nowhere.js';" },
];

/** What neither may refuse. */
const ALLOWED: Violation[] = [
  { rule: 'none', file: 'mongo/m.ts', source: "export type M = Date;\nexport type { Db } from 'mongodb';" },
  { rule: 'none', file: 'base/host.ts', source: "export { hostname } from 'node:os';" },
  { rule: 'none', file: 'engine/n.ts', source: "export type N = 1;\nexport type { A } from './a.js';" },
];

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-rules-'));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** A workspace with these files as its core, and our rules; returns its folder. */
async function workspace(name: string, files: Violation[]): Promise<string> {
  const root = join(folder, name);
  for (const { file, source } of files) {
    const path = join(root, 'packages/core/src', file);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${source}\n`);
  }
  for (const each of ['node_modules', 'packages/core/node_modules']) await symlink(join(ROOT, each), join(root, each));
  for (const each of ['.dependency-cruiser.cjs', 'tools/grit'])
    await cp(join(ROOT, each), join(root, each), { recursive: true });
  const biome = JSON.parse(await readFile(join(ROOT, 'biome.json'), 'utf8'));
  await writeFile(join(root, 'biome.json'), JSON.stringify({ ...biome, vcs: { enabled: false } }));
  return root;
}

const expected = (violations: Violation[]): string[] => violations.map(({ rule, file }) => `${rule} ${file}`).sort();

test('the linter refuses time, timers, chance, the driver and process listeners outside of their one place', async () => {
  const cwd = await workspace('lint', [...LINT, ...ALLOWED]);
  const { output } = await run('biome', ['lint', '--max-diagnostics=200', '--reporter=github', 'packages'], { cwd });
  const found = output.split('\n').flatMap((line) => {
    const [, rule, file] = /title=(?:lint\/\w+\/)?(\w+),file=[^,]*\/packages\/core\/src\/([^,]+),/.exec(line) ?? [];
    return rule === undefined ? [] : [`${rule} ${file}`];
  });
  expect([...new Set(found)].sort()).toEqual(expected(LINT));
}, 30_000);

test('the layer rules refuse every import that does not point down, cycles of types, and files without a place', async () => {
  const cwd = await workspace('layers', [...LAYERS, ...ALLOWED]);
  const args = ['--config', '.dependency-cruiser.cjs', '--output-type', 'json', 'packages/core/src'];
  const { stdout } = await run('depcruise', args, { cwd });
  const { summary } = JSON.parse(stdout);
  const found: string[] = summary.violations.map(({ rule, from }: { rule: { name: string }; from: string }) => {
    return `${rule.name} ${from.replace('packages/core/src/', '')}`;
  });
  expect([...new Set(found)].sort()).toEqual(expected(LAYERS));
}, 30_000);
