/**
 * Runs every example of packages/examples, each as its reader would: compiled, by itself, against a real server. The test driver calls it.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT, run } from './command.mjs';
import { startReplicaSet } from './replica-set.mjs';

const EXAMPLE_LIMIT_MS = 30_000;

/**
 * @param {import('./mongod.mjs').ServerChoice} choice
 * @returns {Promise<{ name: string, ended: import('./command.mjs').Ended }[]>} one entry for each example
 */
export async function runExamples(choice) {
  const sources = await readdir(join(ROOT, 'packages/examples/src'));
  const names = sources.filter((name) => name.endsWith('.ts')).map((name) => name.slice(0, -'.ts'.length));
  const server =
    choice.uri === undefined
      ? await startReplicaSet({ binary: choice.binary })
      : { uri: choice.uri, stop: async () => {} };
  const results = [];
  try {
    for (const name of names.sort()) {
      const program = `packages/examples/dist/${name}.js`;
      const ended = await run(process.execPath, [program], {
        env: { MONGODB_URI: server.uri },
        limitMS: EXAMPLE_LIMIT_MS,
      });
      results.push({ name, ended });
    }
  } finally {
    await server.stop();
  }
  return results;
}
