/**
 * A contender in a cluster worker or in a thread, with a lock client of its own: it does as it is told and tells what happens. The compiled package
 * is used, because a thread of Node 20 runs no TypeScript. Started by `workers.test.ts`, with the connection string in its data.
 */
import cluster from 'node:cluster';
import { parentPort, workerData } from 'node:worker_threads';
import { LockClient } from 'mongo-distributed-locks';

const LOCK = { resource: 'job', id: 1 };

/** @param {object} fact */
const tell = (fact) => (parentPort ? parentPort.postMessage(fact) : process.send?.(fact));
const uri = workerData?.uri ?? process.env.CONTENDER_URI;
const locks = new LockClient({ uri, leaseDurationMS: 2_000, clockSkewMS: 100 });
/** @type {import('mongo-distributed-locks').Lock | undefined} */
let lock;

const orders = {
  async lock() {
    lock = await locks.lock(LOCK);
    tell({ kind: 'granted', token: lock.fencingToken });
  },
  async unlock() {
    tell({ kind: 'released', released: await lock?.unlock() });
  },
  async close() {
    await locks.close();
    tell({ kind: 'closed' });
  },
  /** Lets go of whoever gives the orders: then nothing is to keep it alive. */
  async leave() {
    parentPort?.unref();
    cluster.worker?.disconnect();
  },
};

/** @param {keyof typeof orders} order */
const obey = (order) => orders[order]().catch((error) => tell({ kind: 'failed', code: error.code }));
if (parentPort) parentPort.on('message', obey);
else process.on('message', obey);
await locks.connect();
tell({ kind: 'ready' });
