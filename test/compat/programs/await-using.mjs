/** `await using` as Node itself understands it, which is from version 24 on: unlocked at the end of the block, however that comes. */
import assert from 'node:assert/strict';
import { LockClient } from 'mongo-distributed-locks';

const locks = new LockClient({ uri: process.env.MONGODB_URI, dbName: process.env.DATABASE });
const LOCK = { resource: 'block', id: 1 };

async function inBlock() {
  await using lock = await locks.lock(LOCK);
  assert.ok(lock.held);
  assert.equal(await locks.tryLock(LOCK), null);
  throw new Error('left early');
}

await assert.rejects(inBlock(), /left early/);
const free = await locks.tryLock(LOCK);
assert.ok(free?.held);
await locks.close();
console.log('await-using.mjs: done');
