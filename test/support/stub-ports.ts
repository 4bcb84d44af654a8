/**
 * The two ports without a database, for tests of what calls are given rather than of what locks do: either no primary is ever found, or every
 * lock is held by somebody else for ever, or it goes to whoever asks. It counts what is sent. Nobody ever waits behind anybody here.
 */
import { LockUnavailableError } from '#core/errors.js';
import type { ChangeFeed, LockStore } from '#core/ports.js';
import type { LockState, SessionState } from '#core/protocol/documents.js';
import { formatGrant, type TicketRef } from '#core/protocol/grant.js';

export type StubMode = 'down' | 'held' | 'free';

type Answers = { [Name in keyof LockStore]: (request: Parameters<LockStore[Name]>[0]) => unknown };

/** A database that is always in one state. */
export class StubPorts {
  readonly sent: string[] = [];
  readonly #mode: StubMode;
  readonly #grants = new Map<string, string | null>();
  #token = 10;

  constructor(mode: StubMode) {
    this.#mode = mode;
  }

  /** Grants that stand and are somebody's here. */
  get granted(): string[] {
    return [...this.#grants.values()].filter((grant) => grant !== null);
  }

  readonly store: LockStore = new Proxy({} as LockStore, {
    get: (_, name) => (request: never) => this.#answer(name as keyof LockStore, request),
  });

  readonly feed: ChangeFeed = {
    open: ({ listener }) => {
      setImmediate(() => listener.onOpened());
      return { close: async () => {} };
    },
    watch: () => ({ close: async () => {} }),
  };

  async #answer(name: keyof LockStore, request: never): Promise<unknown> {
    if (name !== 'close') this.sent.push(name);
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#mode === 'down' && name !== 'close') throw new LockUnavailableError('There is no primary.');
    return this.#answers[name](request);
  }

  #lock(key: string): LockState {
    const grant = this.#mode === 'held' ? 'other/7/1:1' : (this.#grants.get(key) ?? null);
    return { key, version: 1, grant, fence: this.#token, arrivals: 0, firstArrival: null, born: 1 };
  }

  #grant(key: string, session: string, tickets: readonly TicketRef[]): LockState {
    if (this.#lock(key).grant === null) {
      this.#grants.set(key, formatGrant({ session, firstToken: this.#token + 1, tickets }));
      this.#token += tickets.reduce((sum, { callers }) => sum + callers, 0);
    }
    return this.#lock(key);
  }

  #release(key: string, grant: string): LockState | null {
    if (this.#grants.get(key) !== grant) return null;
    this.#grants.set(key, null);
    return this.#lock(key);
  }

  readonly #answers: Answers = {
    prepare: () => undefined,
    close: () => undefined,
    openSession: ({ session, leaseMS }) => aliveSession(session, leaseMS),
    renewSession: ({ session, leaseMS }) => aliveSession(session, leaseMS),
    reapSession: ({ session }) => aliveSession(session, 1_000),
    condemnSession: () => undefined,
    endSession: () => undefined,
    readSessions: ({ sessions }) => sessions.map((session) => aliveSession(session, 1_000)),
    tryGrant: ({ key, session, ticket }) => this.#grant(key, session, [ticket]),
    arrive: ({ key, session, tickets }) => void this.#grant(key, session, tickets),
    readQueue: ({ key }) => ({ lock: this.#lock(key), head: [], full: false }),
    handoff: () => false,
    vacate: ({ key, grant }) => this.#release(key, grant),
    rescue: () => false,
    clearArrivals: () => undefined,
    deleteTickets: () => undefined,
    deleteTicketsOf: () => undefined,
    readGrantsOf: () => [...this.#grants].flatMap(([key, grant]) => (grant === null ? [] : [{ key, grant }])),
    readTicketsOf: () => [],
    readAwaited: ({ keys, ticketIds }) => ({
      locks: new Map(keys.map((key) => [key, { lock: this.#lock(key), head: [] }])),
      unreadable: [],
      tickets: new Set(ticketIds),
    }),
  };
}

function aliveSession(session: string, leaseMS: number): SessionState {
  return { session, version: 1, state: 'alive', remainingMS: leaseMS, leaseMS, beats: 0 };
}
