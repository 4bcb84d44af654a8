/**
 * One contending process: it carries out the orders of the main process and tells what it saw. It ends when it is told
 * to, and when the main process is gone. `main.ts` forks it with its name and the database.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Lock, LockClient, LockError } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { watchArrivals } from './arrivals.js';
import { nowMS } from './clock.js';
import type { Fact, Order, Work } from './messages.js';
import { LEASE_MS, PATROL_MS, SUBJECT } from './settings.js';

const COLLECTION = 'dlocks';
const DURABLE = { w: 'majority', journal: true } as const;

const [, , name = '', dbName = ''] = process.argv;
const client = new MongoClient(process.env.MONGODB_URI ?? '', {
  monitorCommands: true,
  serverSelectionTimeoutMS: 10_000,
});
const locks = new LockClient({
  client,
  dbName,
  collectionName: COLLECTION,
  label: name,
  leaseDurationMS: LEASE_MS,
  patrolIntervalMS: PATROL_MS,
  logger: { error: (message, ...details) => report({ kind: 'trouble', message: [message, ...details].join(' ') }) },
});
const guarded = client.db(dbName).collection<{ _id: string; turns: number }>('guarded', {
  readConcern: { level: 'majority' },
  readPreference: 'primary',
});

/** Ends the wait, and the hold, of each caller. */
const waits = new Map<string, AbortController>();
const holds = new Map<string, AbortController>();

let facts: Fact[] = [];

/** Facts of one turn of the event loop go together, after it: telling must not slow down what is told. */
function report(fact: Fact): void {
  facts.push(fact);
  if (facts.length === 1) setImmediate(flush);
}

function flush(): void {
  const told = facts;
  facts = [];
  if (process.connected) process.send?.(told);
}

async function carryOut(order: Order): Promise<void> {
  if (order.kind === 'close') return close();
  if (order.kind === 'abort') return waits.get(order.caller)?.abort(new Error('No longer wanted'));
  if (order.kind === 'release') return holds.get(order.caller)?.abort();
  const { callers, timesCount, work, timeoutMS, number } = order;
  await Promise.all(
    callers.map(async (caller) => {
      if (timesCount === 1) return call(caller, work, timeoutMS);
      for (let time = 1; time <= timesCount; time += 1) await call(`${caller}.${time}`, work, timeoutMS);
    }),
  );
  report({ kind: 'done', number });
}

async function call(caller: string, work: Work, timeoutMS: number | undefined): Promise<void> {
  const wait = new AbortController();
  waits.set(caller, wait);
  report({ kind: 'called', caller, at: nowMS() });
  try {
    const lock = await locks.lock({ ...SUBJECT, label: caller, signal: wait.signal, timeoutMS });
    report({ kind: 'granted', caller, at: nowMS(), token: lock.fencingToken });
    await hold(caller, lock, work);
  } catch (error) {
    report({ kind: 'left', caller, at: nowMS(), outcome: outcomeOf(error, wait.signal) });
  } finally {
    waits.delete(caller);
  }
}

function outcomeOf(error: unknown, signal: AbortSignal): 'timed out' | 'aborted' | 'failed' {
  if (error instanceof LockError && error.code === 'LOCK_TIMEOUT') return 'timed out';
  if (signal.aborted && error === signal.reason) return 'aborted';
  report({ kind: 'trouble', message: String(error) });
  return 'failed';
}

async function hold(caller: string, lock: Lock, work: Work): Promise<void> {
  const onLost = (): void => report({ kind: 'lost', caller, at: nowMS() });
  if (lock.signal.aborted) onLost();
  else lock.signal.addEventListener('abort', onLost);
  try {
    if (work.kind === 'turn') await takeTurn(lock, work.holdMS);
    else await untilTold(caller, lock.signal);
  } catch (error) {
    report({ kind: 'trouble', message: `${caller}: ${String(error)}` });
  }
  const at = nowMS();
  if (lock.held) report({ kind: 'released', caller, at });
  await lock.unlock();
}

/** Reads, works, writes what it read and one more: a turn that overlapped another would lose one of them. */
async function takeTurn(lock: Lock, holdMS: number): Promise<void> {
  const turns = (await guarded.findOne({ _id: 'turns' }))?.turns ?? 0;
  await sleep(holdMS);
  if (!lock.held) return;
  const startedAt = nowMS();
  await guarded.findOneAndUpdate(
    { _id: 'turns' },
    { $set: { turns: turns + 1 } },
    { upsert: true, writeConcern: DURABLE },
  );
  report({ kind: 'wrote', tookMS: nowMS() - startedAt });
}

async function untilTold(caller: string, lost: AbortSignal): Promise<void> {
  const told = new AbortController();
  holds.set(caller, told);
  await once(AbortSignal.any([told.signal, lost]), 'abort');
  holds.delete(caller);
}

async function close(): Promise<void> {
  await locks.close();
  await client.close();
  flush();
  process.disconnect();
}

process.on('disconnect', () => process.exit());
process.on('message', (order: Order) => {
  carryOut(order).catch((error: unknown) => report({ kind: 'trouble', message: String(error) }));
});
watchArrivals({
  client,
  locks,
  collectionName: COLLECTION,
  onArrived: (caller) => report({ kind: 'arrived', caller, at: nowMS() }),
});
locks.on('session:lost', () => report({ kind: 'started over' }));
locks.on('session:reaped', ({ locksCount }) => report({ kind: 'reaped', locksCount }));
await locks.connect();
report({ kind: 'ready', at: nowMS() });
