/**
 * Threads of one process that contend for one lock. A client cannot be handed to another thread: each makes its own, and
 * has a lock session of its own. They are asked one after the other, and served in that order.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { LockClient } from 'mongo-distributed-locks';
import type { Db } from 'mongodb';
import { withDatabase } from './support/database.js';

const FILE = { resource: 'files', id: '/var/report' };
const NAMES = ['ada', 'bob', 'cyd'];

async function thread(): Promise<void> {
  const { uri, dbName, name } = workerData as { uri: string; dbName: string; name: string };
  const locks = new LockClient({ uri, dbName });
  locks.once('waiting', () => parentPort?.postMessage('queued'));
  await locks.exec({ ...FILE, fn: ({ fencingToken }) => parentPort?.postMessage({ name, token: fencingToken }) });
  await locks.close(); // then nothing keeps the thread alive
}

async function main(uri: string, db: Db): Promise<void> {
  const locks = new LockClient({ db });
  const lock = await locks.lock(FILE);
  const served: { name: string; token: number }[] = [];
  const exits: Promise<unknown[]>[] = [];
  for (const name of NAMES) {
    const started = new Worker(new URL(import.meta.url), { workerData: { uri, dbName: db.databaseName, name } });
    exits.push(once(started, 'exit'));
    await once(started, 'message'); // it waits in the queue: the next one comes after it
    started.on('message', (message) => served.push(message));
  }
  await lock.unlock();
  assert.deepEqual((await Promise.all(exits)).flat(), [0, 0, 0]);

  console.log(`asked one after the other, and served: ${served.map(({ name }) => name).join(', ')}`);
  assert.deepEqual(
    served.toSorted((a, b) => a.token - b.token).map(({ name }) => name),
    NAMES,
  );
  await locks.close();
  assert.equal(await db.collection('dlocks.sessions').countDocuments({ state: 'alive' }), 0);
}

if (isMainThread) await withDatabase(({ uri, db }) => main(uri, db));
else await thread();
