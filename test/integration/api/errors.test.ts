/** Errors as callers meet them: class, code, whether to try again, cause, and that none shows a connection string. */
import * as exported from 'mongo-distributed-locks';
import { LockClient, LockError } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import { readKey } from '#core/protocol/key.js';
import { itLeavesNothingBehind, SETTINGS, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const SECRET = 'a-secret-word';
/** Nobody listens there. */
const UNREACHABLE = `mongodb://user:${SECRET}@127.0.0.1:9/app?serverSelectionTimeoutMS=100&replicaSet=rs0`;

/** Everything a log would show of an error. */
function shown(error: unknown): string {
  const parts: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) {
    parts.push(at.name, at.message, at.stack ?? '', JSON.stringify({ ...at }));
  }
  return parts.join('\n');
}

describe('every error', () => {
  it('is a LockError with the code of its class, its class as its name, and plain facts', () => {
    const classes = Object.entries(exported).filter(([name]) => /^Lock.+Error$/.test(name));
    expect(classes).toHaveLength(12);
    const codes = new Set<string>();
    for (const [name, Class] of classes) {
      const facts = { waitedMS: 1, argument: 'a', resource: 'r', id: 1, cause: 'why' };
      const Made = Class as unknown as new (message: unknown, facts: unknown) => LockError;
      const error = new Made(name === 'LockInvalidOptionError' ? ['a problem'] : 'a message', facts);
      expect(error).toBeInstanceOf(LockError);
      expect(error).toBeInstanceOf(Error);
      expect(error).toMatchObject({ name, resource: 'r', id: 1, cause: 'why', retryable: expect.any(Boolean) });
      expect(error.code).toMatch(/^LOCK_[A-Z_]+$/);
      codes.add(error.code);
    }
    expect(codes.size).toBe(12);
  });
});

describe('LOCK_UNAVAILABLE', () => {
  it('comes from the first attempt where no primary is found in time, with the driver’s error as its cause', async () => {
    const logged: unknown[][] = [];
    const logger = { error: (...line: unknown[]) => logged.push(line), warn: () => {}, debug: () => {} };
    const locks = new LockClient({ uri: UNREACHABLE, ...SETTINGS, logger });
    const calls = [
      locks.connect(),
      locks.lock({ resource: 'account', id: 1 }),
      locks.tryLock({ resource: 'account', id: 2 }),
      locks.lock({ resource: 'account', id: 3, timeoutMS: 60_000 }),
      locks.exec({ resource: 'account', id: 4, fn: () => 1 }),
    ];
    for (const error of await Promise.all(calls.map((call) => rejection(call)))) {
      expect(error).toBeInstanceOf(exported.LockUnavailableError);
      expect(error).toMatchObject({ code: 'LOCK_UNAVAILABLE', retryable: true });
      expect((error as LockError).cause).toMatchObject({ name: 'MongoServerSelectionError' });
      expect(shown(error)).not.toContain(SECRET);
      expect(shown(error)).not.toContain('mongodb://');
    }
    await locks.close();
    // The calls were told; nothing went wrong in the background.
    expect(logged).toEqual([]);
  });

  it('leaves the client as it was: the next call tries again', async () => {
    let unreachable = true;
    const prepare = async (send: () => Promise<void>): Promise<void> => {
      if (unreachable) throw new exported.LockUnavailableError('The database could not be reached.');
      return send();
    };
    const { locks } = database.client({}, hooked({ prepare }));
    expect(await rejection(locks.lock(pair))).toMatchObject({ code: 'LOCK_UNAVAILABLE' });
    unreachable = false;
    expect(await (await locks.lock(pair)).unlock()).toBe(true);
  });

  it('is no end of a wait: once in the queue a caller bears it until its lock comes', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(pair);
    let outage = false;
    const during = async (send: () => Promise<never>): Promise<never> => {
      if (outage) throw new exported.LockUnavailableError('The database could not be reached.');
      return send();
    };
    const commands = ['readAwaited', 'readSessions', 'readGrantsOf', 'renewSession', 'deleteTickets'] as const;
    const hooks = Object.fromEntries(commands.map((name) => [name, during]));
    const client = await database.connected({ patrolIntervalMS: 100, heartbeatIntervalMS: 100 }, hooked(hooks));
    client.expectsErrors = true;
    const waiting = client.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    outage = true;
    await eventually(() => client.logged.length >= 5);
    outage = false;
    await lock.unlock();
    const next = await waiting;
    expect(next.held).toBe(true);
    expect(client.seen('session:lost')).toEqual([]);
    await next.unlock();
  });
});

