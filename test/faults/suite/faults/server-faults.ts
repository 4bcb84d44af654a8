/** Faults of the members of the set: killed and started again, suspended, stepped down, and too few for a majority. */
import type { Member } from '../cluster.js';
import { pass } from '../waiting.js';
import { ANYWHERE, type NeedyFault, primaryOf, type Scene } from './fault.js';

type Victims = (scene: Scene) => Promise<readonly Member[]>;

const primary: Victims = async (scene) => [await primaryOf(scene)];
const oneSecondary: Victims = async ({ cluster }) => (await cluster.secondaries()).slice(0, 1);
/** The primary stays, and is alone. */
const secondaries: Victims = ({ cluster }) => cluster.secondaries();

const DOWN_MS = [500, 4_000] as const;

function killMembers(what: string, victimsOf: Victims): NeedyFault {
  const name = `kill -9 of ${what}`;
  const inject = async (scene: Scene, signal: AbortSignal): Promise<void> => {
    const victims = await victimsOf(scene);
    await scene.disturbances.during({ fault: name }, async () => {
      await Promise.all(victims.map((member) => member.kill()));
      await pass(scene.chance.between(...DOWN_MS), signal);
      await Promise.all(victims.map((member) => member.start()));
    });
  };
  return { name, needs: [], available: ANYWHERE, inject };
}

function pauseMembers(what: string, victimsOf: Victims): NeedyFault {
  const name = `SIGSTOP of ${what}`;
  const inject = async (scene: Scene, signal: AbortSignal): Promise<void> => {
    const victims = await victimsOf(scene);
    await scene.disturbances.during({ fault: name }, async () => {
      for (const member of victims) member.pause();
      await pass(scene.chance.between(...DOWN_MS), signal);
      for (const member of victims) member.resume();
    });
  };
  return { name, needs: [], available: ANYWHERE, inject };
}

/** The primary gives up its office, and another is elected. */
export const STEPDOWN: NeedyFault = {
  name: 'stepdown of the primary',
  needs: [],
  available: ANYWHERE,
  inject: async (scene) => {
    const { disturbances } = scene;
    const member = await primaryOf(scene);
    await disturbances.during({ fault: STEPDOWN.name }, async () => {
      // Where it cannot at once, such as without a secondary that keeps up, it says so and stays.
      const command = { replSetStepDown: 5, secondaryCatchUpPeriodSecs: 2 };
      await member.command(command).catch(() => {});
      await primaryOf(scene);
    });
  },
};

export const PRIMARY: readonly NeedyFault[] = [
  killMembers('the primary', primary),
  pauseMembers('the primary', primary),
  STEPDOWN,
];
export const MEMBERS: readonly NeedyFault[] = [
  killMembers('a secondary', oneSecondary),
  killMembers('the majority', secondaries),
  pauseMembers('the majority', secondaries),
];
