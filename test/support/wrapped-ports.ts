/**
 * A hand on the two ports of one client, between its engine and the real server: requests, replies and facts that a test
 * picks out are held back until it lets them go, dropped, or sent twice. Nothing here waits for a time.
 *
 * Each rule takes the first call that fits and no other (`times` makes it more) and gives back a `Gate`. A reply that is
 * held back or dropped was executed; the engine then does what it does on a silent or broken connection.
 */
import type { LockSettings } from 'mongo-distributed-locks';
import { afterEach } from 'vitest';
import { systemClock } from '#core/base/clock.js';
import type { Ports } from '#core/client.js';
import { LockOutcomeUnknownError } from '#core/errors.js';
import type { ChangeFeed, FeedHandle, FeedListener, GrantFact, LockStore } from '#core/ports.js';
import type { TestClient, TestDatabase } from './database.js';
import { eventually } from './eventually.js';

export type StoreMethod = Exclude<keyof LockStore, 'close'>;

/** One command, as the engine sent it. */
export interface StoreCall {
  readonly method: StoreMethod;
  readonly request: Readonly<Record<string, unknown>>;
  /** When it was sent, on the engine's clock. */
  readonly at: number;
  /** How it went: still under way, answered, or failed. */
  state: 'sent' | 'answered' | 'failed';
  reply?: unknown;
}

export interface CallFilter {
  readonly method: StoreMethod;
  readonly key?: string;
  readonly where?: (request: Readonly<Record<string, unknown>>) => boolean;
  /** How many calls it takes; default 1. */
  readonly times?: number;
}

export interface FactFilter {
  readonly key?: string;
  readonly times?: number;
}

/** What became of one rule. */
export class Gate<T> {
  /** What it has taken, in order. */
  readonly taken: T[] = [];
  readonly #opened: Promise<void>;
  #open!: () => void;

  constructor() {
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** Resolves with the first, when it has come. */
  reached(): Promise<T> {
    return eventually(() => (this.taken.length > 0 ? { first: this.taken[0] as T } : null)).then(({ first }) => first);
  }

  /** Lets go what is held back, and whatever of it is still to come. */
  letGo(): void {
    this.#open();
  }

  /** For the wire. */
  async pass(taken: T): Promise<void> {
    this.taken.push(taken);
    await this.#opened;
  }
}

type Send = () => Promise<unknown>;
type Act = (call: StoreCall, send: Send) => Promise<unknown>;

interface Rule {
  readonly filter: CallFilter;
  left: number;
  readonly act: Act;
}

type FactAct = (fact: GrantFact, tell: () => void) => void;

interface FactRule {
  readonly filter: FactFilter;
  left: number;
  readonly act: FactAct;
}

/** The wires of one client. Give `wire.wrap` to it as `wrapPorts`. */
export class Wire {
  /** Every command so far. */
  readonly calls: StoreCall[] = [];
  /** Every fact so far that the server has sent, told or not. */
  readonly facts: GrantFact[] = [];
  /** How often a stream was asked for. */
  openedCount = 0;
  readonly #rules: Rule[] = [];
  readonly #factRules: FactRule[] = [];
  readonly #openedGates: Gate<void>[] = [];
  readonly #gates: { letGo(): void }[] = [];
  #listener: FeedListener | null = null;
  #store: LockStore | null = null;

