/** What the soak of the fault suite takes for growth, on figures that were made up. (With real processes: `--self-check`.) */
import { expect, it } from 'vitest';
import { growthOf, SAMPLES_MIN, type Sample } from '../faults/suite/growth.js';

const ALLOWANCE = { share: 0.1, least: 1 };
const ENOUGH = 4 * SAMPLES_MIN;

function samples(count: number, valueAt: (share: number) => number): Sample[] {
  return Array.from({ length: count }, (_, index) => ({ at: index * 1_000, value: valueAt(index / count) }));
}

it('figures that go up and down by little are flat', () => {
  expect(
    growthOf(
      samples(ENOUGH + 4, (share) => 20 + Math.sin(share * 300)),
      ALLOWANCE,
    ).state,
  ).toBe('flat');
});

it('figures that rise by more than the allowance have grown, whichever part of it is larger', () => {
  expect(
    growthOf(
      samples(ENOUGH + 4, (share) => 20 + 6 * share),
      ALLOWANCE,
    ).state,
  ).toBe('grown');
  expect(
    growthOf(
      samples(ENOUGH + 4, (share) => 20 + 3 * share),
      ALLOWANCE,
    ).state,
  ).toBe('flat');
  expect(
    growthOf(
      samples(ENOUGH + 4, (share) => 1 + 2.5 * share),
      ALLOWANCE,
    ).state,
  ).toBe('grown');
});

it('what rises in the first quarter and then no more is warm-up', () => {
  expect(
    growthOf(
      samples(ENOUGH + 4, (share) => 20 + 40 * Math.min(share, 0.24)),
      ALLOWANCE,
    ).state,
  ).toBe('flat');
});

it('one high figure is no growth', () => {
  const some = samples(ENOUGH + 4, () => 20);
  expect(growthOf([...some, { at: ENOUGH * 1_000, value: 500 }], ALLOWANCE).state).toBe('flat');
});

it('too few figures give no verdict, rising or not, nor do those of a part of the time', () => {
  expect(
    growthOf(
      samples(ENOUGH - 4, (share) => 20 + 90 * share),
      ALLOWANCE,
    ).state,
  ).toBe('too short');
  expect(growthOf([], ALLOWANCE).state).toBe('too short');
  const early = samples(ENOUGH, () => 20);
  expect(growthOf([...early, { at: 10_000_000, value: 20 }], ALLOWANCE).state).toBe('too short');
});
