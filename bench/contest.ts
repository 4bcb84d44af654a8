/**
 * One contest for one lock: some processes with some callers each, who take it, hold it and come again, for a while; then, on the same server with
 * the same change streams still open, bare majority writes at the pace of the handoffs. It measures and judges nothing: `verdict.ts` does. The
 * questions call it.
 */

import { nowMS, pause } from './clock.js';
import { gaps, median } from './figures.js';
import type { Worker } from './fleet.js';
import { lockId } from './peers/ours.js';
import type { Contender, Peer } from './peers/peer.js';
import { type Inversions, inversionsIn } from './server-order.js';
import type { Stage } from './stage.js';
import type { CallTuple } from './worker/orders.js';

export interface ContestSettings {
  readonly peer: Peer;
  readonly processesCount: number;
  /** One more than those who wait while one holds. */
  readonly callersCount: number;
  readonly holdMS: number;
  /** For how many windows of the scale it is measured. */
  readonly windowsCount?: number;
  /** Of the peer. */
  readonly options?: Readonly<Record<string, unknown>>;
  /** Of the processes in turn, each arrival acknowledged before the next call: for our own library only. */
  readonly inTurn?: boolean;
  readonly withBareWrites?: boolean;
  /** Instead of the server of the peer, and for the bare writes too: the same one, on another way. */
  readonly address?: string;
  /** Callers who come at these instants after the start, once each, instead of again and again. */
  readonly arrivals?: readonly number[];
}

/** One call; instants on the one clock, NaN where it did not come to that. */
export interface Call {
  readonly process: number;
  readonly caller: number;
  readonly calledAt: number;
  readonly grantedAt: number;
  readonly releasedAt: number;
  /** When the release was acknowledged to its caller. */
  readonly answeredAt: number;
}

export interface Contest {
  readonly settings: ContestSettings;
  readonly calls: readonly Call[];
  /** What is measured lies between these. */
  readonly fromAt: number;
  readonly toAt: number;
  /** By everybody, between these. */
  readonly commands: { readonly writes: number; readonly reads: number };
  readonly oplogEntriesCount: number;
  /** From the first call to the last grant, by the server's own order; our own library only. */
  readonly inversions: Inversions | null;
  readonly bareMS: readonly number[];
}

const ARRIVAL_LIMIT_MS = 30_000;
/** Time for the callers of others to begin to wait: they do not say when they do. */
const OTHERS_ARRIVE_MS = 300;
const BARE_COUNTS = { least: 20, most: 400 };

export async function contest(stage: Stage, settings: ContestSettings): Promise<Contest> {
  const address = settings.address ?? (await stage.addressFor(settings.peer));
  if (address === null) throw new Error(`${settings.peer.name} has no server`);
  const workers = await stage.fleet.borrow(settings.processesCount);
  const key = stage.freshKey();
  const { options = {} } = settings;
  const where = { address, dbName: stage.dbName, key, options };
  try {
    const connection = { ...where, peer: settings.peer.name, mongodbUri: settings.address ?? stage.uri };
    await Promise.all(workers.map((worker) => worker.order({ kind: 'connect', settings: connection })));
    const gate = await settings.peer.connect(where);
    const measured = await measure(stage, { settings, workers, key, gate }).finally(() => gate.close());
    await Promise.all(workers.map((worker) => worker.order({ kind: 'close' })));
    return measured;
  } catch (error) {
    stage.fleet.discard(workers);
    throw error;
  }
}

interface Ring {
  readonly settings: ContestSettings;
  readonly workers: readonly Worker[];
  readonly key: string;
  /** Holds the lock until everybody waits for it. */
  readonly gate: Contender;
}

