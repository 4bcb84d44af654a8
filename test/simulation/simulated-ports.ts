/**
 * The simulated store and feed of one undisturbed process, for tests that talk to the ports without an engine: whoever
 * waits for an answer moves the world on.
 */
import { Chance } from './chance.js';
import { Commands, type Condition } from './commands.js';
import type { ConformancePorts } from './conformance.js';
import { realEngine } from './engine-module.js';
import { Link } from './link.js';
import { ReplicaSet } from './replica-set.js';
import { makeScenario } from './scenario.js';
import { SimFeed } from './sim-feed.js';
import { SimProcess } from './sim-process.js';
import { SimStore } from './sim-store.js';
import { World } from './world.js';

/** More events than any one answer takes. */
const EVENTS_MAX = 10_000;

/** `off`: conditions of the commands that are switched off. */
export function simulatedPorts(seed: number, off: readonly Condition[] = []): ConformancePorts {
  const [plan] = makeScenario(seed, []).processes;
  if (plan === undefined) throw new Error('a scenario has processes');
  const world = new World();
  const chance = Chance.named(seed, 'simulated ports');
  const set = new ReplicaSet(world, chance, { commitMS: [0.2, 2], stepMS: [0, 1] });
  const process = new SimProcess({ name: 'P0', world, chance, rate: 1, timerLateMS: 0, traceLines: null });
  const shared = { world, chance, set, process };
  const { errors } = realEngine;
  const link = new Link({ ...shared, settings: plan.link, outages: [], errors, disturb: () => {} });
  const feed = new SimFeed({ ...shared, link, settings: plan.feed, gaps: [] });
  const until = async (condition: () => boolean): Promise<void> => {
    await world.settle();
    for (let count = 0; !condition() && Number.isFinite(world.nextAt) && count < EVENTS_MAX; count += 1) {
      await world.runUntil(world.nextAt, () => !condition());
    }
  };
  return {
    store: new SimStore(link, new Commands(set, 'P0', new Set(off))),
    feed,
    until,
    settle: async (answer) => {
      let settled = false;
      const end = (): void => {
        settled = true;
      };
      answer.then(end, end);
      await until(() => settled);
      return answer;
    },
  };
}
