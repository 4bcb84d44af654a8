/** The same contest for every lock that a user would pick instead: many callers in two processes, and one each in ten. */
import { byChance } from '../arrivals.js';
import { type Contest, contest } from '../contest.js';
import { percentile } from '../figures.js';
import { OURS } from '../peers/ours.js';
import type { Peer } from '../peers/peer.js';
import { PEERS } from '../peers/peers.js';
import type { Case, Question } from '../question.js';
import { atScale } from '../scale.js';
import type { Stage } from '../stage.js';
import { fairWaitMS, grantsPerSecond, handoffsOf, jainOf, overtakingShare, took, waitsOf } from '../verdict.js';

interface Crowd {
  readonly name: string;
  readonly callersCount: number;
  readonly processesCount: number;
}

export const MANY: Crowd = { name: '50 callers in 2 processes', callersCount: 50, processesCount: 2 };
/** They come once each, by chance, and what they wait is counted from when they were due. */
const BY_CHANCE: Crowd = {
  name: '60 callers a second, by chance, in 2 processes',
  callersCount: 60,
  processesCount: 2,
};
export const TEN: Crowd = { name: '10 processes', callersCount: 10, processesCount: 10 };
const HOLD_MS = 5;
const WINDOWS_COUNT = 4;

export function peerCase({ name }: Peer, crowd: Crowd): string {
  return `${name}, ${crowd.name}`;
}

function contending(peer: Peer, crowd: Crowd): Case {
  return {
    name: peerCase(peer, crowd),
    async measure(stage: Stage) {
      const processesCount = stage.scale.tiny ? 2 : crowd.processesCount;
      const callersCount = Math.max(processesCount, atScale(stage.scale, crowd.callersCount));
      // Those that poll need seconds to say anything.
      const windowsCount = stage.scale.tiny ? 5 * WINDOWS_COUNT : WINDOWS_COUNT;
      const result = await contest(stage, { peer, callersCount, processesCount, holdMS: HOLD_MS, windowsCount });
      const handoffs = handoffsOf(result).filter(({ betweenProcesses }) => betweenProcesses);
      const waits = waitsOf(result);
      return {
        'grants per second': grantsPerSecond(result),
        'handoff p50 ms': took(handoffs, 0.5),
        'handoff p99 ms': took(handoffs, 0.99),
        'wait p50 ms': percentile(waits, 0.5),
        'wait p99 ms': percentile(waits, 0.99),
        'longest wait ms': Math.max(...waits),
        'wait p99 over fair': percentile(waits, 0.99) / fairWaitMS(result, took(handoffs, 0.5)),
        'Jain index': jainOf(result),
        'share that overtook': overtakingShare(result),
      };
    },
  };
}

function arriving(peer: Peer): Case {
  return {
    name: peerCase(peer, BY_CHANCE),
    async measure(stage: Stage) {
      const { callersCount: perSecond, processesCount } = BY_CHANCE;
      const lengthMS = stage.scale.windowMS * WINDOWS_COUNT;
      const arrivals = byChance({ perSecond, lengthMS, seed: 1 });
      const crowd = { peer, callersCount: arrivals.length, processesCount, holdMS: HOLD_MS, arrivals };
      const result = await contest(stage, crowd);
      const waits = result.calls.map(
        ({ calledAt, grantedAt }) => Math.min(grantedAt || result.toAt, result.toAt) - calledAt,
      );
      return {
        'wait p50 ms': percentile(waits, 0.5),
        'wait p99 ms': percentile(waits, 0.99),
        'longest wait ms': Math.max(...waits),
        'share that overtook': overtakingShare(result),
        'share not served at the end': waits.length === 0 ? Number.NaN : unserved(result) / waits.length,
      };
    },
  };
}

function unserved({ calls, toAt }: Contest): number {
  return calls.filter(({ grantedAt }) => !(grantedAt <= toAt)).length;
}

/** Those that are there; a line for each that is not. */
async function present(stage: Stage): Promise<Peer[]> {
  const found: Peer[] = [];
  for (const peer of PEERS) {
    const address = await stage.addressFor(peer);
    if (address === null) continue;
    const works = await probe(stage, { peer, address });
    if (works) found.push(peer);
  }
  return found;
}

/** Takes the lock once: what is not installed, or does not run here, shows now. */
async function probe(stage: Stage, { peer, address }: { peer: Peer; address: string }): Promise<boolean> {
  try {
    const settings = { address, dbName: stage.dbName, key: stage.freshKey(), options: {} };
    const contender = await peer.connect(settings);
    await (await contender.acquire())();
    await contender.close();
    return true;
  } catch (error) {
    stage.leaveOut(peer.name, error);
    return false;
  }
}

export const PEERS_QUESTION: Question = {
  name: 'peers',
  title: 'beside what a user would pick instead',
  method:
    'Everybody calls while the main process holds the lock; then every caller holds for 5 ms, releases and comes again. All locks are measured in ' +
    'turn in every round, each on a server of its own kind on the same machine (PostgreSQL, Redis and ZooKeeper: one server each; etcd: as many ' +
    'members as the replica set has), nothing tuned but what would end a wait. A handoff counts where the next caller runs in another process. The ' +
    'Callers by chance come once each (Poisson, the same seed in every round), and wait from when they were due; who is not served at the end counts ' +
    'with the time so far. The share that overtook is that of grants that came before somebody’s who had called at least 100 ms earlier. PostgreSQL’s and Redis’s locks are ' +
    `not durable and not replicated here. ${PEERS.map(({ name, how }) => `${name}: ${how}`).join('; ')}.`,
  async cases(stage) {
    const peers = await present(stage);
    const crowds = stage.scale.tiny ? [MANY] : [MANY, TEN];
    const pushed = (peer: Peer): boolean =>
      peer === OURS || peer.server === 'etcd' || peer.server === 'zookeeper' || peer.server === 'postgres';
    const standing = crowds.flatMap((crowd) =>
      // Those that poll say all they have to say in the first crowd.
      peers.filter((peer) => crowd === MANY || pushed(peer)).map((peer) => contending(peer, crowd)),
    );
    return [...standing, ...peers.map(arriving)];
  },
  plotted: ['wait p50 ms', 'wait p99 ms', 'handoff p50 ms'],
};
