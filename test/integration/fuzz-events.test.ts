/**
 * Rubbish in the change stream: another tool inserts, updates, replaces and deletes documents whose `grant` names a session that waits, or nearly.
 * The stream goes on and delivers the right grants. What is stored under the keys that are waited for is `fuzz-documents`.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { anyText, storedValue } from '../support/arbitraries.js';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { FUZZ_LIMIT_MS, fuzz } from '../support/fuzz.js';

const database = useDatabase(import.meta.url);
/** So long that nothing but the stream can deliver within the limit of a call. */
const SETTINGS = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };
const TIMEOUT_MS = 10_000;

type Documents = Record<string, unknown>;

/** One change that another tool makes. */
interface Change {
  readonly how: 'insert' | 'update' | 'replace' | 'delete' | 'pipeline';
  readonly id: unknown;
  readonly grant: unknown;
  readonly other: Documents;
}

const suffix = fc.oneof(
  fc.constantFrom(
    '/',
    '/0/1:1',
    '/1/1:1',
    '/5/1:1,2:9',
    '/9007199254740993/1:1',
    '/1/1:1/',
    '//',
    '/1/1:9999999999',
    '/1e3/1:1',
  ),
  anyText.map((text) => `/${text}`),
);
const change: fc.Arbitrary<Change> = fc.record({
  how: fc.constantFrom('insert', 'update', 'replace', 'delete', 'pipeline'),
  id: fc.oneof(
    fc.constantFrom<unknown>('junk', 'lock:junk/1', 'lock:', '', 7),
    storedValue.filter((value) => !Array.isArray(value)),
  ),
  grant: fc.oneof({ weight: 3, arbitrary: suffix.map((text) => `SESSION${text}`) }, storedValue),
  other: fc.dictionary(
    fc.constantFrom('fence', 'v', 'arrivals', 'firstArrival', 'born', 'x', 'grants', 'trace', 'forced'),
    storedValue,
    {
      maxKeys: 3,
    },
  ),
});

async function make({ how, id, grant, other }: Change, session: string): Promise<void> {
  const documents = database.db.collection<Documents>('dlocks');
  const _id = { junk: id };
  const filter = { _id: typeof id === 'string' ? `junk ${id}` : _id };
  const fields = { ...other, grant: typeof grant === 'string' ? grant.replace('SESSION', session) : grant };
  const upsert = { upsert: true };
  if (how === 'insert') await documents.insertOne({ ...fields, ...filter } as never);
  if (how === 'update') await documents.updateOne(filter as never, { $set: fields }, upsert);
  if (how === 'pipeline')
    await documents.updateOne(filter as never, [{ $set: { grant: { $literal: fields.grant } } }], upsert);
  if (how === 'replace') await documents.replaceOne(filter as never, fields, upsert);
  if (how === 'delete') await documents.deleteOne(filter as never);
}

/** The server may refuse the other tool: an `_id` that is taken, or that can be none. */
async function attempt(given: Change, session: string): Promise<void> {
  await make(given, session).catch((error: { code?: unknown }) => {
    if (typeof error.code !== 'number') throw error;
  });
}

async function passOn(
  [holder, waiter]: readonly [TestClient, TestClient],
  changes: readonly Change[],
  id: number,
): Promise<void> {
  const pair = { resource: 'beside', id };
  const lock = await holder.locks.lock(pair);
  const waiting = waiter.locks.lock({ ...pair, timeoutMS: TIMEOUT_MS });
  await database.untilWaiting(pair, 1);
  for (const each of changes) await attempt(each, waiter.session);
  expect(await lock.unlock()).toBe(true);
  const next = await waiting;
  expect(next.fencingToken).toBe(lock.fencingToken + 1);
  expect(next.held).toBe(true);
  expect(await next.unlock()).toBe(true);
}

describe('events of documents that another tool writes', () => {
  it(
    'do not stop the stream from delivering the right grants',
    async () => {
      const clients = [await database.connected(SETTINGS), await database.connected(SETTINGS)] as const;
      let round = 0;
      const property = fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 12 }), async (changes) => {
        round += 1;
        await passOn(clients, changes, round);
        await database.db.collection<Documents>('dlocks').deleteMany({ _id: { $not: /^lock:beside/ } } as never);
        expect(clients.flatMap((client) => client.seen('stream:interrupted'))).toEqual([]);
      });
      try {
        await fuzz(property, { runs: 20, shrinks: false });
        await eventually(
          async () => (await database.db.collection('dlocks').countDocuments({ grant: { $type: 'string' } })) === 0,
        );
      } finally {
        for (const client of clients) client.expectsErrors = client.logged.length > 0;
      }
    },
    FUZZ_LIMIT_MS,
  );
});

itLeavesNothingBehind(database);
