/**
 * A client whose first change stream cannot be opened, while its commands work: what it holds can be given back at any instant after a second call
 * for it, and that call is served; nothing waits for the patrol. The ports are stubs, and every instant is a number of promise turns.
 */
import { type Lock, LockClient, type LockClientOptions } from 'mongo-distributed-locks';
import { describe, expect, it } from 'vitest';
import type { ClientInternals, Ports } from '#core/client.js';
import { rejection } from '../support/eventually.js';
import { StubPorts } from '../support/stub-ports.js';

const db = { databaseName: 'app', command: async () => ({}), collection: () => ({}) };
const PAIR = { resource: 'r', id: 1 };
/** Nothing but the callers themselves moves anything on within the time a test has. */
const QUIET = { leaseDurationMS: 600_000, patrolIntervalMS: 600_000 };
const LIMIT_MS = 5_000;
/** Around the turn of the event loop that a second call of a holder's process waits for others. */
const TURNS = [0, 1, 2, 3, 4, 6, 8, 12, 20, 50];

const Internal = LockClient as unknown as new (options: LockClientOptions, internals: ClientInternals) => LockClient;

function client(): { locks: LockClient; ports: StubPorts } {
  const ports = new StubPorts('free');
  const silent = { close: async () => {} };
  const deaf: Ports = { store: ports.store, feed: { open: () => silent, watch: () => silent } };
  return { locks: new Internal({ db, ...QUIET }, { wrapPorts: () => deaf }), ports };
}

async function pass(turnsCount: number): Promise<void> {
  for (let turn = 0; turn < turnsCount; turn += 1) await null;
}

async function held(): Promise<{ locks: LockClient; ports: StubPorts; lock: Lock }> {
  const { locks, ports } = client();
  return { locks, ports, lock: await locks.lock(PAIR) };
}

describe('INV-05: while the stream cannot be opened', () => {
  it.each(TURNS)(
    'a lock released %i turns after the next call is granted to it at once',
    { timeout: LIMIT_MS },
    async (turns) => {
      const { locks, lock } = await held();
      const next = locks.lock(PAIR);
      await pass(turns);
      expect(await lock.unlock()).toBe(true);
      expect(await (await next).unlock()).toBe(true);
      await locks.close();
    },
  );

  it.each(TURNS)('close ends %i turns after such a call', { timeout: LIMIT_MS }, async (turns) => {
    const { locks, ports } = await held();
    const next = rejection(locks.lock(PAIR));
    await pass(turns);
    await locks.close();
    expect(await next).toMatchObject({ code: 'LOCK_CLOSED' });
    expect(ports.granted).toEqual([]);
  });

  it.each(TURNS)(
    'a release is sent %i turns after such a call, which is given up',
    { timeout: LIMIT_MS },
    async (turns) => {
      const { locks, ports, lock } = await held();
      const controller = new AbortController();
      const next = rejection(locks.lock({ ...PAIR, signal: controller.signal }));
      await pass(turns);
      controller.abort('gone');
      expect(await lock.unlock()).toBe(true);
      expect(await next).toBe('gone');
      expect(ports.granted).toEqual([]);
      await locks.close();
    },
  );
});
