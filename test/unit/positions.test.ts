/** Where callers stand, as the patrol read it and as the tokens move it on: who is told what, and how often. */
import { describe, expect, it } from 'vitest';
import { Positions } from '#core/engine/positions.js';
import { Ticket } from '#core/engine/ticket.js';
import type { Waiter } from '#core/engine/waiter.js';
import type { LockState, TicketState } from '#core/protocol/documents.js';
import { HandClock } from '../support/hand-clock.js';

const LOCK: LockState = {
  key: 'k',
  version: 1,
  grant: 'other/100/1:1',
  fence: 100,
  arrivals: 9,
  firstArrival: null,
  born: 1,
};

/** The head of a queue: three callers of others, then two tickets of ours, with two callers and one. */
const HEAD: readonly TicketState[] = [
  { session: 'other', n: 1, callers: 1 },
  { session: 'other', n: 2, callers: 3 },
  { session: 'ours', n: 7, callers: 2 },
  { session: 'ours', n: 8, callers: 1 },
];

function arranged() {
  const clock = new HandClock();
  const told: [name: string, position: number, estimatedWaitMS: number | null][] = [];
  const names = new Map<Waiter, string>();
  const waiters = ['a', 'b', 'c'].map((name) => {
    const waiter = { phase: 'waiting' } as Waiter;
    names.set(waiter, name);
    return waiter;
  });
  const tickets = [new Ticket(7, waiters.slice(0, 2), 'arrive', 1), new Ticket(8, waiters.slice(2), 'arrive', 1)];
  const tell = (waiter: Waiter, position: number, estimatedWaitMS: number | null): void => {
    told.push([names.get(waiter) ?? '?', position, estimatedWaitMS]);
  };
  const positions = new Positions({ clock, tell });
  const read = (lock: LockState = LOCK): void =>
    positions.read({ lock, head: HEAD }, ({ session, n }) =>
      session === 'ours' ? tickets.find((ticket) => ticket.n === n) : undefined,
    );
  return { clock, told, waiters, positions, read };
}

describe('positions', () => {
  it('count the callers before, without those of the run that holds the lock', () => {
    const { told, read } = arranged();
    read();
    expect(told).toEqual([
      ['a', 4, null],
      ['b', 5, null],
      ['c', 6, null],
    ]);
  });

  it('go on by the tokens, at once when nothing was told for a second, and estimate by the pace', () => {
    const { clock, told, positions, read } = arranged();
    read();
    told.length = 0;
    clock.advance(2_000);
    positions.moved({ fence: 102 });
    expect(told).toEqual([
      ['a', 2, 2_000],
      ['b', 3, 3_000],
      ['c', 4, 4_000],
    ]);
  });

  it('are told once a second however often the queue moves, the last place included', () => {
    const { clock, told, positions, read } = arranged();
    read();
    told.length = 0;
    for (const fence of [101, 102, 103]) positions.moved({ fence });
    expect(told).toEqual([]);
    clock.advance(999);
    expect(told).toEqual([]);
    clock.advance(1);
    expect(told.map(([name, position]) => [name, position])).toEqual([
      ['a', 1],
      ['b', 2],
      ['c', 3],
    ]);
    clock.advance(10_000);
    expect(told).toHaveLength(3);
  });

  it('are told to nobody who was served or has left, and are never below the first', () => {
    const { clock, told, waiters, positions, read } = arranged();
    read();
    told.length = 0;
    clock.advance(1_000);
    (waiters[0] as { phase: string }).phase = 'left';
    (waiters[1] as { phase: string }).phase = 'granted';
    positions.moved({ fence: 190 });
    expect(told.map(([name, position]) => [name, position])).toEqual([['c', 1]]);
  });

  it('do not go back by what comes late, be it a token or the answer of a look', () => {
    const { clock, told, positions, read } = arranged();
    read();
    clock.advance(1_000);
    positions.moved({ fence: 102 });
    told.length = 0;
    clock.advance(1_000);
    positions.moved({ fence: 102 });
    positions.moved({ fence: 50 });
    expect(told).toEqual([]);
    read();
    expect(told.map(([, position]) => position)).toEqual([2, 3, 4]);
  });

  it('are forgotten with the document that was made anew, and start over with a look at it', () => {
    const { clock, told, positions, read } = arranged();
    read();
    clock.advance(2_000);
    expect(positions.moved({ fence: 102 })).toBe(true);
    told.length = 0;
    clock.advance(1_000);
    expect(positions.moved({ fence: 9_000_000, born: 8_999_999 })).toBe(false);
    expect(told).toEqual([]);
    read({ ...LOCK, fence: 9_000_000, born: 8_999_999 });
    expect(told).toEqual([
      ['a', 4, null],
      ['b', 5, null],
      ['c', 6, null],
    ]);
  });

  it('are told once a second by looks, too, but at once to one who was told nothing yet', () => {
    const { clock, told, waiters, positions, read } = arranged();
    (waiters[2] as { phase: string }).phase = 'granted';
    read();
    read();
    expect(told.map(([name]) => name)).toEqual(['a', 'b']);
    clock.advance(1_000);
    expect(told).toHaveLength(4);
    (waiters[2] as { phase: string }).phase = 'waiting';
    read();
    expect(told.map(([name]) => name)).toEqual(['a', 'b', 'a', 'b', 'a', 'b', 'c']);
    positions.forget();
  });

  it('tell nobody after they were forgotten', () => {
    const { clock, told, positions, read } = arranged();
    read();
    told.length = 0;
    positions.moved({ fence: 101 });
    positions.forget();
    clock.advance(5_000);
    positions.moved({ fence: 102 });
    expect(told).toEqual([]);
  });
});
