/**
 * A serverless function's process: it runs its handler when it is told to, answers, and is then frozen by whoever told it. What a handler leaves behind
 * is chosen by name. The compiled package is used, as it would be there. Started by `serverless.test.ts`, with the connection string.
 */
import { once } from 'node:events';
import { LockClient } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';

const [, , uri = ''] = process.argv;
const LOCK = { resource: 'order', id: 42 };
const SETTINGS = { leaseDurationMS: 1_000, clockSkewMS: 100 };

/** Made once for the process, and used by every call as long as the process is kept. */
const client = new MongoClient(uri);
/** What the handlers that do not close share. @type {LockClient} */
let kept;
/** @type {import('mongo-distributed-locks').Lock | undefined} */
let held;
/** @type {string[]} */
const events = [];

/** @param {{ fencingToken: number }} lock */
const answer = ({ fencingToken }) => ({ fencingToken, events });

/** @type {Record<string, () => Promise<object>>} */
const handlers = {
  /** As it should be: a client for each call, closed before the answer. */
  async closes() {
    const locks = new LockClient({ client, ...SETTINGS });
    try {
      return await locks.exec({ ...LOCK, fn: answer });
    } finally {
      await locks.close();
    }
  },
  /** A client for all calls, never closed. */
  async keepsOpen() {
    kept ??= watched(new LockClient({ client, ...SETTINGS }));
    return await kept.exec({ ...LOCK, fn: answer });
  },
  /** Answers while it holds. */
  async keepsLock() {
    kept ??= watched(new LockClient({ client, ...SETTINGS }));
    held = await kept.lock(LOCK);
    return answer(held);
  },
  /** What the lock of the call before is worth now: compared with the clock at once, and then told by its signal. */
  async looksAtLock() {
    const stillHeld = held?.held;
    if (held && !held.signal.aborted) await once(held.signal, 'abort');
    return { held: stillHeld, reason: held?.signal.reason.code, released: await held?.unlock() };
  },
  async ends() {
    await kept?.close();
    await client.close();
    process.disconnect?.();
    return {};
  },
};

/** @param {LockClient} locks */
function watched(locks) {
  for (const name of /** @type {const} */ (['lost', 'session:lost'])) locks.on(name, () => events.push(name));
  return locks;
}

process.on('message', async (/** @type {string} */ name) => {
  const result = await handlers[name]?.().catch((error) => ({ failed: String(error) }));
  if (process.connected) process.send?.(result);
});
process.send?.({ ready: true });
