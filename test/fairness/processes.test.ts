/**
 * Four processes with 25 callers each contend for one lock, again and again, and count up a number that nothing else guards. What each caller saw goes
 * through the history checker of the demo: no overlap, no inversion, rising tokens; and every increment is there. That the checker finds what it
 * should is shown in `unit/history.test.ts`, and here with this very history.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type CallRecord, checkHistory, isHold } from '../../packages/examples/src/demo/history.js';
import { guardedNumber } from '../faults/children/guarded.js';
import { Contender } from '../support/child-process.js';
import { useDatabase } from '../support/database.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
const SETTINGS = { leaseDurationMS: 3_000, clockSkewMS: 500, idleMS: 60_000 };
const PROCESSES_COUNT = 4;
const CALLERS_COUNT = 25;
const TIMES_COUNT = 5;
const CALLS_COUNT = PROCESSES_COUNT * CALLERS_COUNT * TIMES_COUNT;

let processes: Contender[] = [];

beforeAll(async () => {
  processes = await Contender.start(PROCESSES_COUNT);
});

afterEach(async () => {
  await Promise.all(processes.map((process) => process.ask('close', { client: 'locks' })));
});

afterAll(async () => {
  await Promise.all(processes.map((process) => process.kill()));
});

async function contend(): Promise<CallRecord[]> {
  const { uri } = database;
  await Promise.all(processes.map((process) => process.ask('open', { client: 'locks', uri, settings: SETTINGS })));
  const contention = { client: 'locks', uri, pair: PAIR, callersCount: CALLERS_COUNT, timesCount: TIMES_COUNT };
  const records = await Promise.all(processes.map((process) => process.ask('contend', contention)));
  return records.flat();
}

/** How long those waited who waited longest, in turns of others: a fair lock lets everybody else go once, or twice at the start of it. */
function longestWaits(records: readonly CallRecord[]): number[] {
  const order = records.filter(isHold).sort((a, b) => a.token - b.token);
  const calls = records.map(({ calledAt, token }) => {
    const place = order.findIndex((hold) => hold.token === token);
    return order.slice(0, place).filter(({ grantedAt }) => grantedAt > calledAt).length;
  });
  return calls.sort((a, b) => b - a).slice(0, 5);
}

describe('INV-01, INV-02, INV-03: 100 callers of 4 processes on one lock', () => {
  it('never hold it together, never overtake each other, get rising tokens and lose no update', async () => {
    const records = await contend();
    const verdict = checkHistory(records);
    expect(records).toHaveLength(CALLS_COUNT);
    expect(verdict).toMatchObject({ grantsCount: CALLS_COUNT, overlaps: [], inversions: [], tokenFaults: [] });
    // It was contention: most found somebody whom they could have overtaken.
    expect(verdict.comparedCount).toBeGreaterThan(CALLS_COUNT / 2);
    expect(await guardedNumber(database.observer).read()).toBe(CALLS_COUNT);
    expect(longestWaits(records)[0]).toBeLessThan(2 * PROCESSES_COUNT * CALLERS_COUNT);

    const [first, second] = records.filter(isHold).sort((a, b) => a.token - b.token);
    if (first === undefined || second === undefined) throw new Error('There was no contention');
    const spoilt = records.map((record) =>
      record === second ? { ...second, grantedAt: first.grantedAt + 0.001 } : record,
    );
    expect(checkHistory(spoilt).overlaps.length).toBeGreaterThan(0);
    const swapped = records.map((record) => (record === first ? { ...first, token: second.token } : record));
    expect(checkHistory(swapped).tokenFaults.length).toBeGreaterThan(0);
    const patient = {
      ...first,
      caller: 'patient',
      arrivedAt: first.calledAt,
      grantedAt: Number.MAX_VALUE,
      token: Number.MAX_VALUE,
    };
    expect(checkHistory([...records, { ...patient, releasedAt: Number.MAX_VALUE }]).inversions.length).toBeGreaterThan(
      0,
    );
    // A thousand commands on two cores, whatever else these do.
  }, 60_000);
});
