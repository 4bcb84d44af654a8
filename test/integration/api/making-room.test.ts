/** Holders that make room (`contended`, `yield`), waiters that hear where they stand (`position`), and clients that close with grace. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { PositionEvent } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import type { CommandLog, SentCommand } from '../../support/command-log.js';
import { itLeavesNothingBehind, useDatabase } from '../../support/database.js';
import { eventually, realPause, rejection } from '../../support/eventually.js';

const database = useDatabase(import.meta.url);
const PAIR = { resource: 'account', id: 7 };
const ROOT = fileURLToPath(new URL('../../..', import.meta.url));

/** Until this client has asked for a stream of the lock's document: it tells of what is written from then on. */
async function untilWatched({ commands }: { readonly commands: CommandLog }): Promise<void> {
  const isWatch = ({ command }: SentCommand): boolean => {
    const stages = Array.isArray(command.pipeline) ? (command.pipeline as { $match?: object }[]) : [];
    return stages.some(({ $match }) => $match !== undefined && 'documentKey._id' in $match);
  };
  await eventually(() => commands.all.some(isWatch));
}

describe('contended', () => {
  it('is told when a caller of another process waits, by looking once a patrol and no more often', async () => {
    const holder = await database.connected({ patrolIntervalMS: 100 });
    const lock = await holder.locks.lock(PAIR);
    const events: unknown[] = [];
    holder.locks.on('contended', (event) => events.push(event));
    let told = false;
    const contended = lock.contended().then((answer) => {
      told = true;
      return answer;
    });
    holder.commands.clear();
    await realPause(350);
    expect(told).toBe(false);
    expect(holder.commands.names.filter((name) => name === 'aggregate').length).toBeLessThanOrEqual(5);
    const other = await database.connected();
    const waiting = other.locks.lock(PAIR);
    expect(await contended).toBe(true);
    expect(events).toEqual([{ ...PAIR, fencingToken: lock.fencingToken, session: holder.session }]);
    await lock.unlock();
    await (await waiting).unlock();
  });

  it('is pushed when a caller of another process waits: no patrol is due for a minute', async () => {
    const holder = await database.connected({ leaseDurationMS: 60_000, patrolIntervalMS: 60_000 });
    const lock = await holder.locks.lock(PAIR);
    const contended = lock.contended();
    await untilWatched(holder);
    const other = await database.connected();
    const waiting = other.locks.lock(PAIR);
    expect(await contended).toBe(true);
    await lock.unlock();
    await (await waiting).unlock();
  });

  it('is pushed as well when somebody else has come and left before', async () => {
    const holder = await database.connected({ leaseDurationMS: 60_000, patrolIntervalMS: 60_000 });
    const lock = await holder.locks.lock(PAIR);
    const other = await database.connected();
    const controller = new AbortController();
    const left = rejection(other.locks.lock({ ...PAIR, signal: controller.signal }));
    await database.untilWaiting(PAIR, 1);
    controller.abort();
    await left;
    await database.untilWaiting(PAIR, 0);
    const contended = lock.contended();
    await untilWatched(holder);
    const waiting = other.locks.lock(PAIR);
    expect(await contended).toBe(true);
    await lock.unlock();
    await (await waiting).unlock();
  });

  it('is told at once when a caller of this process waits, without a patrol', async () => {
    const { locks } = await database.connected({ leaseDurationMS: 60_000, patrolIntervalMS: 60_000 });
    const lock = await locks.lock(PAIR);
    const contended = lock.contended();
    const waiting = locks.lock(PAIR);
    expect(await contended).toBe(true);
    await lock.unlock();
    await (await waiting).unlock();
  });

  it('is false when the hold ends before anybody waits', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(PAIR);
    const contended = lock.contended();
    await lock.unlock();
    expect([await contended, await lock.contended()]).toEqual([false, false]);
  });

  it('costs no reads for what goes on with other locks here', async () => {
    const { locks, commands } = await database.connected({ leaseDurationMS: 60_000, patrolIntervalMS: 60_000 });
    const lock = await locks.lock(PAIR);
    const contended = lock.contended();
    // At once, and when the watch was open.
    await eventually(() => commands.names.filter((name) => name === 'aggregate').length === 2);
    commands.clear();
    for (let id = 0; id < 20; id += 1) await locks.exec({ resource: 'other', id, fn: () => {} });
    expect(commands.names.filter((name) => name === 'aggregate')).toEqual([]);
    await lock.unlock();
    expect(await contended).toBe(false);
  });
});

