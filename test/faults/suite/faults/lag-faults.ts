/**
 * Faults of the commit point: a new primary answers majority reads from an earlier state until it has committed an
 * entry of its own term. The servers' fail point `disableSnapshotting` keeps it there for as long as a fault lasts.
 * Meanwhile no majority write is acknowledged and no stream delivers anything.
 */
import type { Member } from '../cluster.js';
import type { Entry } from '../facts.js';
import type { History } from '../history.js';
import { during, pass, until } from '../waiting.js';
import { ANYWHERE, type NeedyFault, primaryOf, type Scene } from './fault.js';

/** From a heartbeat or two to more than a lease. */
const LAG_MS = [200, 3_000] as const;
/**
 * How old the state may be when the primary is killed. By its heartbeats a process soon knows a later operation time,
 * and then no read of it is answered from that state.
 */
const FRESH_MS = 100;

async function setLag(members: readonly Member[], mode: 'alwaysOn' | 'off'): Promise<void> {
  const command = { configureFailPoint: 'disableSnapshotting', mode };
  const done = (member: Member): Promise<boolean> =>
    member.command(command).then(
      () => true,
      () => false,
    );
  await Promise.all(members.map((member) => until(`the fail point is ${mode}`, () => done(member))));
}

/** Resolves with true at the next such fact, and with false if none comes in time. */
function heard(history: History, kind: Entry['kind'], time: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (was: boolean): void => {
      forget();
      time.removeEventListener('abort', onAbort);
      resolve(was);
    };
    const forget = history.onFact((entry) => entry.kind === kind && end(true));
    const onAbort = (): void => end(false);
    time.addEventListener('abort', onAbort);
    if (time.aborted) onAbort();
  });
}

/**
 * Lets the others lag from a release on, and kills the primary when a stream delivers a grant soon after. Tries again
 * at the next release if none does. Resolves with false, and the others as they were, if the time is over first.
 */
async function killAtDelivery(
  { primary, others }: { primary: Member; others: readonly Member[] },
  history: History,
  signal: AbortSignal,
): Promise<boolean> {
  while (await heard(history, 'releasing', signal)) {
    let killed = false;
    const killing = during(FRESH_MS, async (time) => {
      killed = await heard(history, 'delivered', time);
      if (killed) await primary.kill();
    });
    await setLag(others, 'alwaysOn');
    await killing;
    if (killed) return true;
    await setLag(others, 'off');
  }
  return false;
}

/** At once, so that the leases outlive the election. If no candidate wins, the members elect one by themselves. */
async function elect(scene: Scene, candidates: readonly Member[]): Promise<void> {
  for (const member of candidates) {
    const elected = await member.command({ replSetStepUp: 1 }).then(
      () => true,
      () => false,
    );
    if (elected) break;
  }
  await primaryOf(scene);
}

const electionUnderLag: NeedyFault = {
  name: 'election under a commit point that lags',
  needs: [],
  available: ANYWHERE,
  inject: async (scene, signal) => {
    const { cluster, processes, disturbances, chance } = scene;
    await cluster.allFollow();
    const primary = await primaryOf(scene);
    const others = cluster.members.filter((member) => member !== primary);
    if (!(await killAtDelivery({ primary, others }, processes.history, signal))) return;
    await disturbances.during({ fault: electionUnderLag.name }, async () => {
      try {
        await elect(scene, others);
        await pass(chance.between(...LAG_MS), signal);
      } finally {
        await setLag(others, 'off');
        // Started again, it has the fail point off.
        await primary.start();
      }
      await cluster.allFollow();
    });
  },
};

export const LAG: readonly NeedyFault[] = [electionUnderLag];
