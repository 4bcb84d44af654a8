/** What the tests of `dlocks` look at: a lock that is held and awaited by real clients, and text that no terminal should be given. */
import type { Lock } from 'mongo-distributed-locks';
import type { Pair, TestDatabase } from '../support/database.js';

/** What would move the cursor, colour, ring, forge a line, and turn the text round. */
export const HOSTILE = 'a\u001b[31m\u001b]0;title\u0007b\nforged\r\u009b2Jc\u202ed\u200b';

/** A lock that is held by one client, and awaited by another. */
export async function contended(on: TestDatabase, pair: Pair): Promise<{ lock: Lock; release: () => Promise<void> }> {
  const holder = await on.connected({ label: 'holder' });
  const waiter = await on.connected({ label: 'waiter' });
  const lock = await holder.locks.lock(pair);
  const waiting = waiter.locks.lock({ ...pair, label: 'nightly' });
  await on.untilWaiting(pair, 1);
  const release = async (): Promise<void> => {
    await lock.unlock();
    await (await waiting).unlock();
  };
  return { lock, release };
}