  readonly wrap: (ports: Ports) => Ports = ({ store, feed }) => {
    this.#store = store;
    return { store: this.#wrapStore(store), feed: this.#wrapFeed(feed) };
  };

  /** Opens every gate: nothing of a test may wait at one when it ends. */
  openAll(): void {
    for (const gate of this.#gates) gate.letGo();
  }

  /** The calls of one method. */
  callsOf(method: StoreMethod): StoreCall[] {
    return this.calls.filter((call) => call.method === method);
  }

  /**
   * Resolves when an arrival was answered and nothing else is under way: what comes to the waiter from here on comes by
   * the stream, until the next patrol.
   */
  async untilArrived(): Promise<void> {
    await eventually(
      () =>
        this.callsOf('arrive').some(({ state }) => state === 'answered') &&
        this.calls.every(({ state }) => state !== 'sent'),
    );
  }

  /** The ports without rules, for what a test sends itself. */
  get store(): LockStore {
    if (this.#store === null) throw new Error('This wire belongs to no client yet');
    return this.#store;
  }

  // --- commands -----------------------------------------------------------------------------------------------------

  /** The request stays here until the gate lets it go. */
  holdRequest(filter: CallFilter): Gate<StoreCall> {
    const gate = new Gate<StoreCall>();
    return this.#rule(filter, gate, async (call, send) => {
      await gate.pass(call);
      return send();
    });
  }

  /** It is executed; the reply stays here until the gate lets it go. The gate is reached when it was executed. */
  holdReply(filter: CallFilter): Gate<StoreCall> {
    const gate = new Gate<StoreCall>();
    return this.#rule(filter, gate, async (call, send) => {
      const settled = await Promise.allSettled([send()]);
      await gate.pass(call);
      return unsettle(settled[0]);
    });
  }

