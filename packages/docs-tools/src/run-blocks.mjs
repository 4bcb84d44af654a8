/**
 * A process that runs compiled blocks of the docs, one after the other, on the replica set of `MONGODB_URI`: `node run-blocks.mjs jobs.json`. A block
 * is over when its module is evaluated. It prints a JSON line for each. The addresses in the text are given another server, and roles its database;
 * nothing else is changed. Each block has a database of its own, dropped at the end. `run.mjs` starts it.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { DLocks } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import mongoose from 'mongoose';
import { shellOf } from './mongosh.mjs';

const BLOCK_LIMIT_MS = 10_000;
const server = process.env.MONGODB_URI ?? '';

/** @typedef {{ name: string } & ({ module: string } | { mongosh: string, runs: boolean })} Job */

/** @type {Job[]} */
const jobs = JSON.parse(await readFile(process.argv[2] ?? '', 'utf8'));
/** @type {(error: unknown) => void} */
let fail = () => {};
process.on('unhandledRejection', (error) => fail(error));
process.on('uncaughtException', (error) => fail(error));
// What a block prints is its own; only the verdicts go out.
const say = (/** @type {object} */ verdict) => process.stdout.write(`${JSON.stringify(verdict)}\n`);
console.log = console.info = console.warn = () => {};

const client = await MongoClient.connect(server);
for (const [index, job] of jobs.entries()) {
  const database = `docs-${process.pid}-${index}`;
  const from = performance.now();
  const error = await bounded(() => ('module' in job ? runModule(job.module, database) : runShell(job, database)));
  await DLocks.close();
  await mongoose.disconnect();
  await client.db(database).dropDatabase();
  say({ name: job.name, tookMS: Math.round(performance.now() - from), error });
}
await client.close();
// A block may leave a client open: closing it is not what every block is about.
process.exit(0);

/**
 * @param {() => Promise<unknown>} work
 * @returns {Promise<string | null>} what went wrong
 */
async function bounded(work) {
  /** @type {NodeJS.Timeout | undefined} */
  let limit;
  const failed = new Promise((_, reject) => {
    fail = reject;
    limit = setTimeout(() => reject(new Error(`It did not end within ${BLOCK_LIMIT_MS / 1000} s.`)), BLOCK_LIMIT_MS);
  });
  try {
    await Promise.race([work(), failed]);
    return null;
  } catch (error) {
    return error instanceof Error ? String(error.stack) : String(error);
  } finally {
    clearTimeout(limit);
    fail = () => {};
  }
}

/**
 * @param {string} module
 * @param {string} database
 */
async function runModule(module, database) {
  const uri = new URL(server);
  uri.pathname = `/${database}`;
  process.env.MONGODB_URI = String(uri);
  const text = await readFile(module, 'utf8');
  await writeFile(module, text.replace(/mongodb(\+srv)?:\/\/[^'"`\s]*/g, String(uri)));
  // What cannot wait at its top level may export what there is to wait for.
  if (module.endsWith('.cjs')) await createRequire(import.meta.url)(module);
  else await import(module);
}

/**
 * @param {{ mongosh: string, runs: boolean }} job
 * @param {string} database
 */
async function runShell({ mongosh, runs }, database) {
  // The text is the docs' own: the shell evaluates it in the same way.
  const evaluate = Object.getPrototypeOf(async () => {}).constructor;
  const statements = evaluate('db', mongosh.replaceAll("db: 'app'", `db: '${database}'`));
  if (!runs) return;
  const { db, done } = shellOf(client.db(database));
  await statements(db);
  await done();
}
