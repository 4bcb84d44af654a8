/** The handoff where the server is far away: through a proxy that holds back every packet, beside the bare write through the same proxy. */
import { contest } from '../contest.js';
import { percentile } from '../figures.js';
import { OURS } from '../peers/ours.js';
import type { Case, Question } from '../question.js';
import { some } from '../scale.js';
import { SlowWay } from '../slow-way.js';
import type { Stage } from '../stage.js';
import { grantsPerSecond, handoffsOf, took } from '../verdict.js';

const ROUND_TRIPS_MS = [10, 1, 2, 50];
const HOLD_MS = 5;

function faraway(roundTripMS: number): Case {
  return {
    name: `round trip ${roundTripMS} ms, 10 waiters, 2 processes, hold ${HOLD_MS} ms`,
    async measure(stage: Stage) {
      const way = await SlowWay.to(await stage.primary(), { roundTripMS });
      try {
        const crowd = { peer: OURS, processesCount: 2, callersCount: 11, holdMS: HOLD_MS, inTurn: true };
        const address = `mongodb://${way.address}/?directConnection=true`;
        const result = await contest(stage, { ...crowd, address, windowsCount: 2, withBareWrites: true });
        const handoffs = handoffsOf(result).filter(({ betweenProcesses }) => betweenProcesses);
        const bare = percentile(result.bareMS, 0.5);
        return {
          'handoff p50 ms': took(handoffs, 0.5),
          'handoff p99 ms': took(handoffs, 0.99),
          'bare write p50 ms': bare,
          'p50 over bare': took(handoffs, 0.5) / bare,
          'grants per second': grantsPerSecond(result),
        };
      } finally {
        await way.close();
      }
    },
  };
}

export const ROUND_TRIP: Question = {
  name: 'round-trip',
  title: 'handoffs where the server is far away',
  method:
    'As `handoff`, with every process connected to the primary through a proxy in the main process that holds back what either side sends for half ' +
    'the round trip (a timer takes a millisecond at least: a round trip of one is held back on the way back); the bare writes go the same way. Between the members nothing is held back.',
  cases: async ({ scale }) => some(scale, ROUND_TRIPS_MS).map(faraway),
  plotted: ['handoff p50 ms', 'bare write p50 ms'],
};