  /** It never reaches the server, which nobody can know. */
  dropRequest(filter: CallFilter): Gate<StoreCall> {
    const gate = new Gate<StoreCall>();
    return this.#rule(filter, gate, async (call) => {
      void gate.pass(call);
      throw unknownOutcome(call);
    });
  }

  /** It is executed, and nobody is told. */
  dropReply(filter: CallFilter): Gate<StoreCall> {
    const gate = new Gate<StoreCall>();
    return this.#rule(filter, gate, async (call, send) => {
      await send();
      void gate.pass(call);
      throw unknownOutcome(call);
    });
  }

  /** It is executed and answered, and a late copy of it is executed when the gate lets it go: see `copiesDone`. */
  repeatRequest(filter: CallFilter): Gate<StoreCall> & { readonly copiesDone: Promise<unknown>[] } {
    const copiesDone: Promise<unknown>[] = [];
    const gate = Object.assign(new Gate<StoreCall>(), { copiesDone });
    return this.#rule(filter, gate, async (call, send) => {
      const answer = await send();
      copiesDone.push(gate.pass(call).then(send));
      return answer;
    });
  }

  /** The test does something else in its place. */
  replaceRequest(filter: CallFilter, act: Act): Gate<StoreCall> {
    const gate = new Gate<StoreCall>();
    return this.#rule(filter, gate, (call, send) => {
      void gate.pass(call);
      return act(call, send);
    });
  }

  #rule<G extends Gate<StoreCall>>(filter: CallFilter, gate: G, act: Act): G {
    this.#gates.push(gate);
    this.#rules.push({ filter, left: filter.times ?? 1, act });
    return gate;
  }

  #wrapStore(store: LockStore): LockStore {
    return new Proxy(store, {
      get: (target, name) => {
        const value = Reflect.get(target, name) as unknown;
        if (typeof value !== 'function') return value;
        if (name === 'close') return value.bind(target);
        return (request: StoreCall['request'] = {}) =>
          this.#pass(name as StoreMethod, request, () => value.call(target, request));
      },
    });
  }

  async #pass(method: StoreMethod, request: StoreCall['request'], send: Send): Promise<unknown> {
    const call: StoreCall = { method, request, at: systemClock.nowMS(), state: 'sent' };
    this.calls.push(call);
    const rule = this.#rules.find(({ filter, left }) => left > 0 && fits(filter, call));
    if (rule !== undefined) rule.left -= 1;
    try {
      const reply = await (rule === undefined ? send() : rule.act(call, send));
      Object.assign(call, { state: 'answered', reply });
      return reply;
    } catch (error) {
      call.state = 'failed';
      throw error;
    }
  }

  // --- facts --------------------------------------------------------------------------------------------------------

  /** The fact stays here until the gate lets it go; others overtake it. */
  holdFact(filter: FactFilter = {}): Gate<GrantFact> {
    const gate = new Gate<GrantFact>();
    return this.#factRule(filter, gate, (fact, tell) => void gate.pass(fact).then(tell));
  }

  /** The fact is never told. */
  dropFact(filter: FactFilter = {}): Gate<GrantFact> {
    const gate = new Gate<GrantFact>();
    return this.#factRule(filter, gate, (fact) => void gate.pass(fact));
  }

  /** The fact is told twice, and once more when the gate lets it go. */
  repeatFact(filter: FactFilter = {}): Gate<GrantFact> {
    const gate = new Gate<GrantFact>();
    return this.#factRule(filter, gate, (fact, tell) => {
      tell();
      tell();
      void gate.pass(fact).then(tell);
    });
  }

  /** The test decides what is told, and when. */
  replaceFact(filter: FactFilter, act: FactAct): Gate<GrantFact> {
    const gate = new Gate<GrantFact>();
    return this.#factRule(filter, gate, (fact, tell) => {
      void gate.pass(fact);
      act(fact, tell);
    });
  }

  /** That the stream is open stays here until the gate lets it go. */
  holdOpened(): Gate<void> {
    const gate = new Gate<void>();
    this.#openedGates.push(gate);
    this.#gates.push(gate);
    return gate;
  }

  /** Tells the engine a fact that the server never sent. */
  tell(fact: GrantFact): void {
    if (this.#listener === null) throw new Error('No stream is open');
    this.#listener.onFact(fact);
  }

  #factRule<G extends Gate<GrantFact>>(filter: FactFilter, gate: G, act: FactAct): G {
    this.#gates.push(gate);
    this.#factRules.push({ filter, left: filter.times ?? 1, act });
    return gate;
  }

  #wrapFeed(feed: ChangeFeed): ChangeFeed {
    return {
      open: ({ session, listener }): FeedHandle => {
        this.openedCount += 1;
        this.#listener = listener;
        let closed = false;
        const handle = feed.open({ session, listener: this.#wrapListener(listener, () => closed) });
        return {
          close: () => {
            closed = true;
            return handle.close();
          },
        };
      },
      watch: (request) => feed.watch(request),
    };
  }

  /** What is let go after the stream was closed is not told: the port's promise holds through the wire. */
  #wrapListener(listener: FeedListener, isClosed: () => boolean): FeedListener {
    return {
      onFact: (fact) => {
        this.facts.push(fact);
        const rule = this.#factRules.find(({ filter, left }) => left > 0 && (filter.key ?? fact.key) === fact.key);
        if (rule === undefined) return listener.onFact(fact);
        rule.left -= 1;
        rule.act(fact, () => {
          if (!isClosed()) listener.onFact(fact);
        });
      },
      onOpened: () => {
        const gate = this.#openedGates.shift();
        if (gate === undefined) return listener.onOpened();
        void gate.pass().then(() => {
          if (!isClosed()) listener.onOpened();
        });
      },
      onInterrupted: (cause) => listener.onInterrupted(cause),
      onRefused: (error) => listener.onRefused(error),
    };
  }
}

function fits({ method, key, where }: CallFilter, call: StoreCall): boolean {
  if (method !== call.method || (key !== undefined && call.request.key !== key)) return false;
  return where === undefined || where(call.request);
}

function unsettle(settled: PromiseSettledResult<unknown>): unknown {
  if (settled.status === 'rejected') throw settled.reason;
  return settled.value;
}

function unknownOutcome({ method }: StoreCall): LockOutcomeUnknownError {
  return new LockOutcomeUnknownError(`The connection broke during ${method}.`);
}

/** A client whose ports the test has its hand on. */
export interface WiredClient {
  readonly wire: Wire;
  readonly client: TestClient;
}

/** Gives a test file its wired clients, connected; whatever waits at a gate when a test ends is let go. */
export function useWires(database: Pick<TestDatabase, 'connected'>): (settings: LockSettings) => Promise<WiredClient> {
  const wires: Wire[] = [];
  afterEach(() => {
    for (const wire of wires.splice(0)) wire.openAll();
  });
  return async (settings) => {
    const wire = new Wire();
    wires.push(wire);
    return { wire, client: await database.connected(settings, { wrapPorts: wire.wrap }) };
  };
}
