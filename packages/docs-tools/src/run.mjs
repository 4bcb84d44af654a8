/**
 * Starts the process that runs the compiled blocks, and reads its verdicts. A block of which nothing is said, because the process ended before, has
 * failed. The tests of the docs call it.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run } from '../../../tools/command.mjs';

const RUNNER = fileURLToPath(new URL('./run-blocks.mjs', import.meta.url));
const RUN_LIMIT_MS = 90_000;

/**
 * @param {{ compiled: readonly import('./compile.mjs').Compiled[], mongosh: readonly import('./blocks.mjs').Block[] }} what
 * @param {string} uri
 * @returns {Promise<Map<string, string | null>>} what went wrong, by the name of the block; null where nothing did
 */
export async function runBlocks({ compiled, mongosh }, uri) {
  const modules = compiled.filter(({ block, errors }) => block.kind === 'run' && errors.length === 0);
  const jobs = [
    ...modules.map(({ block, module }) => ({ name: block.name, module })),
    ...mongosh.map(({ name, whole, code, reason }) => ({ name, mongosh: `${whole}\n${code}`, runs: reason === '' })),
  ];
  const folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-docs-'));
  try {
    const list = join(folder, 'jobs.json');
    await writeFile(list, JSON.stringify(jobs));
    const env = { MONGODB_URI: uri };
    const { output, stdout } = await run(process.execPath, [RUNNER, list], { env, limitMS: RUN_LIMIT_MS });
    const verdicts = new Map(
      jobs.map(({ name }) => [name, /** @type {string | null} */ (`It was not run:\n${output}`)]),
    );
    for (const line of stdout.split('\n').filter((each) => each.startsWith('{"name"'))) {
      const { name, error } = JSON.parse(line);
      verdicts.set(name, error);
    }
    return verdicts;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
