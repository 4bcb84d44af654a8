/**
 * The instants by which `dlocks exec` and its guard agree on a deadline: by two clocks, of which one counts suspension.
 */
import { describe, expect, test } from 'vitest';
import { instantIn, killInstant, msUntil } from '../../packages/cli/src/exec/instant.js';

const EXACT_MS = 50;

describe('an instant', () => {
  test('comes when its time has passed', () => {
    expect(msUntil(instantIn(10_000))).toBeGreaterThan(10_000 - EXACT_MS);
    expect(msUntil(instantIn(10_000))).toBeLessThanOrEqual(10_000);
    expect(msUntil(instantIn(-5))).toBeLessThan(0);
  });

  test('means the same to another process: it is by clocks of the machine', () => {
    const told = JSON.parse(JSON.stringify(instantIn(1_000)));
    expect(msUntil(told)).toBeGreaterThan(1_000 - EXACT_MS);
  });

  test('comes early where the machine was suspended: the clock that runs then has come to it', () => {
    const { running } = instantIn(60_000);
    const { booted } = instantIn(-20);
    // Elsewhere one clock counts both.
    if (booted !== null) expect(msUntil({ running, booted })).toBeLessThanOrEqual(0);
    expect(msUntil({ running, booted: null })).toBeGreaterThan(60_000 - EXACT_MS);
  });
});

describe('a command that is asked to end', () => {
  test('has its grace, counted from the deadline of its lock where that has passed', () => {
    const leftOf = (deadlineInMS: number): number =>
      msUntil(killInstant({ deadlineAt: instantIn(deadlineInMS), killAfterMS: 500 }));
    expect(leftOf(10_000)).toBeGreaterThan(500 - EXACT_MS);
    expect(leftOf(10_000)).toBeLessThanOrEqual(500);
    expect(leftOf(-400)).toBeLessThanOrEqual(100);
    expect(leftOf(-10_000)).toBeLessThan(0);
  });
});
