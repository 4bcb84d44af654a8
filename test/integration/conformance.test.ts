/**
 * The simulated store against the real one: the same seeded sequences of commands, the same answers. What the simulation
 * shows of the engine is worth what this shows of the simulation.
 */
import { expect, it } from 'vitest';
import { type ConformancePorts, transcript } from '../simulation/conformance.js';
import { simulatedPorts } from '../simulation/simulated-ports.js';
import { eventually } from '../support/eventually.js';
import { usePortsDatabase } from '../support/mongo-ports.js';

const SEEDS_COUNT = Number(process.env.CONFORMANCE_SEEDS ?? 60);
const database = usePortsDatabase(import.meta.url);

function realPorts(): ConformancePorts {
  const { store, feed } = database.ports();
  return { store, feed, settle: (answer) => answer, until: async (condition) => void (await eventually(condition)) };
}

it(`answers ${SEEDS_COUNT} sequences of commands as the server does`, {
  timeout: 10_000 + SEEDS_COUNT * 2_000,
}, async () => {
  const real = realPorts();
  for (let seed = 1; seed <= SEEDS_COUNT; seed += 1) {
    const lines = await transcript(real, 'c', seed);
    expect(lines.length).toBeGreaterThan(50);
    expect(await transcript(simulatedPorts(seed), 'c', seed)).toEqual(lines);
  }
});
