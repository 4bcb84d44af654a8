/**
 * What a handoff costs does not depend on how many processes wait, how many callers wait, or how many locks are held (INV-10), counted over the
 * simulated store. `SIMULATION_SCALE=1` counts at the sizes of `docs/operations.md`, and prints what it says there.
 */
import { describe, expect, it } from 'vitest';
import { countAtScale, type ScaleCounts, type ScaleSettings } from './scale.js';

const LARGE = process.env.SIMULATION_SCALE !== undefined;
const LIMIT_MS = LARGE ? 900_000 : 60_000;

/** What a grant takes: beats, audits and patrols go on whether or not anything is granted. */
const OF_A_GRANT = ['TRY', 'ARRIVE', 'PREFETCH', 'HANDOFF', 'VACATE', 'LEAVE', 'CLEAR'];

function perGrant({ commands, grantsCount }: ScaleCounts): number {
  return OF_A_GRANT.reduce((sum, name) => sum + (commands[name] ?? 0), 0) / grantsCount;
}

async function counted(settings: ScaleSettings): Promise<ScaleCounts> {
  const counts = await countAtScale(settings);
  if (LARGE) console.log(JSON.stringify({ ...settings, ...counts }));
  return counts;
}

describe('INV-10: what a handoff costs', () => {
  it('is the same for few processes that wait and for many', { timeout: LIMIT_MS }, async () => {
    const few = await counted({ processesCount: 10, callersEach: 1, windowMS: 2_000 });
    const many = await counted({ processesCount: LARGE ? 1_000 : 100, callersEach: 1, windowMS: 10_000 });
    expect(few.grantsCount).toBeGreaterThan(100);
    // It arrives, has its ticket deleted, looks at the queue and passes the lock on.
    expect(perGrant(few)).toBeCloseTo(4, 0);
    expect(perGrant(many)).toBeLessThanOrEqual(perGrant(few) * 1.02);
    // One stream and one heartbeat for each process.
    expect(many.streamsCount).toBe(LARGE ? 1_000 : 100);
    expect(many.commands.RENEW).toBe(LARGE ? 1_000 : 100);
  });

  it('is the same for few callers that wait and for many', { timeout: LIMIT_MS }, async () => {
    const few = await counted({ processesCount: 4, callersEach: 5, runMaxCount: 1, windowMS: 2_000 });
    const size = { processesCount: 4, callersEach: LARGE ? 2_500 : 100 };
    const many = await counted({ ...size, runMaxCount: 1, windowMS: 2_000 });
    expect(few.grantsCount).toBeGreaterThan(100);
    expect(many.commands.HANDOFF).toBeGreaterThan(100);
    expect(perGrant(many)).toBeLessThanOrEqual(perGrant(few) * 1.02);
    expect(many.streamsCount).toBe(4);
  });

  it('is the same with many locks held beside, which have one heartbeat for each process', {
    timeout: LIMIT_MS,
  }, async () => {
    const none = await counted({ processesCount: 4, callersEach: 2, windowMS: 10_000 });
    const many = await counted({ processesCount: 4, callersEach: 2, heldEach: LARGE ? 25_000 : 250, windowMS: 10_000 });
    expect(perGrant(many)).toBeLessThanOrEqual(perGrant(none) * 1.02);
    expect(many.commands.RENEW).toBe(4);
  });
});
