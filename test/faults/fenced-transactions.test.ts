/**
 * Fenced transactions against holders that are really stopped (SIGSTOP) across their lease, in the first moment after it
 * and also where they do not notice it at all, so that only the server can refuse them; and against unlock, a forced
 * release and a crowd of arrivals in the middle of one. Between its write of the lock document and its commit: the file
 * with servers of its own.
 */
import type { Lock, TransactionSession } from 'mongo-distributed-locks';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Contender } from '../support/child-process.js';
import { itLeavesNothingBehind, type TestClient, useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { endOrphanedCursors } from '../support/leaks.js';
import { type Ending, StoppedWriters, type Writer } from './stopped-writers.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
const SLOW = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000, idleMS: 60_000 };

describe('P4: a holder that was stopped across its lease while another took over and wrote', () => {
  let child: Contender;
  let writers: StoppedWriters;

  beforeAll(async () => {
    await database.db.createCollection('pages');
    child = (await Contender.start(1))[0] as Contender;
    writers = new StoppedWriters({ child, database });
  });
  afterEach(() => writers.close());
  afterAll(async () => {
    await child?.kill();
    await endOrphanedCursors(database.observer, database.name);
  });

  async function stopAcross(stopped: readonly Writer[]): Promise<Ending[]> {
    await writers.arrange(stopped);
    writers.suspend();
    await writers.takeOver();
    await writers.goOn();
    return writers.endings();
  }

  /** In the order of the gates. The first three see for themselves that they hold nothing. */
  it('commits nothing of a fenced transaction, wherever it was stopped, and whatever it believes', async () => {
    const how = 'transaction';
    const gates = ['before all', 'inside', 'after a read'] as const;
    const knowing: Writer[] = gates.map((gate) => ({ how, gate }));
    const believing: Writer[] = gates.map((gate) => ({ how, gate, believes: true }));
    const endings = await stopAcross([...knowing, ...believing, { how: 'nothing', gate: 'before all' }]);
    const lost = { outcome: 'LOCK_LOST', by: ['next'] };
    expect(endings).toEqual([
      { ...lost, held: false, triesCount: 0 },
      { ...lost, held: false, triesCount: 1 },
      { ...lost, held: false, triesCount: 1 },
      { ...lost, held: true, triesCount: 1 },
      { ...lost, held: true, triesCount: 1 },
      { ...lost, held: true, triesCount: 1 },
      // A transaction without the lock: what a late write does that nothing refuses.
      { outcome: 'written', held: false, triesCount: 1, by: ['next', 'late'] },
    ]);
  });

  it('matches nothing with a pair of lock.fence, whatever it believes', async () => {
    const how = 'fence';
    const gates = ['before all', 'after a read'] as const;
    const knowing: Writer[] = gates.map((gate) => ({ how, gate }));
    const believing: Writer[] = gates.map((gate) => ({ how, gate, believes: true }));
    const endings = await stopAcross([...knowing, ...believing]);
    const refused = { outcome: 'refused', triesCount: 0, by: ['next'] };
    expect(endings).toEqual([
      { ...refused, held: false },
      { ...refused, held: false },
      { ...refused, held: true },
      { ...refused, held: true },
    ]);
  });
});

interface Half {
  readonly _id: string;
  readonly by: readonly string[];
}

const HALVES = ['one half', 'other half'];

/** Writes both halves: two commands, then the lock document, then the commit. */
function writeBoth(
  { mongo }: Pick<TestClient, 'mongo'>,
  lock: Lock,
  by: string,
  more: (session: TransactionSession) => void = () => {},
): Promise<void> {
  const halves = mongo.db().collection<Half>('halves');
  return lock.withTransaction(async (session) => {
    for (const _id of HALVES) await halves.updateOne({ _id }, { $push: { by } }, { session });
    more(session);
  });
}

/** Who has written both, by what a majority has. */
async function readBoth(): Promise<readonly string[]> {
  const halves = database.db.collection<Half>('halves', { readConcern: { level: 'majority' } });
  const found = await halves.find({ _id: { $in: HALVES } }).toArray();
  const [one, other] = found.map(({ by }) => by);
  expect(one).toEqual(other);
  return one ?? [];
}

async function emptyHalves(): Promise<void> {
  const halves = database.db.collection<Half>('halves');
  for (const _id of HALVES) await halves.replaceOne({ _id }, { by: [] }, { upsert: true });
}

/** Acts at one of the steps of a client's transaction: each command is sent, and answered. */
function atStep({ mongo }: TestClient, step: number, act: () => void): void {
  let stepsCount = 0;
  const own = new Set<number>();
  const pass = (): void => {
    if (stepsCount === step) act();
    stepsCount += 1;
  };
  mongo.on('commandStarted', ({ command, requestId }) => {
    if (command.autocommit !== false) return;
    own.add(requestId);
    pass();
  });
  mongo.on('commandSucceeded', ({ requestId }) => {
    if (own.has(requestId)) pass();
  });
}

const FENCE_SENT = 4;
const FENCE_ANSWERED = 5;
const STEPS = [
  'one half is sent',
  'one half is answered',
  'the other half is sent',
  'the other half is answered',
  'the lock document is sent',
  'the lock document is answered',
  'the commit is sent',
  'the commit is answered',
].map((name, step) => ({ name, step }));
/** Nothing of ours but the server tells the others apart. */
const FORCED_STEPS = STEPS.filter(({ step }) => step === 0 || step >= FENCE_SENT);

