/**
 * One contending process of the benchmarks: connects as it is told, lets callers contend, writes bare writes, and ends with the main process.
 * `fleet.ts` forks it.
 */
import { type Collection, MongoClient } from 'mongodb';
import { nowMS } from '../clock.js';
import type { Contender } from '../peers/peer.js';
import { contenderOf } from '../peers/peers.js';
import { Callers } from './callers.js';
import type { ConnectSettings, Envelope, Order, Reply } from './orders.js';

interface Connected {
  readonly contender: Contender;
  readonly callers: Callers;
  readonly mongo: MongoClient;
  readonly bare: Collection<{ _id: string }>;
}

let connected: Connected | null = null;

function current(): Connected {
  if (connected === null) throw new Error('This process is not connected');
  return connected;
}

async function connect(settings: ConnectSettings): Promise<void> {
  const mongo = await new MongoClient(settings.mongodbUri).connect();
  const bare = mongo.db(settings.dbName).collection<{ _id: string }>('bare', {
    writeConcern: { w: 'majority', journal: true },
  });
  const contender = await contenderOf(settings);
  connected = { contender, callers: new Callers(contender), mongo, bare };
  // Connections are made, and code is compiled, before anything is measured.
  for (let time = 0; time < 3; time += 1) await write();
}

async function write(): Promise<number> {
  const startedAt = nowMS();
  await current().bare.findOneAndUpdate({ _id: 'bare' }, { $inc: { count: 1 } }, { upsert: true });
  return nowMS() - startedAt;
}

async function close(): Promise<void> {
  const { contender, mongo } = current();
  connected = null;
  await contender.close();
  await mongo.close();
}

async function carryOut(order: Order): Promise<unknown> {
  if (order.kind === 'connect') return connect(order.settings);
  if (order.kind === 'contend') return current().callers.start(order.callers, order.holdMS);
  if (order.kind === 'arrive') return current().callers.arrive(order.instants, order.holdMS);
  if (order.kind === 'drain') return current().callers.ended();
  if (order.kind === 'stop') return current().callers.stop();
  if (order.kind === 'write') return write();
  return close();
}

function tell(reply: Reply): void {
  if (process.connected) process.send?.(reply);
}

process.on('disconnect', () => process.exit());
process.on('message', ({ number, order }: Envelope) => {
  carryOut(order).then(
    (value) => tell({ number, value: value ?? null }),
    (error: unknown) =>
      tell({ number, error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
tell({ ready: true, at: nowMS() });