describe('yield', () => {
  it('lets all who wait go first, and is the same lock with a new token and the same signal', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(PAIR);
    const { fencingToken, signal } = lock;
    const others = [await database.connected(), await database.connected()];
    const order: number[] = [];
    const done: Promise<void>[] = [];
    for (const [index, other] of others.entries()) {
      done.push(other.locks.exec({ ...PAIR, fn: ({ fencingToken: token }) => void order.push(index, token) }));
      await database.untilWaiting(PAIR, index + 1);
    }
    await lock.yield();
    expect(order).toEqual([0, fencingToken + 1, 1, fencingToken + 2]);
    expect([lock.fencingToken, lock.held, lock.signal === signal]).toEqual([fencingToken + 3, true, true]);
    await Promise.all(done);
    expect(await lock.unlock()).toBe(true);
  });

  it('gives the lock back at once where nobody waits', async () => {
    const { locks } = await database.connected();
    await locks.exec({
      ...PAIR,
      fn: async (context) => {
        const before = context.fencingToken;
        await context.lock.yield();
        expect(context.fencingToken).toBe(before + 1);
      },
    });
    expect(await database.holder(PAIR)).toBeNull();
  });

  it('that ends by its time-out or its signal leaves the lock with others', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(PAIR);
    const other = await database.connected();
    const waiting = other.locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    expect(await rejection(lock.yield({ timeoutMS: 200 }))).toMatchObject({ code: 'LOCK_TIMEOUT' });
    expect([lock.held, await lock.unlock()]).toEqual([false, false]);
    expect(await rejection(lock.yield())).toMatchObject({ code: 'LOCK_LOST' });
    await (await waiting).unlock();
  });

  it('that is waiting when the lock is unlocked ends, and leaves nobody with the lock', async () => {
    const { locks } = await database.connected();
    const other = await database.connected();
    let gate!: Awaited<ReturnType<typeof locks.lock>>;
    await locks.exec({
      ...PAIR,
      fn: async ({ lock }) => {
        const waiting = other.locks.lock(PAIR);
        await database.untilWaiting(PAIR, 1);
        const yielding = rejection(lock.yield());
        gate = await waiting;
        await database.untilWaiting(PAIR, 1);
        expect(await lock.unlock()).toBe(false);
        expect(await yielding).toMatchObject({ code: 'LOCK_LOST' });
      },
    });
    await gate.unlock();
    await eventually(async () => (await database.holder(PAIR)) === null && (await database.waitersCount(PAIR)) === 0);
  });

  it('keeps the signal, which aborts when the new hold is lost', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(PAIR);
    const { signal } = lock;
    await lock.yield();
    const { fencingToken } = lock;
    expect(await locks.forceRelease({ ...PAIR, fencingToken, reason: 'a test' })).toBe(true);
    expect(signal.aborted).toBe(true);
  });
});