describe('a transaction', () => {
  beforeEach(emptyHalves);

  /** What the next holder sees from its first moment on; it writes too. */
  async function follow(client: TestClient, waiting: Promise<Lock>): Promise<readonly string[]> {
    const lock = await waiting;
    const seen = await readBoth();
    await writeBoth(client, lock, 'next');
    await lock.unlock();
    return seen;
  }

  function outcomeOf(writing: Promise<void>): Promise<string> {
    return writing.then(
      () => 'written',
      (error: { code?: string }) => String(error.code),
    );
  }

  it.each(STEPS)(
    'whose lock is unlocked when $name is seen whole by the next of its run, or not at all',
    async ({ step }) => {
      const client = await database.connected(SLOW);
      const before = await (await database.connected(SLOW)).locks.lock(PAIR);
      const [first, second] = [client.locks.lock(PAIR), client.locks.lock(PAIR)];
      await database.untilWaiting(PAIR, 2);
      await before.unlock();
      const lock = await first;
      const next = follow(client, second);
      let unlocked: Promise<boolean> | undefined;
      atStep(client, step, () => {
        unlocked = lock.unlock();
      });
      const outcome = await outcomeOf(writeBoth(client, lock, 'first'));
      const committed = step >= FENCE_SENT;
      expect([outcome, await unlocked]).toEqual([committed ? 'written' : 'LOCK_LOST', true]);
      expect(await next).toEqual(committed ? ['first'] : []);
      expect(await readBoth()).toEqual(committed ? ['first', 'next'] : ['next']);
    },
  );

  it.each(FORCED_STEPS)(
    'whose lock is released by force when $name is seen whole by the next holder, or not at all',
    async ({ step }) => {
      const client = await database.connected(SLOW);
      const others = await database.connected(SLOW);
      const lock = await client.locks.lock(PAIR);
      const next = follow(others, others.locks.lock(PAIR));
      await database.untilWaiting(PAIR, 1);
      let forced: Promise<boolean> | undefined;
      const { fencingToken } = lock;
      atStep(client, step, () => {
        forced = others.locks.forceRelease({ ...PAIR, fencingToken, reason: 'a test' });
      });
      const outcome = await outcomeOf(writeBoth(client, lock, 'first'));
      // Before, it is the server that decides between the two.
      if (step >= FENCE_ANSWERED) expect(outcome).toBe('written');
      const committed = outcome === 'written';
      if (!committed) expect(outcome).toBe('LOCK_LOST');
      expect(await forced).toBe(true);
      expect(await next).toEqual(committed ? ['first'] : []);
      expect(await readBoth()).toEqual(committed ? ['first', 'next'] : ['next']);
    },
  );
});

describe('a commit of which no answer comes', () => {
  it('(INV-09) is settled before the next of its run is served, also where the lock was unlocked meanwhile', async () => {
    await emptyHalves();
    const client = await database.connected(SLOW);
    const before = await (await database.connected(SLOW)).locks.lock(PAIR);
    const [first, second] = [client.locks.lock(PAIR), client.locks.lock(PAIR)];
    await database.untilWaiting(PAIR, 2);
    await before.unlock();
    const lock = await first;
    let granted = false;
    const next = second.then((following) => {
      granted = true;
      return following;
    });
    let unlocked: Promise<boolean> | undefined;
    let commitNow!: () => Promise<void>;
    client.commands.clear();
    const writing = writeBoth(client, lock, 'first', (session) => {
      commitNow = session.commitTransaction.bind(session);
      session.commitTransaction = () => {
        unlocked = lock.unlock();
        return Promise.reject(new Error('The answer was lost.'));
      };
    });
    // It asks the server, which keeps the answer until the transaction has ended.
    await eventually(() => client.commands.names.includes('findAndModify'));
    expect(granted).toBe(false);
    await commitNow();
    await writing;
    expect(await unlocked).toBe(true);
    await (await next).unlock();
    expect(await readBoth()).toEqual(['first']);
  });
});

describe('a crowd of arrivals', () => {
  const WORK_MS = 200;
  const CROWD_MIN = 20;

  it('costs a long transaction one try more, or a few, and they come through afterwards', async () => {
    await emptyHalves();
    const client = await database.connected(SLOW);
    const lock = await client.locks.lock(PAIR);
    const crowd = await Promise.all(Array.from({ length: 4 }, () => database.connected(SLOW)));
    const end = new AbortController();
    const arriving = crowd.map(async ({ locks }) => {
      while (!end.signal.aborted) await locks.lock({ ...PAIR, timeoutMS: 20 }).catch(() => {});
    });
    const triesCounts: number[] = [];
    for (let time = 1; time <= 2; time += 1) triesCounts.push(await writeSlowly(client, lock));
    end.abort();
    await Promise.all(arriving);
    expect(Math.max(...triesCounts)).toBeGreaterThan(1);
    expect(Math.max(...triesCounts)).toBeLessThan(6);
    expect(await readBoth()).toEqual(['slow', 'slow']);
    const next = crowd[0]?.locks.lock(PAIR);
    await lock.unlock();
    expect(await (await next)?.unlock()).toBe(true);
  });

  /** How often it was tried. The first try takes as long as it takes so many to arrive. */
  async function writeSlowly({ mongo }: TestClient, lock: Lock): Promise<number> {
    let triesCount = 0;
    const halves = mongo.db().collection<Half>('halves');
    await lock.withTransaction(async (session) => {
      triesCount += 1;
      const before = await arrivalsCount();
      for (const _id of HALVES) await halves.updateOne({ _id }, { $push: { by: 'slow' } }, { session });
      const since = performance.now();
      const enough = async (): Promise<boolean> => triesCount > 1 || (await arrivalsCount()) >= before + CROWD_MIN;
      await eventually(async () => performance.now() - since > WORK_MS && (await enough()));
    });
    return triesCount;
  }

  async function arrivalsCount(): Promise<number> {
    return Number((await database.stored(PAIR))?.arrivals);
  }
});

itLeavesNothingBehind(database);
