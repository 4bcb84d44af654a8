/**
 * Whether the conformance sequences would notice: each condition of the simulated commands is switched off, and some
 * sequence must come out differently. That they come out as the real server's do is tried in `integration/`.
 */
import { expect, test } from 'vitest';
import type { Condition } from './commands.js';
import { transcript } from './conformance.js';
import { simulatedPorts } from './simulated-ports.js';

/** No more than the real server is asked for. */
const SEEDS_MAX = 60;

/** All but the order of the two reads of PREFETCH, which shows only when another command comes between them. */
const CONDITIONS: readonly Condition[] = [
  'try-only-vacant',
  'ticket-keeps-its-place',
  'mark-grants-vacant',
  'mark-counts',
  'mark-notes-first',
  'handoff-exact-grant',
  'handoff-notes-force',
  'handoff-writes-trace',
  'vacate-exact-grant',
  'vacate-arrivals',
  'vacate-next-number',
  'vacate-not-own-ticket',
  'vacate-not-dead-session',
  'vacate-notes-force',
  'vacate-writes-trace',
  'note-stays',
  'trace-stays',
  'rescue-only-vacant',
  'rescue-exact-fence',
  'grant-clears-first-arrival',
  'first-token-from-cluster-time',
  'renew-only-alive',
  'open-not-dead',
  'reap-skew',
  'reap-until',
  'reap-beats',
  'reap-absent-waits',
  'prefetch-leaves-out-own',
];

test.each(CONDITIONS)('a store without %s answers otherwise', async (condition) => {
  expect(await firstDifference(condition)).toBeLessThanOrEqual(SEEDS_MAX);
});

async function firstDifference(condition: Condition): Promise<number> {
  for (let seed = 1; seed <= SEEDS_MAX; seed += 1) {
    const lines = await transcript(simulatedPorts(seed), 'c', seed);
    const others = await transcript(simulatedPorts(seed, [condition]), 'c', seed);
    if (lines.join('\n') !== others.join('\n')) return seed;
  }
  return Number.POSITIVE_INFINITY;
}
