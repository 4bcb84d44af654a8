/**
 * The observer where something ends by force, and where it begins or breaks in the middle of contention: it misses nothing and tells nothing twice.
 */
import { describe, expect, test } from 'vitest';
import type { EndFact, GrantedFact } from '../../packages/cli/src/observer/facts.js';
import { Contender } from '../support/child-process.js';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { problemsOf, Watched, watch } from './watched.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'observed', id: 'long' };

test('tells that a lock was taken over from a process that was killed, and that one was released by force', async () => {
  const watched = await watch(database.db);
  const [killed] = await Contender.start(1);
  const settings = { leaseDurationMS: 1_000, clockSkewMS: 300, label: 'killed' };
  await killed?.ask('open', { client: 'c', uri: database.uri, settings });
  await killed?.ask('lock', { client: 'c', callers: ['k'], pair });
  await killed?.granted('k');
  const next = await database.connected({ ...settings, label: 'next' });
  const waiting = next.locks.lock(pair);
  await database.untilWaiting(pair, 1);
  await killed?.kill();
  const lock = await waiting;
  await eventually(() => watched.told('granted').length === 2);
  expect(watched.told('session:dead')).toMatchObject([{ party: { label: 'killed' } }]);
  expect(watched.told('taken-over')).toMatchObject([{ ...pair, holder: { label: 'killed' }, to: { label: 'next' } }]);
  const request = { ...pair, fencingToken: lock.fencingToken, reason: 'it hangs', by: 'the operator' };
  await expect(next.locks.forceRelease(request)).resolves.toBe(true);
  await eventually(() => watched.told('forced').length === 1);
  expect(watched.told('forced')).toMatchObject([
    { ...pair, holder: { label: 'next' }, reason: 'it hangs', by: 'the operator', to: null },
  ]);
  expect(watched.told('released')).toEqual([]);
}, 30_000);

describe('an observer that begins or breaks in the middle of contention', () => {
  /** Callers of two clients that go on until told. */
  async function contention(): Promise<() => Promise<void>> {
    const clients = [await database.connected(), await database.connected()];
    let goesOn = true;
    const callers = clients.flatMap(({ locks }) => {
      return Array.from({ length: 5 }, async () => {
        while (goesOn) await locks.exec({ ...pair, fn: async () => {} });
      });
    });
    return async () => {
      goesOn = false;
      await Promise.all(callers);
    };
  }

  const held = ({ observer }: Watched): number | null => {
    return [...observer.locks.values()][0]?.hold?.firstToken ?? null;
  };

  test('knows the holder it begins with, tells nothing twice, and misses nothing', async () => {
    const stop = await contention();
    const all = await watch(database.db);
    const started: { watched: Watched; holder: number | null }[] = [];
    for (let times = 0; times < 5; times += 1) {
      await eventually(() => all.told('granted').length > 20 * (times + 1), 10_000);
      const watched = new Watched(database.db);
      // Before its first fact: what was read is what the facts go on from.
      let holder: number | null = null;
      const opened = watched.observer.open().then(() => undefined);
      await eventually(() => watched.statuses.includes('live'));
      const [first] = watched.facts.filter((fact): fact is EndFact | GrantedFact => 'firstToken' in fact);
      holder = first === undefined ? held(watched) : first.kind === 'granted' ? null : first.firstToken;
      await opened;
      started.push({ watched, holder });
    }
    await stop();
    await eventually(() =>
      [all, ...started.map(({ watched }) => watched)].every(({ observer }) => observer.locks.size === 0),
    );
    expect(all.told('granted').length).toBeGreaterThan(100);
    expect(started.flatMap(({ watched, holder }) => problemsOf(watched.facts, holder))).toEqual([]);
    for (const { watched } of started) {
      const tail = watched.told('granted').map(({ firstToken }) => firstToken);
      expect(
        all
          .told('granted')
          .map(({ firstToken }) => firstToken)
          .slice(-tail.length),
      ).toEqual(tail);
    }
  }, 30_000);

  test('goes on where it was when its cursor is killed', async () => {
    const stop = await contention();
    const watched = await watch(database.db);
    const holder = null;
    for (let times = 1; times <= 3; times += 1) {
      await eventually(() => watched.told('granted').length > 20 * times, 10_000);
      await killStreams();
      await eventually(() => watched.statuses.filter((status) => status === 'live').length > times, 10_000);
    }
    await stop();
    await eventually(() => watched.observer.locks.size === 0);
    expect(watched.statuses.filter((status) => status === 'interrupted').length).toBeGreaterThanOrEqual(3);
    const [first] = watched.facts.filter((fact): fact is EndFact | GrantedFact => 'firstToken' in fact);
    const from = first?.kind === 'granted' ? holder : (first?.firstToken ?? null);
    expect(problemsOf(watched.facts, from)).toEqual([]);
    expect(watched.told('gap')).toEqual([]);
  }, 30_000);

  test('reads everything again where a collection was dropped, and says that there is a gap', async () => {
    const watched = await watch(database.db);
    const { locks } = await database.connected();
    await (await locks.lock(pair)).unlock();
    await database.db.collection('other').insertOne({});
    await database.db.collection('other').drop();
    await database.db.collection('dlocks.sessions').rename('dlocks.kept');
    await eventually(() => watched.told('gap').length === 1);
    await database.db.collection('dlocks.kept').rename('dlocks.sessions');
    await eventually(() => watched.told('gap').length === 2 && watched.statuses.at(-1) === 'live');
    const lock = await locks.lock(pair);
    await eventually(() => watched.observer.locks.size === 1);
    expect(held(watched)).toBe(lock.fencingToken);
    await lock.unlock();
  });
});

/** Ends the cursors of all change streams over this whole database, on the server. */
async function killStreams(): Promise<void> {
  const admin = database.observer.db('admin');
  const stages = [
    { $currentOp: { allUsers: true, idleCursors: true } },
    { $match: { ns: `${database.name}.$cmd.aggregate`, 'cursor.cursorId': { $exists: true } } },
  ];
  const found = await eventually(async () => {
    const cursors = await admin.aggregate(stages).toArray();
    return cursors.length > 0 ? cursors : null;
  });
  const cursors = found.map(({ cursor }) => cursor.cursorId);
  await database.db.command({ killCursors: '$cmd.aggregate', cursors });
}