describe('LOCK_LIMIT (INV-11)', () => {
  it('refuses one caller more than waitersMaxCount, at once, and says what to do', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(pair);
    const { locks } = await database.connected({ waitersMaxCount: 2 });
    const controller = new AbortController();
    const first = rejection(locks.lock({ ...pair, signal: controller.signal }));
    const second = locks.lock({ resource: 'account', id: 8 });
    await (await second).unlock();
    const third = locks.lock(pair);
    await database.untilWaiting(pair, 2);
    const error = await rejection(locks.lock({ resource: 'account', id: 9 }));
    expect(error).toBeInstanceOf(exported.LockLimitError);
    expect(error).toMatchObject({ code: 'LOCK_LIMIT', retryable: true, resource: 'account', id: 9 });
    expect((error as Error).message).toContain('"waitersMaxCount"');
    controller.abort('gone');
    await first;
    expect(await locks.tryLock({ resource: 'account', id: 9 }).then((other) => other?.unlock())).toBe(true);
    await lock.unlock();
    await (await third).unlock();
  });
});

describe('LOCK_NEWER_VERSION', () => {
  it.each([
    ['vacant', null],
    ['held', 'another/99/1:1'],
  ])('refuses a %s lock that a newer version of the library wrote, and changes nothing of it', async (_what, grant) => {
    const written = { _id: readKey(pair), v: 2, grant, fence: 99, form: 'unknown to this version' };
    await database.db.collection<{ _id: string }>('dlocks').insertOne(written);
    const { locks } = await database.connected();
    const calls = [() => locks.lock(pair), () => locks.tryLock(pair), () => locks.exec({ ...pair, fn: () => 1 })];
    for (const call of calls) {
      const error = await rejection(call());
      expect(error).toBeInstanceOf(exported.LockNewerVersionError);
      expect(error).toMatchObject({ code: 'LOCK_NEWER_VERSION', retryable: false });
      expect((error as Error).message).toContain('upgrade');
    }
    expect(await database.stored(pair)).toEqual(written);
    await database.empty();
  });
});

describe('LOCK_OUTCOME_UNKNOWN', () => {
  it('is what a tryLock gets whose session was lost before its answer came; nothing is held by it', async () => {
    const gate = new Gate();
    const silent = async <T>(send: () => Promise<T>): Promise<T> => {
      const answer = await send();
      await gate.pass();
      return answer;
    };
    // The audit would find out.
    const hooks = hooked({ tryGrant: silent, readGrantsOf: silent });
    const client = await database.connected({ heartbeatIntervalMS: 100 }, hooks);
    const trying = rejection(client.locks.tryLock(pair));
    await eventually(() => gate.arrivedCount > 0);
    await database.db
      .collection<{ _id: string }>('dlocks.sessions')
      .updateOne({ _id: client.session }, { $set: { state: 'dead', until: new Date() } });
    const error = await trying;
    expect(error).toBeInstanceOf(exported.LockOutcomeUnknownError);
    expect(error).toMatchObject({ code: 'LOCK_OUTCOME_UNKNOWN', retryable: true, ...pair });
    gate.open();
    await eventually(async () => (await database.holder(pair)) === null);
  });
});

describe('LOCK_INVALID_OPTION', () => {
  it('of a connection string shows nothing of it', () => {
    for (const uri of [`mongodb://user:${SECRET}@host:99999/app`, `mongodb+srv://user:${SECRET}@`, SECRET]) {
      let error: unknown;
      try {
        new LockClient({ uri });
      } catch (thrown) {
        error = thrown;
      }
      expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION', retryable: false });
      expect(shown(error)).not.toContain(SECRET);
    }
  });
});

itLeavesNothingBehind(database);
