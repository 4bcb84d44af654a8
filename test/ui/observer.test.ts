/**
 * The observer of `dlocks watch` and the live page against real locks on a real replica set: which facts it tells, in which order, that it tells
 * none twice and misses none, whenever it begins and whatever breaks its stream.
 */
import { afterEach, describe, expect, test } from 'vitest';
import type { EndFact, Fact, GrantedFact } from '../../packages/cli/src/observer/facts.js';
import { Observer, type ObserverStatus } from '../../packages/cli/src/observer/observer.js';
import { Contender } from '../support/child-process.js';
import { useDatabase } from '../support/database.js';
import { eventually, rejection } from '../support/eventually.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'observed/a%b', id: '1/2' };

/** The facts of a kind; one type may have several. */
type FactOf<K> = Fact extends infer F ? (F extends { kind: infer G } ? (K extends G ? F : never) : never) : never;

/** An observer, and all that it told. */
class Watched {
  readonly facts: Fact[] = [];
  readonly statuses: ObserverStatus[] = [];
  readonly observer: Observer = new Observer({
    db: database.db,
    listener: {
      onFact: (fact) => void this.facts.push(fact),
      onStatus: (status) => void this.statuses.push(status),
    },
  });

  get kinds(): string[] {
    return this.facts.map(({ kind }) => kind);
  }

  told<K extends Fact['kind']>(kind: K): FactOf<K>[] {
    return this.facts.filter((fact) => fact.kind === kind) as FactOf<K>[];
  }
}

const open: Watched[] = [];

async function watch(): Promise<Watched> {
  const watched = new Watched();
  open.push(watched);
  await watched.observer.open();
  return watched;
}

afterEach(async () => {
  await Promise.all(open.splice(0).map(({ observer }) => observer.close()));
});

test('tells of a session, a grant, an arrival, a handoff with how long, and the end, in this order', async () => {
  const watched = await watch();
  const [one, other] = [await database.connected({ label: 'one' }), await database.connected({ label: 'other' })];
  const lock = await one.locks.lock(pair);
  const waiting = other.locks.lock(pair);
  await database.untilWaiting(pair, 1);
  await lock.unlock();
  const second = await waiting;
  await second.unlock();
  const told = await eventually(() => (watched.told('released').length === 2 ? watched : null));
  expect(told.kinds.filter((kind) => !kind.startsWith('session'))).toEqual([
    'granted',
    'arrived',
    'released',
    'granted',
    'released',
  ]);
  expect(told.told('session:opened').map(({ party }) => party.label)).toEqual(['one', 'other']);
  const [first, handoff] = told.told('granted');
  expect(first).toMatchObject({ ...pair, firstToken: lock.fencingToken, from: null, waitedMS: null });
  expect(handoff).toMatchObject({
    firstToken: second.fencingToken,
    from: { label: 'one' },
    waitedMS: expect.any(Number),
  });
  expect(handoff?.holder).toMatchObject({ label: 'other', pid: process.pid });
  expect(told.told('arrived')).toMatchObject([{ ...pair, position: 1, callersCount: 1, waiter: { label: 'other' } }]);
  expect(told.told('released')).toMatchObject([{ to: { label: 'other' }, heldMS: expect.any(Number) }, { to: null }]);
  expect(told.observer.locks.size).toBe(0);
});

test('tells who left the queue, and that a lock document was deleted while it was held', async () => {
  const watched = await watch();
  const [one, other] = [await database.connected(), await database.connected()];
  const lock = await one.locks.lock(pair);
  const leaving = new AbortController();
  const left = other.locks.lock({ ...pair, signal: leaving.signal });
  await eventually(() => watched.told('arrived').length === 1);
  leaving.abort(new Error('changed my mind'));
  await rejection(left);
  await eventually(() => watched.told('left').length === 1);
  expect(watched.told('left')).toMatchObject([{ ...pair, sessionIsDead: false, waitedMS: expect.any(Number) }]);
  await database.db.collection('dlocks').deleteMany({});
  await eventually(() => watched.told('removed').length === 1);
  expect(watched.told('removed')).toMatchObject([{ ...pair, firstToken: lock.fencingToken, to: null }]);
  await eventually(() => lock.signal.aborted);
});

test('tells that a lock was taken over from a process that was killed, and that one was released by force', async () => {
  const watched = await watch();
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

/** Whether grants and ends are those of one lock after the other, each run granted and ended once, with all tokens accounted for. */
function problemsOf(facts: readonly Fact[], holder: number | null): string[] {
  const problems: string[] = [];
  let held = holder;
  for (const fact of facts) {
    if (fact.kind === 'granted') {
      if (held !== null) problems.push(`${fact.firstToken} granted while ${held} is held`);
      held = (fact as GrantedFact).firstToken;
    }
    if (fact.kind === 'released' || fact.kind === 'taken-over' || fact.kind === 'forced' || fact.kind === 'removed') {
      if (held !== (fact as EndFact).firstToken) problems.push(`${fact.firstToken} ended while ${held} is held`);
      held = null;
    }
  }
  const runs = facts.filter((fact): fact is GrantedFact => fact.kind === 'granted');
  for (const [index, run] of runs.entries()) {
    const before = runs[index - 1];
    if (before !== undefined && run.firstToken !== before.lastToken + 1) problems.push(`gap before ${run.firstToken}`);
  }
  return problems;
}

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
    const all = await watch();
    const started: { watched: Watched; holder: number | null }[] = [];
    for (let times = 0; times < 5; times += 1) {
      await eventually(() => all.told('granted').length > 20 * (times + 1), 10_000);
      const watched = new Watched();
      open.push(watched);
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
    const watched = await watch();
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
    const watched = await watch();
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

test('rejects where the database cannot be observed, and is closed then', async () => {
  const { observer } = database;
  const unnamed = new Observer({ db: observer.db('admin'), collectionName: 'a'.repeat(300), listener: {} });
  const error = await rejection(unnamed.open());
  expect(error).toBeInstanceOf(Error);
  await unnamed.close();
  expect(unnamed.status).toBe('closed');
});
