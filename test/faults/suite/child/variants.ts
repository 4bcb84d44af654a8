/**
 * Locks that are broken on purpose: each of them breaks one promise, and the checker must find it. They are made of the
 * real client by a hand on its ports, but for the one that asks no server at all. `main.ts` of the suite runs them with
 * `--self-check`; nothing else uses them.
 */
import type { LockClient } from 'mongo-distributed-locks';
import type { Db } from 'mongodb';
import type { Ports } from '#core/client.js';
import { formatGrant, parseGrant } from '#core/protocol/grant.js';
import type { VariantName } from '../facts.js';
import { overriding } from './watched-ports.js';

/** What the callers of a process use of a client. */
export type Locks = Pick<LockClient, 'connect' | 'lock' | 'tryLock' | 'close'>;

const BROKEN_PORTS: Partial<Record<VariantName, (ports: Ports, db: Db) => Ports>> = {
  'last come, first served': (ports) => {
    const { store } = ports;
    const readQueue: typeof store.readQueue = async (request) => {
      const view = await store.readQueue(request);
      return { ...view, head: [...view.head].reverse() };
    };
    return { ...ports, store: overriding(store, { readQueue }) };
  },
  'never deletes tickets': (ports) => {
    const deleteTickets = async (): Promise<void> => {};
    return { ...ports, store: overriding(ports.store, { deleteTickets }) };
  },
  'same token again': (ports) => {
    const { store } = ports;
    const handoff: typeof store.handoff = (request) => {
      const next = parseGrant(request.next);
      const grant = parseGrant(request.grant);
      if (next === null || grant === null) return store.handoff(request);
      return store.handoff({ ...request, next: formatGrant({ ...next, firstToken: grant.firstToken }) });
    };
    return { ...ports, store: overriding(store, { handoff }) };
  },
  'reads streams it has closed': ({ store, feed }) => ({
    store,
    feed: overriding(feed, { open: (request) => overriding(feed.open(request), { close: async () => {} }) }),
  }),
  'checks its grants against older states': ({ store, feed }, db) => {
    // A plain majority read, which waits for nothing that this client was told.
    const locks = db.collection<{ _id: string; grant: string }>('dlocks', { readConcern: { level: 'majority' } });
    const readGrantsOf: typeof store.readGrantsOf = async ({ session }) => {
      const found = await locks.find({ grant: { $gte: `${session}/`, $lt: `${session}0` } }).toArray();
      return found.map(({ _id: key, grant }) => ({ key, grant }));
    };
    return { store: overriding(store, { readGrantsOf }), feed };
  },
  'deaf and blind': ({ store, feed }) => ({
    store: overriding(store, {
      readGrantsOf: async () => [],
      readAwaited: async () => ({ locks: new Map(), unreadable: [], tickets: new Set() }),
    }),
    feed: overriding(feed, {
      open: ({ session, listener }) => feed.open({ session, listener: overriding(listener, { onFact: () => {} }) }),
    }),
  }),
};

/** The ports of a variant; those of the real lock as they are. */
export function breakPorts(variant: VariantName, ports: Ports, db: Db): Ports {
  return BROKEN_PORTS[variant]?.(ports, db) ?? ports;
}

/** Grants everything at once, with tokens of its own. */
export function lockWithoutServer(): Locks {
  let token = Date.now() * 1_000;
  const grant = (): object => {
    token += 1;
    return { fencingToken: token, held: true, signal: new AbortController().signal, unlock: async () => true };
  };
  const lock = async (): Promise<never> => grant() as never;
  return { connect: async () => {}, close: async () => {}, lock, tryLock: lock };
}
