/**
 * Cluster workers and threads as contenders, each with a lock client of its own, on the shared server: served in the order in which they came, passed
 * over when one of them is ended while it holds, and with nothing left once they have closed.
 */
import cluster, { type Worker as ClusterWorker } from 'node:cluster';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { Worker as Thread } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { endOrphanedCursors, openCursors, storedLeftovers } from '../support/leaks.js';

const PROGRAM = new URL('./children/contender.mjs', import.meta.url);
const LOCK = { resource: 'job', id: 1 };
const database = useDatabase(import.meta.url);

type Order = 'lock' | 'unlock' | 'close' | 'leave';
type Fact = {
  kind: 'ready' | 'granted' | 'released' | 'closed' | 'failed';
  token?: number;
  released?: boolean;
  code?: string;
};

/** One contender, whichever way it was started. */
interface Contender {
  readonly facts: Fact[];
  order(order: Order): void;
  /** Ends it as it stands. */
  end(): Promise<void>;
  /** The code it ended with by itself. */
  readonly exit: Promise<number>;
}

function clusterWorker(): Contender {
  cluster.setupPrimary({ exec: fileURLToPath(PROGRAM), execArgv: [], silent: false });
  const worker: ClusterWorker = cluster.fork({ CONTENDER_URI: database.uri });
  const exit = once(worker, 'exit').then(([code]) => code as number);
  const facts: Fact[] = [];
  worker.on('message', (fact: Fact) => facts.push(fact));
  const end = async (): Promise<void> => {
    worker.process.kill('SIGKILL');
    await exit;
  };
  return { facts, order: (order) => worker.send(order), end, exit };
}

function thread(): Contender {
  const worker = new Thread(PROGRAM, { workerData: { uri: database.uri }, execArgv: [] });
  const exit = once(worker, 'exit').then(([code]) => code as number);
  const facts: Fact[] = [];
  worker.on('message', (fact: Fact) => facts.push(fact));
  const end = async (): Promise<void> => {
    await worker.terminate();
  };
  return { facts, order: (order) => worker.postMessage(order), end, exit };
}

let started: Contender[] = [];

async function start(make: () => Contender, count: number): Promise<Contender[]> {
  started = Array.from({ length: count }, make);
  await Promise.all(started.map((contender) => eventually(() => told(contender, 'ready'), 15_000)));
  return started;
}

afterEach(async () => {
  await Promise.all(started.splice(0).map((contender) => contender.end()));
  await database.empty();
  // What an ended stream was asking for may still be under way on the server.
  await eventually(async () => {
    await endOrphanedCursors(database.observer, database.name);
    return (await openCursors(database.observer, database.name)).length === 0;
  });
});

const told = ({ facts }: Contender, kind: Fact['kind']): Fact | undefined => facts.find((fact) => fact.kind === kind);

/** A client that has closed has told the server to end its cursor; the server may be at it still. */
async function untilNoCursors(): Promise<void> {
  await eventually(async () => (await openCursors(database.observer, database.name)).length === 0);
}

/** One after the other: each has arrived before the next is asked. */
async function arriveInOrder([first, ...others]: Contender[]): Promise<void> {
  first?.order('lock');
  await eventually(() => first && told(first, 'granted'));
  for (const [index, other] of others.entries()) {
    other.order('lock');
    await database.untilWaiting(LOCK, index + 1);
  }
}

describe.each([
  ['cluster workers', clusterWorker],
  ['threads', thread],
])('%s', (_name, make) => {
  it('are served in the order in which they came, and leave nothing once closed', async () => {
    const contenders = await start(make, 3);
    await arriveInOrder(contenders);
    const tokens: number[] = [];
    for (const [index, contender] of contenders.entries()) {
      tokens.push(Number((await eventually(() => told(contender, 'granted'))).token));
      expect(contenders.filter((each) => told(each, 'granted'))).toHaveLength(index + 1);
      contender.order('unlock');
      expect(await eventually(() => told(contender, 'released'))).toMatchObject({ released: true });
    }
    expect(tokens).toEqual(tokens.toSorted((a, b) => a - b));
    for (const contender of contenders) contender.order('close');
    for (const contender of contenders) await eventually(() => told(contender, 'closed'));
    expect(await storedLeftovers(database.db)).toEqual([]);
    await untilNoCursors();
    for (const contender of contenders) contender.order('leave');
    expect(await Promise.all(contenders.map(({ exit }) => exit))).toEqual([0, 0, 0]);
  });

  it('are passed over when one is ended while it holds: the next has the lock when its lease has lapsed', async () => {
    const contenders = await start(make, 2);
    await arriveInOrder(contenders);
    const [holder, next] = contenders;
    if (holder === undefined || next === undefined) throw new Error('Nobody was started');
    expect(told(next, 'granted')).toBeUndefined();
    await holder.end();
    const { token } = await eventually(() => told(next, 'granted'), 15_000);
    expect(token).toBeGreaterThan(Number(told(holder, 'granted')?.token));
  });
});
