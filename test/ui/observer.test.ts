/**
 * The observer of `dlocks watch` and the live page against real locks on a real replica set: which facts it tells, and in which order. What takes
 * longer is in `observer.long.test.ts`.
 */
import { expect, test } from 'vitest';
import { Observer } from '../../packages/cli/src/observer/observer.js';
import { useDatabase } from '../support/database.js';
import { eventually, rejection } from '../support/eventually.js';
import { problemsOf, watch } from './watched.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'observed/a%b', id: '1/2' };

test('tells of a session, a grant, an arrival, a handoff with how long, and the end, in this order', async () => {
  const watched = await watch(database.db);
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
  const watched = await watch(database.db);
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

test('rejects where the database cannot be observed, and is closed then', async () => {
  const { observer } = database;
  const unnamed = new Observer({ db: observer.db('admin'), collectionName: 'a'.repeat(300), listener: {} });
  const error = await rejection(unnamed.open());
  expect(error).toBeInstanceOf(Error);
  await unnamed.close();
  expect(unnamed.status).toBe('closed');
});

test('the checker of these tests finds what is told twice, missed, or in the wrong order', async () => {
  const watched = await watch(database.db);
  const { locks } = await database.connected();
  for (let times = 0; times < 3; times += 1) await (await locks.lock(pair)).unlock();
  await eventually(() => watched.told('released').length === 3);
  const facts = watched.facts.filter((fact) => 'firstToken' in fact);
  const without = (index: number): typeof facts => facts.filter((_, at) => at !== index);
  expect(problemsOf(facts, null)).toEqual([]);
  expect(problemsOf([...facts.slice(0, 2), ...facts], null)).not.toEqual([]);
  expect(facts.map((_, index) => problemsOf(without(index), null).length > 0).slice(0, -1)).not.toContain(false);
  expect(problemsOf(facts.toReversed(), null)).not.toEqual([]);
});
