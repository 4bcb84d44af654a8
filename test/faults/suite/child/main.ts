/**
 * One contending process of the fault suite. `processes.ts` starts it with its settings in the environment; it carries
 * out orders, tells facts, and ends by itself once it has closed: nothing of the library may keep it alive. When the
 * harness is gone it ends at once.
 */
import type { LookupFunction } from 'node:net';
import { LockClient } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { readKey } from '#core/protocol/key.js';
import { nowMS } from '../../../../packages/examples/src/demo/clock.js';
import type { Order, ProcessFact, ProcessSettings } from '../facts.js';
import { CLOCK_SKEW_MS, HEARTBEAT_MS, IDLE_MS, LEASE_MS, PATROL_MS } from '../settings.js';
import { GuardedDocuments } from './guarded.js';
import { leak } from './leaks.js';
import { Stalls } from './stalls.js';
import { breakPorts, type Locks, lockWithoutServer } from './variants.js';
import { Announcements, watchPorts } from './watched-ports.js';
import { Work } from './work.js';

const settings: ProcessSettings = JSON.parse(process.env.FAULT_SUITE_PROCESS ?? '{}');

/** Every host of the set is where the harness says: this process's own side of the bridge. */
const lookup: LookupFunction = (_host, options, callback) => {
  const { address } = settings;
  if (options.all) callback(null, [{ address, family: 4 }]);
  else callback(null, address, 4);
};

const client = new MongoClient(settings.uri, {
  lookup,
  appName: settings.name,
  serverSelectionTimeoutMS: 10_000,
  ...(settings.workload.maxPoolSize !== undefined && { maxPoolSize: settings.workload.maxPoolSize }),
});
client.on('error', () => {});

let facts: ProcessFact[] = [];

/** Facts of one turn of the event loop go together, after it, unless one must not be overtaken. */
function tell(fact: ProcessFact, when?: 'at once'): void {
  facts.push(fact);
  if (when === 'at once') flush();
  else if (facts.length === 1) setImmediate(flush);
}

function flush(): void {
  if (facts.length === 0) return;
  const told = facts;
  facts = [];
  if (process.connected) process.send?.(told);
}

function trouble(error: unknown): void {
  tell({ kind: 'trouble', message: String(error), at: nowMS() });
}

const stalls = new Stalls();
const sessions = new Map<string, string>();

function realLocks(): Locks {
  const announcements = new Announcements();
  const locks = new LockClient(
    {
      client,
      dbName: settings.dbName,
      label: settings.name,
      leaseDurationMS: LEASE_MS,
      heartbeatIntervalMS: settings.workload.heartbeatMS ?? HEARTBEAT_MS,
      patrolIntervalMS: PATROL_MS,
      clockSkewMS: CLOCK_SKEW_MS,
      idleMS: IDLE_MS,
      logger: { error: () => {} },
    },
    {
      wrapPorts: (ports) =>
        watchPorts(breakPorts(settings.variant, ports, client.db(settings.dbName)), announcements, {
          onArrived: (caller, session) => tell({ kind: 'arrived', caller, session, at: nowMS() }),
          onDelivered: (grant) => tell({ kind: 'delivered', grant, at: nowMS() }, 'at once'),
          onDeadline: (session, until) => tell({ kind: 'deadline', session, until, at: nowMS() }),
        }),
    },
  );
  announcements.follow(locks);
  tellEvents(locks);
  return locks;
}

function tellEvents(locks: LockClient): void {
  const session = (kind: 'session opened' | 'session lost' | 'session ended', id: string, cause?: unknown): void => {
    const why = cause === undefined ? {} : { why: String(cause) };
    tell({ kind, session: id, stalledMS: stalls.worstMS, at: nowMS(), ...why });
  };
  locks.on('session:opened', (event) => session('session opened', event.session));
  locks.on('session:ended', (event) => session('session ended', event.session));
  locks.on('session:lost', (event) => session('session lost', event.session, event.cause));
  locks.on('session:reaped', ({ session: reaped, locksCount }) =>
    tell({ kind: 'reaped', session: reaped, locksCount, at: nowMS() }),
  );
  for (const what of ['opened', 'interrupted', 'closed'] as const)
    locks.on(`stream:${what}`, () => tell({ kind: 'stream', what, at: nowMS() }));
  for (const name of ['granted', 'released', 'lost'] as const)
    locks.on(name, (event) => {
      const key = readKey(event);
      const token = event.fencingToken;
      if (name === 'granted') sessions.set(`${key} ${token}`, event.session);
      tell({ kind: 'event', name, key, token, at: nowMS() });
    });
}

/** Taken out: each token is asked for once. */
function sessionOf(key: string, token: number): string {
  const session = sessions.get(`${key} ${token}`) ?? '';
  sessions.delete(`${key} ${token}`);
  return session;
}

const locks = settings.variant === 'ignores the server' ? lockWithoutServer() : realLocks();
const guarded = new GuardedDocuments(client.db(settings.dbName));
const work = new Work({ locks, guarded, settings, tell, sessionOf, stalledMS: () => stalls.worstMS });

/** Slow queries of the user's own, on the connections the locks need too. */
async function hog(durationMS: number, queriesCount: number): Promise<void> {
  const slow = client.db(settings.dbName).collection('slow');
  const query = { $where: `sleep(${Math.round(durationMS)}) || true` };
  await Promise.all(Array.from({ length: queriesCount }, () => slow.findOne(query).catch(() => {})));
}

async function close(): Promise<void> {
  clearInterval(resources);
  await locks.close();
  await client.close();
  flush();
  // The channel and what keeps it open; after that nothing may keep this process alive.
  process.removeAllListeners('message');
  process.removeAllListeners('disconnect');
  process.disconnect();
}

async function carryOut(order: Order): Promise<void> {
  if (order.kind === 'start') return work.start();
  if (order.kind === 'call') return work.call(order);
  if (order.kind === 'release') return work.release(order.caller);
  if (order.kind === 'hog') return hog(order.durationMS, order.queriesCount);
  if (order.kind === 'close') return close();
  if (order.kind === 'measure') return tellResources(true);
  await work.finish();
  tell({ kind: 'finished', at: nowMS() });
}

/** After a collection, so that what is left is what is kept. */
function tellResources(atRest: boolean): void {
  (globalThis as { gc?: () => void }).gc?.();
  const { heapUsed, rss } = process.memoryUsage();
  const handles: Record<string, number> = {};
  for (const name of process.getActiveResourcesInfo()) handles[name] = (handles[name] ?? 0) + 1;
  tell({ kind: 'resources', atRest, heapMB: heapUsed / 2 ** 20, rssMB: rss / 2 ** 20, handles, at: nowMS() });
}

const resources = setInterval(() => tellResources(false), settings.resourcesEveryMS).unref();
process.on('disconnect', () => process.exit());
process.on('message', (order: Order) => {
  carryOut(order).catch(trouble);
});
process.on('unhandledRejection', trouble);
await client.connect();
tell({ kind: 'connected', at: nowMS() });
await locks.connect();
tell({ kind: 'ready', at: nowMS() });
leak(settings, client);
