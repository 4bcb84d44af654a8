/**
 * Leader election: whoever holds the lock leads, for as long as its process lives, and the others wait in the queue. The
 * first leader is killed, and the next leads when its lease has lapsed; the second resigns, and the next leads at
 * once. The fencing token is the number of the term. Each candidate is a process of its own.
 */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { EventEmitter, on, once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { LockClient } from 'mongo-distributed-locks';
import { serverUri, withDatabase } from './support/database.js';

const [, , dbName] = process.argv;

async function stand(dbName: string): Promise<void> {
  process.once('disconnect', () => process.exit()); // nobody is left to lead
  const locks = new LockClient({ uri: serverUri(), dbName, leaseDurationMS: 1_000 });
  await locks.exec({
    resource: 'leader',
    id: 'nightly-report',
    fn: async ({ signal, fencingToken }) => {
      process.send?.({ term: fencingToken });
      await Promise.race([once(process, 'message'), once(signal, 'abort')]); // until told to resign, or the lock is lost
    },
  });
  await locks.close();
  process.disconnect?.();
}

async function elect(dbName: string): Promise<void> {
  const elections = new EventEmitter();
  const candidates = ['ada', 'bob', 'cyd'].map((name) => {
    const child = fork(fileURLToPath(import.meta.url), [dbName]);
    child.on('message', ({ term }: { term: number }) => elections.emit('won', { name, child, term }));
    return { child, exit: once(child, 'exit') };
  });
  const terms: number[] = [];
  let vacantSince = performance.now();
  for await (const [{ name, child, term }] of on(elections, 'won', { signal: AbortSignal.timeout(20_000) })) {
    console.log(
      `${name} leads, term ${term}, ${Math.round(performance.now() - vacantSince)} ms after there was nobody`,
    );
    terms.push(term);
    vacantSince = performance.now();
    if (terms.length === 1) child.kill('SIGKILL');
    else child.send('resign');
    if (terms.length === candidates.length) break;
  }
  assert.deepEqual(
    terms,
    [...new Set(terms)].sort((a, b) => a - b),
  ); // each term is later than the one before
  await Promise.all(candidates.map(({ exit }) => exit));
  assert.deepEqual(candidates.map(({ child }) => child.signalCode ?? child.exitCode).sort(), [0, 0, 'SIGKILL']);
}

if (dbName !== undefined) await stand(dbName);
else await withDatabase(({ db }) => elect(db.databaseName));
