/**
 * The history checker of the demo: it finds what it is there to find, and says nothing of a history in which all is well.
 * Against a second, slow and obvious wording of each rule, on random histories.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type CallOutcome,
  type CallRecord,
  checkHistory,
  handoffs,
  isHold,
} from '../../packages/examples/src/demo/history.js';

/** One call: called, arrived, granted and released at these instants; the token is the instant of the grant. */
function call(caller: string, [calledAt, arrivedAt, grantedAt, releasedAt]: number[], more = {}): CallRecord {
  const record = { process: `process of ${caller}`, caller, key: 'key', calledAt: calledAt ?? 0, outcome: 'released' };
  const instants = { arrivedAt, grantedAt, token: grantedAt, releasedAt };
  const known = Object.entries({ ...record, ...instants, ...more }).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as unknown as CallRecord;
}

const callers = (findings: readonly { first: CallRecord; second: CallRecord }[]): string[][] =>
  findings.map(({ first, second }) => [first.caller, second.caller]);

describe('a recorded history', () => {
  it('of one after the other, in the order of arrival, has no finding', () => {
    const verdict = checkHistory([call('a', [0, 1, 2, 5]), call('b', [3, 4, 6, 8]), call('c', [5, 6, 9, 10])]);
    expect(verdict).toEqual({ grantsCount: 3, overlaps: [], inversions: [], tokenFaults: [], comparedCount: 1 });
  });

  it('shows two who hold at once', () => {
    const { overlaps } = checkHistory([call('a', [0, 1, 2, 9]), call('b', [0, 1, 5, 6]), call('c', [0, 1, 7, 8])]);
    expect(callers(overlaps)).toEqual([
      ['a', 'b'],
      ['a', 'c'],
    ]);
  });

  it('takes a hold that never ended for one that lasts', () => {
    const dropped = call('a', [0, 1, 2], { outcome: 'holding' });
    expect(callers(checkHistory([dropped, call('b', [0, 1, 99, 100])]).overlaps)).toEqual([['a', 'b']]);
  });

  it('lets a hold end with its loss', () => {
    const lost = call('a', [0, 1, 2], { lostAt: 5, outcome: 'lost' });
    expect(checkHistory([lost, call('b', [0, 1, 6, 7])]).overlaps).toEqual([]);
    expect(callers(checkHistory([lost, call('b', [0, 1, 4, 7])]).overlaps)).toEqual([['a', 'b']]);
  });

  it('shows who was overtaken', () => {
    const { inversions } = checkHistory([call('a', [0, 1, 8, 9]), call('b', [2, 3, 4, 5])]);
    expect(callers(inversions)).toEqual([['a', 'b']]);
  });

  it('shows who was overtaken and never served', () => {
    const waiting = call('a', [0, 1], { outcome: 'waiting' });
    expect(callers(checkHistory([waiting, call('b', [2, 3, 4, 5])]).inversions)).toEqual([['a', 'b']]);
  });

  it('does not blame those who overlap in arriving, or whose arrival nobody acknowledged', () => {
    expect(checkHistory([call('a', [0, 3, 8, 9]), call('b', [2, 3, 4, 5])]).inversions).toEqual([]);
    expect(checkHistory([call('a', [0, undefined as never, 8, 9]), call('b', [2, 3, 4, 5])]).inversions).toEqual([]);
  });

  it('does not count those who had left, but those who left too late', () => {
    const left = (leftAt: number): CallRecord => call('a', [0, 1], { leftAt, outcome: 'aborted' });
    expect(checkHistory([left(3), call('b', [2, 3, 4, 5])]).inversions).toEqual([]);
    expect(callers(checkHistory([left(6), call('b', [2, 3, 4, 5])]).inversions)).toEqual([['a', 'b']]);
  });

  it('shows tokens that do not rise', () => {
    const { tokenFaults } = checkHistory([call('a', [0, 1, 2, 3]), call('b', [0, 1, 4, 5], { token: 2 })]);
    expect(callers(tokenFaults)).toEqual([['a', 'b']]);
  });

  it('judges each key by itself', () => {
    const other = call('b', [2, 3, 4, 5], { key: 'another', token: 1 });
    const verdict = checkHistory([call('a', [0, 1, 3, 9]), other]);
    expect(verdict).toEqual({ grantsCount: 2, overlaps: [], inversions: [], tokenFaults: [], comparedCount: 0 });
  });

  it('has a handoff where one process released and another was waiting', () => {
    const records = [call('a', [0, 1, 2, 5]), call('b', [1, 2, 7, 9]), call('late', [9, 10, 11, 12])];
    expect(handoffs(records).map(({ from, to, tookMS }) => [from.caller, to.caller, tookMS])).toEqual([['a', 'b', 2]]);
    const sameProcess = [call('a', [0, 1, 2, 5], { process: 'p' }), call('b', [1, 2, 7, 9], { process: 'p' })];
    expect(handoffs(sameProcess)).toEqual([]);
  });
});

describe('random histories', () => {
  const instants = fc.tuple(fc.nat(20), fc.nat(20), fc.nat(20), fc.nat(20), fc.boolean(), fc.boolean());
  const history = fc.array(instants, { maxLength: 12 }).map((calls) => calls.map(randomCall));

  /** Distinct instants, so that no rule depends on how it takes a tie. */
  function randomCall(
    [calledIn, arrivedIn, grantedIn, heldFor, arrives, served]: [number, number, number, number, boolean, boolean],
    index: number,
  ): CallRecord {
    const calledAt = calledIn + index / 100;
    const arrivedAt = calledAt + arrivedIn + 0.001;
    const settledAt = arrivedAt + grantedIn + 0.001;
    const outcome: CallOutcome = served ? 'released' : 'timed out';
    const end = served
      ? { grantedAt: settledAt, token: index, releasedAt: settledAt + heldFor + 0.001 }
      : { leftAt: settledAt };
    const arrival = arrives ? { arrivedAt } : {};
    return { process: `p${index % 3}`, caller: `c${index}`, key: 'key', calledAt, ...arrival, ...end, outcome };
  }

  it('are judged as the sentence says: whoever was overtaken makes the overtaker a finding', () => {
    fc.assert(
      fc.property(history, (records) => {
        const overtakers = records.filter(
          (b) => isHold(b) && records.some((a) => (a.arrivedAt ?? Infinity) < b.calledAt && stayed(a) > b.grantedAt),
        );
        const { inversions } = checkHistory(records);
        expect(new Set(inversions.map(({ second }) => second.caller))).toEqual(names(overtakers));
      }),
    );
  });

  it('are judged as the sentence says: whoever is granted while another holds is a finding', () => {
    fc.assert(
      fc.property(history, (records) => {
        const holds = records.filter(isHold);
        const intruders = holds.filter((b) =>
          holds.some((a) => a.grantedAt < b.grantedAt && b.grantedAt < (a.releasedAt ?? Infinity)),
        );
        const { overlaps } = checkHistory(records);
        expect(new Set(overlaps.map(({ second }) => second.caller))).toEqual(names(intruders));
      }),
    );
  });

  function stayed({ grantedAt, leftAt }: CallRecord): number {
    return grantedAt ?? leftAt ?? Infinity;
  }

  function names(records: readonly CallRecord[]): Set<string> {
    return new Set(records.map(({ caller }) => caller));
  }
});
