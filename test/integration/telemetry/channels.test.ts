/** What a client tells on Node's `diagnostics_channel`: who is told what, in which order, in which context, and that nobody need listen. */
import { AsyncLocalStorage } from 'node:async_hooks';
import { hasSubscribers, subscribe, unsubscribe } from 'node:diagnostics_channel';
import { DLocks, type Lock, type LockEventName, type LockEvents } from 'mongo-distributed-locks';
import { afterEach, describe, expect, it } from 'vitest';
import {
  type AcquireMessage,
  acquisitionOf,
  CHANNELS,
  EVENT_CHANNELS,
  type EventMessage,
  type HoldMessage,
} from '#core/diagnostics.js';
import { given, itLeavesNothingBehind, SETTINGS, type TestClient, useDatabase } from '../../support/database.js';
import { eventually, rejection } from '../../support/eventually.js';
import { Gate, hooked } from '../../support/hooked-ports.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: 7 };
const PARTS = ['start', 'end', 'asyncStart', 'asyncEnd', 'error'] as const;

/** What came on a channel. */
interface Told {
  readonly on: string;
  readonly message: unknown;
}

const stops: (() => void)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** Subscribes until the end of the test; what comes is put down under a short name. */
function listen(channels: Readonly<Record<string, string>>, told: Told[] = []): Told[] {
  for (const [on, name] of Object.entries(channels)) {
    const listener = (message: unknown): void => void told.push({ on, message });
    subscribe(name, listener);
    stops.push(() => unsubscribe(name, listener));
  }
  return told;
}

const partsOf = (parts: readonly string[]): Record<string, string> =>
  Object.fromEntries(parts.map((part) => [part, `tracing:${CHANNELS.acquire}:${part}`]));
const EVERYTHING = { ...partsOf(PARTS), holdStart: CHANNELS.holdStart, holdEnd: CHANNELS.holdEnd };
const names = (told: readonly Told[]): string[] => told.map(({ on }) => on);
const messagesOn = <M>(told: readonly Told[], on: string): M[] =>
  told.filter((each) => each.on === on).map(({ message }) => message as M);

/** The payloads of one event of a client, from now on. */
function heard<N extends LockEventName>({ locks }: TestClient, name: N): LockEvents[N][0][] {
  const events: LockEvents[N][0][] = [];
  (locks.on as (name: LockEventName, listener: (event: never) => void) => unknown).call(locks, name, (event) => {
    events.push(event);
  });
  return events;
}

/** Declares the session of a client dead, as others do with a process that has fallen silent. */
async function declareDead(session: string): Promise<void> {
  const sessions = database.db.collection<{ _id: string }>('dlocks.sessions');
  await sessions.updateOne({ _id: session }, { $set: { state: 'dead', until: new Date() } });
}

