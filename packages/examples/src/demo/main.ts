/**
 * The demo: several processes contend for one lock, some of them are killed, and everything that the lock promises is
 * checked on what they saw. It needs `MONGODB_URI` (`npm run demo` starts a replica set for it), works in a database of
 * its own, and leaves neither that nor a process behind, whatever ends it.
 */
import { randomBytes } from 'node:crypto';
import { type Db, MongoClient } from 'mongodb';
import { serverUri } from '../support/database.js';
import { Board } from './board.js';
import { Contenders } from './contenders.js';
import { play } from './phases.js';
import { QueueReader } from './queue-view.js';
import { Recorder } from './recorder.js';
import { type Recovery, type Summary, summarise } from './summary.js';

const LOOK_INTERVAL_MS = 100;
const LIMIT_MS = 60_000;
const CLEAN_UP_LIMIT_MS = 3_000;

const client = new MongoClient(serverUri(), { serverSelectionTimeoutMS: 10_000 });
const db = client.db(`dlocks_demo_${randomBytes(6).toString('hex')}`);
const reader = new QueueReader(db);
const recorder = new Recorder();
const board = new Board(() => ({ contenders: contenders.all, records: recorder.records }));
const contenders = new Contenders({ recorder, dbName: db.databaseName, say: (line) => board.say(line) });

let over = false;

/** Keeps the board up to date beside what happens. */
async function look(): Promise<void> {
  while (!over) {
    board.show(await reader.read());
    await pause(LOOK_INTERVAL_MS);
  }
}

async function judge(recoveries: readonly Recovery[]): Promise<Summary> {
  const { records, writesMS } = recorder;
  return summarise({
    records,
    writesMS,
    recoveries,
    turnsCount: await turnsCount(db),
    leftovers: await reader.leftovers(),
  });
}

async function turnsCount(of: Db): Promise<number> {
  const options = { readConcern: { level: 'majority' } } as const;
  const counter = await of.collection<{ _id: string; turns: number }>('guarded', options).findOne({ _id: 'turns' });
  return counter?.turns ?? 0;
}

async function demo(): Promise<number> {
  await client.connect();
  const startedAt = performance.now();
  const looking = look().catch((error: unknown) => recorder.fail(error as Error));
  const recoveries = await play({ board, contenders, recorder, reader });
  over = true;
  await looking;
  board.show(await reader.read());
  board.close();
  const { lines, failures } = await judge(recoveries);
  console.log(`\n${lines.join('\n')}`);
  for (const failure of failures) console.error(`FAILED ${failure}`);
  if (failures.length === 0) console.log(`all checks hold, ${((performance.now() - startedAt) / 1_000).toFixed(1)} s`);
  return failures.length === 0 ? 0 : 1;
}

/** Ends every process and drops the database; nothing of it may hang. */
async function cleanUp(): Promise<void> {
  over = true;
  board.close();
  const work = contenders
    .endAll()
    .then(drop)
    .catch(() => {})
    .then(() => client.close(true));
  await Promise.race([work, pause(CLEAN_UP_LIMIT_MS)]);
}

/** What a killed process had sent last may reach the database after it was dropped, and make it anew. */
async function drop(): Promise<void> {
  for (let emptyCount = 0; emptyCount < 2; ) {
    await db.dropDatabase();
    await pause(LOOK_INTERVAL_MS);
    emptyCount = (await db.listCollections().toArray()).length === 0 ? emptyCount + 1 : 0;
  }
}

function pause(durationMS: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMS));
}

let ending: Promise<never> | undefined;

/** Cleans up and ends this process. The first reason to end counts. */
function end(code: number): Promise<never> {
  ending ??= cleanUp().then(() => process.exit(code));
  return ending;
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const) {
  process.on(signal, () => {
    board.close();
    if (ending === undefined) console.error(`ended by ${signal}`);
    void end(code);
    recorder.fail(new Error('The demo is ending'));
  });
}
setTimeout(() => recorder.fail(new Error(`The demo took longer than ${LIMIT_MS / 1_000} s`)), LIMIT_MS).unref();

try {
  await end(await demo());
} catch (error) {
  if (ending === undefined) console.error(`FAILED ${error instanceof Error ? error.message : String(error)}`);
  await end(1);
}