describe('position', () => {
  it('says how many callers are before, again and again, and how long they take once it is known', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(PAIR);
    const first = await database.connected();
    const before = [first.locks.lock(PAIR), first.locks.lock(PAIR)];
    await database.untilWaiting(PAIR, 2);
    const waiter = await database.connected({ patrolIntervalMS: 100 });
    const positions: PositionEvent[] = [];
    waiter.locks.on('position', (event) => positions.push(event));
    const waiting = waiter.locks.lock({ ...PAIR, label: 'me' });
    await eventually(() => positions.length > 1);
    expect(positions[0]).toMatchObject({ ...PAIR, label: 'me', position: 3 });
    expect(positions[0]).not.toHaveProperty('estimatedWaitMS');
    await lock.unlock();
    const one = await before[0];
    await eventually(() => positions.at(-1)?.position === 1);
    await eventually(() => Number(positions.at(-1)?.estimatedWaitMS) > 0);
    await one?.unlock();
    await (await before[1])?.unlock();
    await (await waiting).unlock();
  });

  it('is pushed as the queue moves: no patrol is due for a minute, and each place costs no read', async () => {
    // Of all: a patrol comes earlier where the lease of one before is about to lapse.
    const patient = { leaseDurationMS: 60_000, patrolIntervalMS: 60_000 };
    const holder = await database.connected(patient);
    const lock = await holder.locks.lock(PAIR);
    const before: ReturnType<typeof holder.locks.lock>[] = [];
    for (const count of [1, 2]) {
      before.push((await database.connected(patient)).locks.lock(PAIR));
      await database.untilWaiting(PAIR, count);
    }
    const waiter = await database.connected(patient);
    const positions: number[] = [];
    waiter.locks.on('position', ({ position }) => positions.push(position));
    const waiting = waiter.locks.lock(PAIR);
    await untilWatched(waiter);
    // Looked up when it had its place, and when the stream was open.
    await eventually(() => positions.join() === '3,3');
    waiter.commands.clear();
    let held = lock;
    for (const [index, next] of before.entries()) {
      await held.unlock();
      held = await next;
      await eventually(() => positions.at(-1) === 2 - index);
    }
    expect(waiter.commands.names.filter((name) => name === 'aggregate')).toEqual([]);
    await held.unlock();
    await (await waiting).unlock();
  });

  it('is looked up by nobody where nobody listens: a waiter sends the same commands as ever', async () => {
    const holder = await database.connected({ patrolIntervalMS: 3_000 });
    const lock = await holder.locks.lock(PAIR);
    const readsOf = async (listens: boolean): Promise<number> => {
      const waiter = await database.connected({ patrolIntervalMS: 3_000 });
      if (listens) waiter.locks.on('position', () => {});
      const controller = new AbortController();
      const waiting = rejection(waiter.locks.lock({ ...PAIR, signal: controller.signal }));
      await database.untilWaiting(PAIR, 1);
      await eventually(() => waiter.seen('stream:opened').length === 1);
      await realPause(200);
      const count = waiter.commands.names.filter((name) => name === 'aggregate').length;
      controller.abort();
      await waiting;
      return count;
    };
    const [without, withListener] = [await readsOf(false), await readsOf(true)];
    expect(withListener).toBeGreaterThan(without);
    await lock.unlock();
  });
});

describe('close with grace', () => {
  it('refuses new calls and those that wait at once, and lets holders finish', async () => {
    const { locks } = await database.connected();
    let finish!: () => void;
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    let begun = false;
    const running = locks.exec({
      ...PAIR,
      fn: async () => {
        begun = true;
        await finished;
        return 'done';
      },
    });
    await eventually(() => begun);
    const waiting = rejection(locks.lock(PAIR));
    await database.untilWaiting(PAIR, 1);
    const closed = locks.close({ graceMS: 10_000 });
    expect(await waiting).toMatchObject({ code: 'LOCK_CLOSED' });
    expect(await rejection(locks.lock({ ...PAIR, id: 8 }))).toMatchObject({ code: 'LOCK_CLOSED' });
    finish();
    expect(await running).toBe('done');
    await closed;
    expect(await database.holder(PAIR)).toBeNull();
  });

  it('ends with the grace, or with another call of close: what is still held is lost', async () => {
    for (const second of [false, true]) {
      const { locks } = await database.connected();
      const lock = await locks.lock(PAIR);
      const closed = locks.close({ graceMS: second ? 60_000 : 200 });
      expect(lock.held).toBe(true);
      if (second) void locks.close();
      await closed;
      expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST' });
    }
  });

  it('refuses a grace that is no duration, and closes nothing then', async () => {
    const { locks } = await database.connected();
    expect(await rejection(locks.close({ graceMS: -1 }))).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT' });
    await locks.exec({ ...PAIR, fn: () => {} });
  });
});

describe('shutdownOnSignal', () => {
  it('lets the holder finish, releases, and ends the process by the signal', async () => {
    const file = fileURLToPath(new URL('./children/holds-until-told.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', file, database.uri], { cwd: ROOT, stdio: 'pipe' });
    let output = '';
    for (const channel of [child.stdout, child.stderr]) channel.on('data', (text) => (output += text));
    const ended = once(child, 'close') as Promise<[number | null, string | null]>;
    await eventually(() => output.includes('held'), 15_000);
    const { locks } = await database.connected();
    const waiting = locks.lock(PAIR);
    await database.untilWaiting(PAIR, 1);
    child.kill('SIGTERM');
    await eventually(() => output.includes('refused'));
    child.stdin.end('finish\n');
    expect(await ended).toEqual([null, 'SIGTERM']);
    expect(output.trim().split('\n')).toEqual(['held', 'refused', 'finished, held true']);
    // Long before its lease of a minute has lapsed.
    await (await waiting).unlock();
  }, 30_000);
});

itLeavesNothingBehind(database);
