/**
 * What goes over the wire, whatever text a caller gives for `resource`, `id` and `label`: the very commands that plain texts lead to, with the
 * text as a value in them and nowhere else. That they are the right values is `integration/failures/documents` (Q4) and the store's tests.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { nameText } from '../support/arbitraries.js';
import type { SentCommand } from '../support/command-log.js';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { FUZZ_LIMIT_MS, finds, fuzz } from '../support/fuzz.js';

const database = useDatabase(import.meta.url);
/** So long that neither heartbeat nor patrol come between: what they send has nothing of a caller in it. */
const SETTINGS = { leaseDurationMS: 3_600_000, patrolIntervalMS: 3_600_000, idleMS: 3_600_000 };

/** What a caller gives. */
interface Texts {
  readonly resource: string;
  readonly id: string;
  readonly label: string;
}

const PLAIN: Texts = { resource: 'plain', id: 'plain', label: 'plain' };
const texts: fc.Arbitrary<Texts> = fc.record({
  resource: nameText,
  id: nameText,
  label: nameText,
});

const LEARNING_MAX = 40;

/** What of a command a server takes for more than a value: the names of its fields, and texts that an expression reads as one. */
function meanings(value: unknown, path = ''): string[] {
  if (typeof value === 'string')
    return value.startsWith('$') && !/\.\$literal(\[\])?$/.test(path) ? [`${path} = ${value}`] : [];
  if (Array.isArray(value)) return value.flatMap((item) => meanings(item, `${path}[]`));
  if (typeof value !== 'object' || value === null || '_bsontype' in value) return [];
  return Object.entries(value).flatMap(([name, inner]) => [`${path}.${name}`, ...meanings(inner, `${path}.${name}`)]);
}

/** By what kind of command, everything it means. */
function meaningsOf(commands: readonly SentCommand[]): Set<string> {
  const own = ['lsid', '$clusterTime', 'txnNumber'];
  return new Set(
    commands.flatMap(({ name, command }) => {
      const given = Object.fromEntries(Object.entries(command).filter(([field]) => !own.includes(field)));
      return meanings(given, name);
    }),
  );
}

/** Every step with a text: a free lock, one that is held, a queue, a handoff, leaving, a patrol's look; looking, and releasing by force. */
async function useLock([a, b]: readonly [TestClient, TestClient], { resource, id, label }: Texts): Promise<void> {
  const pair = { resource, id };
  const lock = await a.locks.lock({ ...pair, label });
  expect(await b.locks.tryLock({ ...pair, label })).toBeNull();
  const waiting = b.locks.lock({ ...pair, label });
  const controller = new AbortController();
  await database.untilWaiting(pair, 1);
  const leaving = a.locks.lock({ ...pair, label, signal: controller.signal }).catch(() => 'left');
  await database.untilWaiting(pair, 2);
  controller.abort();
  expect(await leaving).toBe('left');
  await database.untilWaiting(pair, 1);
  expect(await lock.unlock()).toBe(true);
  const next = await waiting;
  expect([next.resource, next.id]).toEqual([resource, id]);
  expect((await a.locks.inspect(pair)).holder?.fencingToken).toBe(next.fencingToken);
  expect((await a.locks.list({ prefix: resource })).locks).toMatchObject([{ resource, id }]);
  const behind = a.locks.lock({ ...pair, label });
  await database.untilWaiting(pair, 1);
  const { fencingToken } = next;
  expect(await b.locks.forceRelease({ ...pair, fencingToken, reason: label, by: id })).toBe(true);
  const last = await behind;
  expect((await b.locks.inspect(pair)).forced).toMatchObject({ reason: label, by: id });
  expect(await a.locks.forceRelease({ ...pair, fencingToken: last.fencingToken, reason: label, by: id })).toBe(true);
  expect([next.held, last.held]).toEqual([false, false]);
}

async function clients(label: string): Promise<[TestClient, TestClient]> {
  const made: [TestClient, TestClient] = [
    database.client({ ...SETTINGS, label }),
    database.client({ ...SETTINGS, label }),
  ];
  await Promise.all(made.map(({ locks }) => locks.connect()));
  return made;
}

function sentBy(made: readonly TestClient[]): SentCommand[] {
  return made.flatMap(({ commands }) => [...commands.all]);
}

describe('a text that a caller gives', () => {
  it(
    'is a value in every command, never a field, an operator or an expression',
    async () => {
      const plain = await clients(PLAIN.label);
      for (let round = 0; round < 3; round += 1) await useLock(plain, PLAIN);
      let known = meaningsOf(sentBy(plain));
      const unknown = (sent: readonly SentCommand[]): string[] =>
        [...meaningsOf(sent)].filter((meaning) => !known.has(meaning));
      expect(known.size).toBeGreaterThan(100);
      const pair = await clients('$label');
      await fuzz(
        fc.asyncProperty(texts, async (given) => {
          await useLock(pair, given);
          const sent = sentBy(pair);
          // Which commands a release takes depends on who came first: plain texts get there, too.
          for (let round = 0; round < LEARNING_MAX && unknown(sent).length > 0; round += 1) {
            await useLock(plain, PLAIN);
            known = meaningsOf(sentBy(plain));
          }
          expect(unknown(sent)).toEqual([]);
          for (const { commands } of pair) commands.clear();
        }),
        { runs: 12, shrinks: false },
      );
      await eventually(
        async () => (await database.db.collection('dlocks').countDocuments({ key: { $exists: true } })) === 0,
      );
    },
    FUZZ_LIMIT_MS,
  );

  it(
    'as the label of a client is a value in its session, too',
    async () => {
      await database.connected({ ...SETTINGS, label: PLAIN.label });
      const plain = database.client({ ...SETTINGS, label: PLAIN.label });
      await plain.locks.connect();
      await plain.locks.close();
      const known = meaningsOf(plain.commands.sent);
      await fuzz(
        fc.asyncProperty(nameText, async (label) => {
          const client = database.client({ ...SETTINGS, label });
          await client.locks.connect();
          const stored = await database.db
            .collection<{ _id: string; label?: string }>('dlocks.sessions')
            .findOne({ _id: client.session });
          expect(stored?.label).toBe(label);
          await client.locks.close();
          await client.mongo.close();
          expect([...meaningsOf(client.commands.sent)].filter((meaning) => !known.has(meaning))).toEqual([]);
        }),
        { runs: 20, shrinks: false },
      );
    },
    FUZZ_LIMIT_MS,
  );

  it('would be found as a field, an operator, or an expression', async () => {
    const means = (text: string): string[] => [...meanings({ [text]: 1 }), ...meanings({ set: { a: `$${text}` } })];
    expect(
      await finds(
        fc.property(nameText, (text) => means(text).length < 2),
        50,
      ),
    ).toBe(true);
    expect(meanings({ set: { $literal: '$where' } })).toEqual(['.set', '.set.$literal']);
    expect(meanings({ set: { $literal: ['$where'] } })).toEqual(['.set', '.set.$literal']);
    expect(meanings({ set: ['$where'] })).toEqual(['.set', '.set[] = $where']);
  });
});

itLeavesNothingBehind(database);
