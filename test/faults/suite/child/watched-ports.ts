/**
 * The two ports of a process's client, watched: when the server has acknowledged that a caller arrived in the queue, and
 * until when the process may rely on its session. The library tells neither, because no user needs it. Changes nothing.
 */
import type { LockClient } from 'mongo-distributed-locks';
import type { Ports } from '#core/client.js';
import type { ChangeFeed, GrantFact, LockStore } from '#core/ports.js';
import { readKey } from '#core/protocol/key.js';
import { nowMS } from '../../../../packages/examples/src/demo/clock.js';
import { DEADLINE_MARGIN_MS, HEARTBEAT_MS, LEASE_MS } from '../settings.js';

export interface PortWatcher {
  onArrived(caller: string, session: string): void;
  onDeadline(session: string, until: number): void;
  onDelivered(grant: string): void;
}

/** Whose arrival is about to be sent, by key: the event comes right before the command. */
export class Announcements {
  readonly #byKey = new Map<string, string[]>();
  readonly #lost = new Set<string>();

  /** Listens to the client. */
  follow(locks: Pick<LockClient, 'on'>): void {
    locks.on('waiting', ({ resource, id, label }) => {
      const key = readKey({ resource, id });
      if (label !== undefined) this.#byKey.set(key, [...(this.#byKey.get(key) ?? []), label]);
    });
    locks.on('session:lost', ({ session }) => {
      this.#lost.add(session);
      this.#byKey.clear();
    });
  }

  take(key: string): string[] {
    const callers = this.#byKey.get(key) ?? [];
    this.#byKey.delete(key);
    return callers;
  }

  /** Whether a place under this session counts for nothing any more. */
  void(session: string): boolean {
    return this.#lost.has(session);
  }
}

/** The same ports; what they answer is also told to the watcher. */
export function watchPorts(ports: Ports, announcements: Announcements, watcher: PortWatcher): Ports {
  const { store, feed } = ports;
  const sent = new Map<string, string[]>();
  const overrides: Partial<LockStore> = {
    arrive: async (request) => {
      const { key, session, tickets } = request;
      const name = `${session}/${tickets.map(({ n }) => n).join()}`;
      const callers = sent.get(name) ?? announcements.take(key);
      sent.set(name, callers);
      await store.arrive(request);
      sent.delete(name);
      if (!announcements.void(session)) for (const caller of callers) watcher.onArrived(caller, session);
    },
    openSession: (draft) => timed(() => store.openSession(draft), draft.session, watcher),
    renewSession: (request) => timed(() => store.renewSession(request), request.session, watcher, HEARTBEAT_MS),
  };
  const open: ChangeFeed['open'] = ({ session, listener }) => {
    const onFact = (fact: GrantFact): void => {
      watcher.onDelivered(fact.grant);
      listener.onFact(fact);
    };
    return feed.open({ session, listener: overriding(listener, { onFact }) });
  };
  return { store: overriding(store, overrides), feed: overriding(feed, { open }) };
}

/** The engine drops an answer that comes after `limitMS`. */
async function timed<T>(send: () => Promise<T>, session: string, watcher: PortWatcher, limitMS = Infinity): Promise<T> {
  const startedAt = nowMS();
  const answer = await send();
  if (answer !== null && nowMS() - startedAt <= limitMS)
    watcher.onDeadline(session, startedAt + LEASE_MS - DEADLINE_MARGIN_MS);
  return answer;
}

/** An object that answers like `target`, but for these methods. */
export function overriding<T extends object>(target: T, overrides: Partial<T>): T {
  return new Proxy(target, {
    get: (of, name) => {
      const own: unknown = Reflect.get(overrides, name);
      if (own !== undefined) return own;
      const value: unknown = Reflect.get(of, name);
      return typeof value === 'function' ? value.bind(of) : value;
    },
  });
}
