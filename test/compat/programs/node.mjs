/**
 * The package as an ES module on one version of Node: locked, contended for, handed on in order, closed. The process ends by itself, or what is left
 * open keeps it.
 */
import assert from 'node:assert/strict';
import DLocks, { LockClient, LockTimeoutError } from 'mongo-distributed-locks';

const uri = process.env.MONGODB_URI;
const dbName = process.env.DATABASE;
const LOCK = { resource: 'job', id: 7n };

assert.equal(DLocks.LockClient, LockClient);
const clients = [1, 2, 3].map((number) => new LockClient({ uri, dbName, label: `client ${number}` }));
const [first, second, third] = clients;
const held = await first.lock(LOCK);
assert.equal(await second.tryLock(LOCK), null);
await assert.rejects(second.lock({ ...LOCK, timeoutMS: 20 }), LockTimeoutError);
await assert.rejects(second.lock({ ...LOCK, signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' });

/** Whoever is asked next arrives when this one waits. */
const waiting = (client) => new Promise((resolve) => client.once('waiting', resolve));
const served = [];
const call = (client, name) =>
  client.exec({ ...LOCK, fn: ({ fencingToken, signal }) => served.push([name, fencingToken, signal.aborted]) });
const calls = [];
for (const [client, name] of [
  [second, 'second'],
  [third, 'third'],
]) {
  const queued = waiting(client);
  calls.push(call(client, name));
  await queued;
}
assert.equal(await held.unlock(), true);
assert.equal(await held.unlock(), false);
await Promise.all(calls);
assert.deepEqual(
  served.map(([, , aborted]) => aborted),
  [false, false],
);
const tokens = served.map(([, token]) => token);
assert.deepEqual(
  tokens,
  [...tokens].sort((a, b) => a - b),
);
assert.ok(tokens[0] > held.fencingToken);
await Promise.all(clients.map((client) => client.close()));
await assert.rejects(first.lock(LOCK), { code: 'LOCK_CLOSED' });
console.log('node.mjs: done');
