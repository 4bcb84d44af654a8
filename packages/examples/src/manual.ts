/**
 * A lock taken and given back by hand, for code that does not fit into one function: `lock` and `unlock`, a block with
 * `await using`, and `tryLock`, which never waits. Where a function will do, `exec` is simpler.
 */
import assert from 'node:assert/strict';
import { LockClient } from 'mongo-distributed-locks';
import { withDatabase } from './support/database.js';

const INVOICE = { resource: 'invoices', id: 4711 };

await withDatabase(async ({ db }) => {
  const locks = new LockClient({ db });

  const lock = await locks.lock(INVOICE);
  try {
    console.log(`held with fencing token ${lock.fencingToken}`);
    assert(lock.held);
    assert.equal(await locks.tryLock(INVOICE), null); // someone has it, and tryLock does not wait
  } finally {
    assert.equal(await locks.unlock(lock), true);
  }
  assert.equal(lock.held, false);
  assert.equal(await lock.unlock(), false); // once more does no harm, and says that it did nothing

  let second: number;
  {
    await using again = await locks.lock(INVOICE);
    second = again.fencingToken;
    console.log(`held with fencing token ${second} until the end of the block`);
  }
  assert(second > lock.fencingToken);

  const free = await locks.tryLock(INVOICE);
  assert(free?.held); // the block has unlocked it
  console.log('unlocked by the end of the block, so tryLock got it');
  await free.unlock();
  await locks.close();
});