async function measure(stage: Stage, ring: Ring): Promise<Contest> {
  const { settings, workers } = ring;
  const { arrivals, windowsCount = 1 } = settings;
  const since = await stage.oplogEnd();
  const open = await ring.gate.acquire();
  if (arrivals === undefined) await callAll(stage, ring);
  await open();
  if (arrivals !== undefined) await sendArrivals(ring, arrivals);
  await pause(arrivals === undefined ? stage.scale.settleMS : 0);
  const before = await counted(stage);
  await pause(arrivals === undefined ? stage.scale.windowMS * windowsCount : (arrivals.at(-1) ?? 0) + 200);
  const after = await counted(stage);
  const calls = await stopAll(workers);
  await Promise.all(workers.map((worker) => worker.order({ kind: 'drain' })));
  const inversions =
    settings.peer.name === 'this library' ? inversionsIn(await stage.oplogSince(since), lockId(ring.key)) : null;
  const granted = calls.map(({ grantedAt }) => grantedAt).filter((at) => at >= before.at && at <= after.at);
  const bareMS = settings.withBareWrites ? await bareWrites(ring, granted) : [];
  return {
    settings,
    calls,
    fromAt: before.at,
    toAt: after.at,
    commands: { writes: after.writes - before.writes, reads: after.reads - before.reads },
    oplogEntriesCount: await entriesBetween(stage, before, after),
    inversions,
    bareMS,
  };
}

interface Counted {
  readonly at: number;
  readonly writes: number;
  readonly reads: number;
  readonly oplogEnd: Awaited<ReturnType<Stage['oplogEnd']>>;
}

async function counted(stage: Stage): Promise<Counted> {
  const [commands, oplogEnd] = [await stage.serverCommands(), await stage.oplogEnd()];
  return { at: nowMS(), ...commands, oplogEnd };
}

async function entriesBetween(stage: Stage, before: Counted, after: Counted): Promise<number> {
  const since = (await stage.oplogSince(before.oplogEnd)).length;
  return since - (await stage.oplogSince(after.oplogEnd)).length;
}

/** Everybody calls while the gate holds. */
async function callAll(stage: Stage, { settings, workers, key }: Ring): Promise<void> {
  const { callersCount, holdMS, inTurn = false } = settings;
  const all = Array.from({ length: callersCount }, (_, caller) => caller);
  if (inTurn) {
    for (const caller of all) {
      await workers[caller % workers.length]?.order({ kind: 'contend', callers: [caller], holdMS });
      await untilWaiting(stage, { key, count: caller + 1 });
    }
    return;
  }
  await Promise.all(
    workers.map((worker, index) => {
      const callers = all.filter((caller) => caller % workers.length === index);
      return worker.order({ kind: 'contend', callers, holdMS });
    }),
  );
  await pause(OTHERS_ARRIVE_MS);
}

async function untilWaiting(stage: Stage, { key, count }: { key: string; count: number }): Promise<void> {
  const end = nowMS() + ARRIVAL_LIMIT_MS;
  const tickets = stage.db.collection('dlocks');
  while ((await tickets.countDocuments({ key: lockId(key) })) < count) {
    if (nowMS() > end) throw new Error(`Waited in vain for ${count} callers to arrive`);
  }
}

/** The callers come at their instants, to the processes in turn. */
async function sendArrivals({ settings, workers }: Ring, arrivals: readonly number[]): Promise<void> {
  const startAt = nowMS() + 100;
  await Promise.all(
    workers.map((worker, index) => {
      const instants = arrivals.filter((_, place) => place % workers.length === index).map((after) => startAt + after);
      return worker.order({ kind: 'arrive', instants, holdMS: settings.holdMS });
    }),
  );
}

async function stopAll(workers: readonly Worker[]): Promise<Call[]> {
  const told = await Promise.all(workers.map((worker) => worker.order({ kind: 'stop' })));
  return told.flatMap((records, process) =>
    (records as readonly CallTuple[]).map(([caller, calledAt, grantedAt, releasedAt, answeredAt]) => ({
      process,
      caller,
      calledAt,
      grantedAt,
      releasedAt,
      answeredAt,
    })),
  );
}

/** By the same processes in turn, as far apart as the grants were. */
async function bareWrites({ workers }: Ring, grantedAt: readonly number[]): Promise<number[]> {
  const times: number[] = [];
  const wanted = Math.min(BARE_COUNTS.most, Math.max(BARE_COUNTS.least, grantedAt.length));
  const everyMS = median(gaps(grantedAt));
  while (times.length < wanted) {
    const startedAt = nowMS();
    times.push(Number(await workers[times.length % workers.length]?.order({ kind: 'write' })));
    await pause(startedAt + everyMS - nowMS());
  }
  return times;
}