describe('a call and its hold', () => {
  it('are told from the call to the release, each by one object, which the other refers to', async () => {
    const { locks } = await database.connected();
    const told = listen(EVERYTHING);
    const lock = await locks.lock({ ...pair, label: 'job 5', timeoutMS: 5_000 });
    await lock.unlock();
    expect(names(told)).toEqual(['start', 'end', 'holdStart', 'asyncStart', 'asyncEnd', 'holdEnd']);
    const [call] = messagesOn<AcquireMessage>(told, 'start');
    const [hold] = messagesOn<HoldMessage>(told, 'holdStart');
    for (const part of ['end', 'asyncStart', 'asyncEnd']) expect(messagesOn(told, part)[0]).toBe(call);
    expect(messagesOn(told, 'holdEnd')[0]).toBe(hold);
    expect(hold?.acquisition).toBe(call);
    expect(call).toMatchObject({ operation: 'lock', key: 'lock:account/7', label: 'job 5', timeoutMS: 5_000, ...pair });
    expect(call?.client).toBe(locks);
    const { fencingToken } = lock;
    expect(hold).toMatchObject({ fencingToken, outcome: 'released', waitedMS: expect.any(Number) });
    expect(hold?.heldMS).toBeGreaterThanOrEqual(0);
  });

  it('begin in the asynchronous context of the caller', async () => {
    const { locks } = await database.connected();
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const listener = (): void => void seen.push(storage.getStore());
    subscribe(`tracing:${CHANNELS.acquire}:start`, listener);
    stops.push(() => unsubscribe(`tracing:${CHANNELS.acquire}:start`, listener));
    const exec = (name: string): Promise<void> => storage.run(name, () => locks.exec({ ...pair, fn: () => {} }));
    await Promise.all([exec('first'), exec('second')]);
    expect(seen).toEqual(['first', 'second']);
  });

  it.each(['lock', 'tryLock', 'exec'] as const)('say which method was called: %s', async (method) => {
    const { locks } = await database.connected();
    const told = listen(EVERYTHING);
    const lock = await (locks[method] as (request: unknown) => Promise<Lock | null>)({
      ...pair,
      ...(method === 'exec' && { fn: () => null }),
    });
    await lock?.unlock();
    expect(messagesOn<AcquireMessage>(told, 'start')).toEqual([expect.objectContaining({ operation: method })]);
    expect(messagesOn<HoldMessage>(told, 'holdEnd')).toHaveLength(1);
  });

  it('are one call without a hold where tryLock is refused', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(pair);
    const told = listen(EVERYTHING);
    expect(await locks.tryLock(pair)).toBeNull();
    expect(names(told)).toEqual(['start', 'end', 'asyncStart', 'asyncEnd']);
    expect(messagesOn<AcquireMessage>(told, 'asyncEnd')[0]?.result).toBeNull();
    await lock.unlock();
  });

  it('are one call with its error where the wait fails', async () => {
    const { locks } = await database.connected();
    const lock = await locks.lock(pair);
    const told = listen(EVERYTHING);
    const controller = new AbortController();
    const waiting = rejection(locks.lock({ ...pair, signal: controller.signal }));
    await database.untilWaiting(pair, 1);
    controller.abort('my reason');
    expect(await waiting).toBe('my reason');
    const timedOut = await rejection(locks.lock({ ...pair, timeoutMS: 1 }));
    expect(messagesOn<AcquireMessage>(told, 'error').map(({ error }) => error)).toEqual(['my reason', timedOut]);
    expect(messagesOn<AcquireMessage>(told, 'asyncEnd')).toHaveLength(2);
    expect(messagesOn<AcquireMessage>(told, 'start')[0]?.signal).toBe(controller.signal);
    expect(messagesOn(told, 'holdStart')).toEqual([]);
    await lock.unlock();
  });

  it('are not told of where the arguments are refused', async () => {
    const { locks } = await database.connected();
    const told = listen(EVERYTHING);
    expect(await rejection(locks.lock({ resource: '', id: 7 }))).toMatchObject({ code: 'LOCK_INVALID_ARGUMENT' });
    expect(told).toEqual([]);
  });

  it('end as lost, with the reason of the signal', async () => {
    const client = await database.connected({ heartbeatIntervalMS: 100 });
    const told = listen(EVERYTHING);
    const lock = await client.locks.lock(pair);
    await declareDead(client.session);
    await eventually(() => lock.signal.aborted);
    const [hold] = messagesOn<HoldMessage>(told, 'holdEnd');
    expect(hold).toMatchObject({ outcome: 'lost', fencingToken: lock.fencingToken });
    expect(hold?.error).toBe(lock.signal.reason);
  });

  it('end as unknown where nobody acknowledged the release in time', async () => {
    const never = new Gate();
    const late = async <T>(send: () => Promise<T>): Promise<T> => never.pass().then(send);
    const silent = hooked({ vacate: late, renewSession: late, condemnSession: late });
    const client = await database.connected({ leaseDurationMS: 1_000 }, silent);
    client.expectsErrors = true;
    const told = listen(EVERYTHING);
    const lock = await client.locks.lock(pair);
    expect(await lock.unlock()).toBe(false);
    never.open();
    await eventually(async () => (await database.holder(pair)) === null);
    expect(messagesOn<HoldMessage>(told, 'holdEnd')).toEqual([
      expect.objectContaining({ outcome: 'unknown', heldMS: expect.any(Number), error: expect.any(Error) }),
    ]);
  });

  it('are followed whichever of their channels is subscribed to', async () => {
    const { locks } = await database.connected();
    const told = listen({ holdEnd: CHANNELS.holdEnd });
    await locks.exec({ ...pair, fn: () => {} });
    expect(messagesOn<HoldMessage>(told, 'holdEnd')).toMatchObject([{ acquisition: { operation: 'exec', ...pair } }]);
  });

  it('are those of every client, the one behind DLocks too', async () => {
    const told = listen(EVERYTHING);
    DLocks.configure({ uri: database.uri, ...SETTINGS });
    await DLocks.exec({ ...pair, fn: () => {} });
    await DLocks.close();
    expect(names(told)).toEqual(['start', 'end', 'holdStart', 'asyncStart', 'asyncEnd', 'holdEnd']);
  });

  it('cost nothing while nobody has subscribed: not even a message is made', () => {
    const request = { key: 'lock:account/7', ...pair, timeoutMS: 5 };
    for (const name of Object.values(EVERYTHING)) expect(hasSubscribers(name)).toBe(false);
    expect(acquisitionOf('lock', {}, request)).toBeNull();
    listen({ holdEnd: CHANNELS.holdEnd });
    expect(acquisitionOf('lock', {}, request)).toMatchObject(pair);
  });
});

