/**
 * The package as CommonJS on one version of Node: by `require`, which gives the class, with its other exports as statics. The process ends by itself.
 */
const assert = require('node:assert/strict');
const DLocks = require('mongo-distributed-locks');

const { LockClient, LockLostError } = DLocks;
const options = { uri: process.env.MONGODB_URI, dbName: process.env.DATABASE };
const LOCK = { resource: 'job', id: 'cjs' };

async function main() {
  DLocks.configure(options);
  const other = new LockClient(options);
  const held = await DLocks.lock(LOCK);
  const queued = new Promise((resolve) => other.once('waiting', resolve));
  const next = other.lock(LOCK);
  await queued;
  assert.equal(await DLocks.unlock(held), true);
  const lock = await next;
  assert.ok(lock.held && lock.fencingToken > held.fencingToken);
  await other.close();
  assert.ok(lock.signal.aborted && lock.signal.reason instanceof LockLostError);
  assert.equal(await DLocks.exec({ ...LOCK, fn: async () => 'free again' }), 'free again');
  await DLocks.close();
  console.log('node.cjs: done');
}

void main();
