/**
 * A process that contends for locks as it is told, to be killed and suspended by the test that started it. It ends when that test is gone.
 * Started by `support/child-process.ts`.
 */
import { existsSync } from 'node:fs';
import { type Lock, LockClient } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import type { Ports } from '#core/client.js';
import type { CallRecord } from '../../../packages/examples/src/demo/history.js';
import { type GuardedNumber, guardedNumber } from './guarded.js';
import { LateWriter } from './late-writer.js';
import type { Awakening, Fact, FromChild, Question, Questions, ToChild } from './messages.js';
import { StandingClock } from './standing-clock.js';

/** One lock client, and the callers whose arrival the server has acknowledged. */
interface Contender {
  readonly locks: LockClient;
  readonly mongo: MongoClient;
  readonly arrivedAt: Map<string, number>;
  readonly clock: StandingClock | undefined;
}

const contenders = new Map<string, Contender>();
const held = new Map<string, Lock>();
const writers = new Map<string, LateWriter>();
const awakenings = new Map<string, Promise<Awakening>>();

function nowMS(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

function tell(message: FromChild): void {
  if (process.connected) process.send?.(message);
}

function report(fact: Fact): void {
  tell({ kind: 'fact', fact });
}

const answers: {
  [Q in Question]: (ask: Questions[Q]['ask']) => Promise<Questions[Q]['answer']> | Questions[Q]['answer'];
} = {
  open,
  lock: ({ client, callers, pair }) => {
    for (const caller of callers) void call(contender(client), caller, pair);
    return undefined;
  },
  unlock: ({ caller }) => lockOf(caller).unlock(),
  watchPause,
  awakening: async ({ caller }) => {
    const awakening = await awakenings.get(caller);
    if (awakening === undefined) throw new Error(`Nobody watches ${caller}`);
    return awakening;
  },
  block: ({ untilFile }) => {
    // Busy on purpose: nothing of this process may run.
    while (!existsSync(untilFile));
    return undefined;
  },
  contend,
  write: async ({ client, caller, how, gate }) => {
    const { mongo, clock } = contender(client);
    const writer = new LateWriter(caller, gate, () => {
      clock?.stand();
      report({ kind: 'at the gate', caller, at: nowMS() });
    });
    writers.set(caller, writer);
    return writer.write(lockOf(caller), mongo, how).finally(() => clock?.goOn());
  },
  goOn: ({ caller }) => {
    writers.get(caller)?.goOn();
    return undefined;
  },
  close: async ({ client }) => {
    const { locks, mongo } = contender(client);
    contenders.delete(client);
    await locks.close();
    await mongo.close();
    return undefined;
  },
};

async function open({ client, uri, settings, believes }: Questions['open']['ask']): Promise<string> {
  const mongo = new MongoClient(uri);
  const arrivedAt = new Map<string, number>();
  const clock = believes && new StandingClock();
  let announced: string[] = [];
  const wrapPorts = ({ store, feed }: Ports): Ports => {
    const arrive: typeof store.arrive = async (request) => {
      const callers = announced;
      announced = [];
      await store.arrive(request);
      for (const caller of callers) arrivedAt.set(caller, nowMS());
    };
    const get = (target: typeof store, name: string | symbol): unknown => {
      const method = Reflect.get(target, name) as (...given: unknown[]) => unknown;
      return name === 'arrive' ? arrive : method.bind(target);
    };
    return { store: new Proxy(store, { get }), feed };
  };
  const logger = { error: () => {} };
  const locks = new LockClient({ client: mongo, ...settings, logger }, { wrapPorts, ...(clock && { clock }) });
  // Told in the same turn in which the arrival is sent.
  locks.on('waiting', ({ label }) => void announced.push(String(label)));
  let current = '';
  for (const kind of ['session:lost', 'session:opened'] as const) {
    locks.on(kind, ({ session }) => {
      if (kind === 'session:opened') current = session;
      // Who waited in a lost session has no place to keep.
      if (kind === 'session:lost') arrivedAt.clear();
      report({ kind, client, session, at: nowMS() });
    });
  }
  contenders.set(client, { locks, mongo, arrivedAt, clock });
  await locks.connect();
  return current;
}

function contender(name: string): Contender {
  const found = contenders.get(name);
  if (found === undefined) throw new Error(`No client ${name}`);
  return found;
}

function lockOf(caller: string): Lock {
  const lock = held.get(caller);
  if (lock === undefined) throw new Error(`${caller} holds nothing`);
  return lock;
}

async function call({ locks }: Contender, caller: string, pair: Questions['lock']['ask']['pair']): Promise<void> {
  try {
    const lock = await locks.lock({ ...pair, label: caller });
    held.set(caller, lock);
    lock.signal.addEventListener('abort', () => report({ kind: 'lost', caller, at: nowMS() }));
    report({ kind: 'granted', caller, at: nowMS(), token: lock.fencingToken });
  } catch (error) {
    report({ kind: 'rejected', caller, at: nowMS(), error: String(error) });
  }
}

const TICK_MS = 5;

function watchPause({ caller, longerThanMS, uri }: Questions['watchPause']['ask']): undefined {
  const lock = lockOf(caller);
  const { signal } = lock;
  const awakening = new Promise<Awakening>((resolve, reject) => {
    let last = nowMS();
    const timer = setInterval(() => {
      const now = nowMS();
      const wasPaused = now - last > longerThanMS;
      last = now;
      if (!wasPaused) return;
      clearInterval(timer);
      const seen = { held: lock.held, unlocking: lock.unlock() };
      // After all timers that were due.
      setImmediate(() => {
        const abortedAfterTimers = signal.aborted;
        lateWrites(lock, seen.unlocking, uri)
          .then((wrote) => resolve({ held: seen.held, abortedAfterTimers, ...wrote }))
          .catch(reject);
      });
    }, TICK_MS);
  });
  awakenings.set(caller, awakening);
  return undefined;
}

async function lateWrites(
  lock: Lock,
  unlocking: Promise<boolean>,
  uri: string,
): Promise<Pick<Awakening, 'unlocked' | 'guardedWrites'>> {
  const mongo = new MongoClient(uri);
  try {
    const guardedWrites = await guardedNumber(mongo).writeWith(lock.fencingToken);
    return { unlocked: await unlocking, guardedWrites };
  } finally {
    await mongo.close();
  }
}

async function contend({
  client,
  uri,
  pair,
  callersCount,
  timesCount,
}: Questions['contend']['ask']): Promise<CallRecord[]> {
  const mongo = new MongoClient(uri);
  const number = guardedNumber(mongo);
  const callers = Array.from({ length: callersCount }, (_, index) => `${process.pid}.${index}`);
  const turns = callers.map(async (caller) => {
    const records: CallRecord[] = [];
    for (let time = 0; time < timesCount; time += 1) {
      records.push(await takeTurn(contender(client), number, { caller: `${caller}.${time}`, pair }));
    }
    return records;
  });
  const records = (await Promise.all(turns)).flat();
  await mongo.close();
  return records;
}

async function takeTurn(
  { locks, arrivedAt }: Contender,
  number: GuardedNumber,
  { caller, pair }: { caller: string; pair: Questions['lock']['ask']['pair'] },
): Promise<CallRecord> {
  const calledAt = nowMS();
  const lock = await locks.lock({ ...pair, label: caller });
  const grantedAt = nowMS();
  await number.countUp();
  const releasedAt = nowMS();
  await lock.unlock();
  const arrived = arrivedAt.get(caller);
  const { resource, id } = pair;
  return {
    process: String(process.pid),
    caller,
    key: `${resource}/${id}`,
    calledAt,
    ...(arrived !== undefined && { arrivedAt: arrived }),
    grantedAt,
    token: lock.fencingToken,
    releasedAt,
    outcome: 'released',
  };
}

async function answerTo(message: ToChild): Promise<void> {
  const { number, question } = message;
  try {
    const answer = await (answers[question] as (ask: unknown) => unknown)(message);
    tell({ kind: 'answer', number, answer });
  } catch (error) {
    tell({ kind: 'failed', number, error: error instanceof Error ? String(error.stack) : String(error) });
  }
}

process.on('message', (message: ToChild) => void answerTo(message));
process.on('disconnect', () => process.exit());
tell({ kind: 'ready' });