describe('around', () => {
  it('is what calls the fn of an exec, and sees what it gives', async () => {
    const { locks } = await database.connected();
    const storage = new AsyncLocalStorage<string>();
    const listener = (message: unknown): void => {
      (message as HoldMessage).acquisition.around = (fn) => storage.run('inside', fn);
    };
    subscribe(CHANNELS.holdStart, listener);
    stops.push(() => unsubscribe(CHANNELS.holdStart, listener));
    const fn = async (): Promise<string> => `${storage.getStore()}`;
    expect(await locks.exec({ ...pair, fn })).toBe('inside');
    const mine = new Error('mine');
    expect(await rejection(locks.exec({ ...pair, fn: () => Promise.reject(mine) }))).toBe(mine);
    expect(given(await locks.tryLock(pair)).held).toBe(true);
  });

  it('that throws is what exec rejects with, and the lock is released', async () => {
    const { locks } = await database.connected();
    const broken = new Error('broken on purpose');
    const listener = (message: unknown): void => {
      (message as HoldMessage).acquisition.around = () => {
        throw broken;
      };
    };
    subscribe(CHANNELS.holdStart, listener);
    stops.push(() => unsubscribe(CHANNELS.holdStart, listener));
    expect(await rejection(locks.exec({ ...pair, fn: () => {} }))).toBe(broken);
    for (const stop of stops.splice(0)) stop();
    await given(await locks.tryLock(pair)).unlock();
  });
});

describe('the events', () => {
  it('come on a channel each, with the client, and the call they are about', async () => {
    const holder = await database.connected({ heartbeatIntervalMS: 100 });
    const told = listen({ ...EVENT_CHANNELS, start: `tracing:${CHANNELS.acquire}:start` });
    const client = await database.connected({ heartbeatIntervalMS: 100 });
    const renewals = heard(client, 'session:renewed');
    const lock = await holder.locks.lock(pair);
    const waiting = client.locks.lock(pair);
    await eventually(() => names(told).includes('position'));
    await lock.unlock();
    const mine = await waiting;
    await eventually(() => renewals.length > 0);
    await mine.unlock();
    await client.locks.close();
    const own = told.filter(({ message }) => (message as EventMessage).client === client.locks);
    const [call] = messagesOn<AcquireMessage>(own, 'start');
    expect(new Set(names(own))).toEqual(
      new Set([
        ...['session:opened', 'start', 'waiting', 'position', 'stream:opened', 'stream:delivered', 'granted'],
        ...['session:renewed', 'released', 'stream:closed', 'session:ended'],
      ]),
    );
    for (const name of ['waiting', 'position', 'granted', 'released']) {
      const [message] = messagesOn<EventMessage>(own, name);
      expect(message?.acquisition).toBe(call);
      expect(message).toMatchObject({ name, event: pair });
    }
    expect(messagesOn<EventMessage>(own, 'granted')[0]?.event).toEqual(client.seen('granted')[0]);
    expect(messagesOn<EventMessage>(own, 'session:renewed')[0]?.acquisition).toBeUndefined();
  });

  it('of a stream that delivers say by how much it lags, in a range that an own look can tell', async () => {
    const holder = await database.connected();
    const client = await database.connected({ heartbeatIntervalMS: 100 });
    const deliveries = heard(client, 'stream:delivered');
    const lock = await holder.locks.lock(pair);
    const waiting = client.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    const before = performance.now();
    await lock.unlock();
    await (await waiting).unlock();
    const tookMS = performance.now() - before;
    const { lagMS, uncertaintyMS } = await eventually(() => deliveries[0]);
    expect(lagMS).toBeGreaterThanOrEqual(0);
    // It was written, and came, between the release and the grant.
    expect(lagMS - uncertaintyMS).toBeLessThanOrEqual(tookMS);
  });

  it('of a heartbeat say how late it was acknowledged, and how long the answer took', async () => {
    const client = await database.connected({ heartbeatIntervalMS: 100 });
    const renewals = heard(client, 'session:renewed');
    const lock = await client.locks.lock(pair);
    await eventually(() => renewals.length >= 3);
    for (const { delayMS, roundTripMS, session } of renewals) {
      expect(session).toBe(client.session);
      expect(roundTripMS).toBeGreaterThan(0);
      expect(delayMS).toBeGreaterThanOrEqual(roundTripMS);
    }
    await lock.unlock();
  });
});

itLeavesNothingBehind(database);
