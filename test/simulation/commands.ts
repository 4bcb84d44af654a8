/**
 * The protocol's commands as they run on the simulated server, with the conditions of `ports.ts` and of the commands in
 * `mongo/`: variables are read when a command starts, statements of one command interleave with other commands. `off`
 * names conditions that a mutation test has switched off; nothing else may weaken them. Called by `store.ts`.
 */
import type {
  NotedArrivals,
  QueueRequest,
  ReapRequest,
  SessionDraft,
  StandingGrant,
  StoredTicket,
} from '#core/ports.js';
import { DOCUMENT_VERSION, type LockState, type SessionState, type TicketState } from '#core/protocol/documents.js';
import { callersCount, formatGrant, formatTicket, parseGrant, type TicketRef } from '#core/protocol/grant.js';
import { arrivalNumber } from '#core/protocol/transitions.js';
import type {
  Author,
  LockDoc,
  Program,
  ReplicaSet,
  SessionDoc,
  Snapshot,
  TicketDoc,
  Variables,
} from './replica-set.js';

/** A condition of design section 4 that a mutation test can switch off. */
export type Condition =
  | 'try-only-vacant'
  | 'ticket-keeps-its-place'
  | 'mark-grants-vacant'
  | 'mark-counts'
  | 'mark-notes-first'
  | 'handoff-exact-grant'
  | 'handoff-notes-force'
  | 'handoff-writes-trace'
  | 'vacate-exact-grant'
  | 'vacate-arrivals'
  | 'vacate-next-number'
  | 'vacate-not-own-ticket'
  | 'vacate-not-dead-session'
  | 'vacate-notes-force'
  | 'vacate-writes-trace'
  | 'note-stays'
  | 'trace-stays'
  | 'rescue-only-vacant'
  | 'rescue-exact-fence'
  | 'grant-clears-first-arrival'
  | 'first-token-from-cluster-time'
  | 'renew-only-alive'
  | 'open-not-dead'
  | 'reap-skew'
  | 'reap-until'
  | 'reap-beats'
  | 'reap-absent-waits'
  | 'prefetch-leaves-out-own'
  | 'prefetch-lock-first'
  | 'read-after-what-was-told'
  | 'event-moves-reads-on';

export class Commands {
  readonly #set: ReplicaSet;
  readonly #author: (command: string, detail?: string) => Author;
  readonly #off: ReadonlySet<Condition>;

  constructor(set: ReplicaSet, process: string, off: ReadonlySet<Condition>) {
    this.#set = set;
    this.#author = (command, detail) => ({ process, command, ...(detail !== undefined && { detail }) });
    this.#off = off;
  }

  // --- locks ------------------------------------------------------------------------------------------------------

  *tryGrant(request: { key: string; session: string; ticket: TicketRef }): Program<LockState> {
    const variables = this.#set.variables();
    yield;
    const { key, session, ticket } = request;
    const doc = this.#lock(key);
    if (doc === null || doc.grant === null || this.#off.has('try-only-vacant')) {
      this.#grant({ key, doc, session, tickets: [ticket], variables, arrivals: doc?.arrivals ?? 0 }, 'TRY');
    }
    return lockState(this.#lock(key) as LockDoc);
  }

  *arrive(request: { key: string; session: string; tickets: readonly TicketRef[] }): Program<void> {
    const variables = this.#set.variables();
    for (const ticket of request.tickets) {
      yield;
      this.#writeTicket(request.key, request.session, ticket, variables);
    }
    yield;
    this.#mark(request.key, request.session, request.tickets[0] as TicketRef, variables);
  }

  *handoff(request: {
    key: string;
    grant: string;
    next: string;
    fence: number;
    forced?: string;
    trace?: string;
  }): Program<boolean> {
    yield;
    const doc = this.#lock(request.key);
    const stands = doc !== null && (doc.grant === request.grant || this.#off.has('handoff-exact-grant'));
    if (!stands) return false;
    const { next: grant, fence } = request;
    const handed = { ...doc, grant, fence, firstArrival: null, vacantAt: null, ...this.#notesOf(request, 'handoff') };
    this.#set.write(doc.id, handed, this.#author('HANDOFF'));
    return true;
  }

  *vacate(request: {
    key: string;
    grant: string;
    arrivals: number;
    withoutSessions: readonly string[];
    forced?: string;
    trace?: string;
  }): Program<LockState | null> {
    const variables = this.#set.variables();
    yield;
    const doc = this.#lock(request.key);
    if (doc === null || (doc.grant !== request.grant && !this.#off.has('vacate-exact-grant'))) return null;
    const first = this.#firstArrivalAfter(doc, request);
    const noted = this.#notesOf(request, 'vacate');
    if (doc.arrivals === request.arrivals || this.#off.has('vacate-arrivals')) {
      const vacant = { ...doc, grant: null, firstArrival: null, vacantAt: variables.nowMS, ...noted };
      this.#set.write(doc.id, vacant, this.#author('VACATE'));
    } else if (first !== null) {
      const { session, ticket } = first;
      const { arrivals } = doc;
      this.#grant(
        { key: doc.id, doc: { ...doc, ...noted }, session, tickets: [ticket], variables, arrivals },
        'VACATE',
      );
    }
    return lockState(this.#lock(request.key) as LockDoc);
  }

  *rescue(request: {
    key: string;
    fence: number | null;
    session: string;
    tickets: readonly TicketRef[];
  }): Program<boolean> {
    const variables = this.#set.variables();
    yield;
    const { key, fence, session, tickets } = request;
    const doc = this.#lock(key);
    const vacant = doc === null || doc.grant === null || this.#off.has('rescue-only-vacant');
    const exact = (doc === null ? null : doc.fence) === fence || this.#off.has('rescue-exact-fence');
    // One command updates, the other inserts: neither does where the document is the other case.
    if (!vacant || !exact || (doc === null) !== (fence === null)) return false;
    this.#grant({ key, doc, session, tickets, variables, arrivals: doc?.arrivals ?? 0 }, 'RESCUE');
    return true;
  }

  // --- queue ------------------------------------------------------------------------------------------------------

  *readQueue(
    request: QueueRequest,
    seen: Snapshot,
  ): Program<{ lock: LockState | null; head: TicketState[]; full: boolean }> {
    const late = this.#off.has('prefetch-lock-first');
    yield;
    let lock = committedLock(seen, request.key);
    yield;
    const out = this.#off.has('prefetch-leaves-out-own') ? [] : request.withoutTickets;
    const all = queueOf(seen, request.key).filter(
      ({ id, session }) => !out.includes(id) && !request.withoutSessions.includes(session),
    );
    if (late) {
      yield;
      lock = committedLock(seen, request.key);
    }
    const head = all.slice(0, request.limit).map(ticketState);
    return { lock: lock && lockState(lock), head, full: head.length >= request.limit };
  }

  *clearArrivals({ session, arrivals }: { session: string; arrivals: readonly NotedArrivals[] }): Program<void> {
    for (const { key, numbers } of arrivals) {
      yield;
      const doc = this.#lock(key);
      const [number, noted, ticket] = doc?.firstArrival?.split('/') ?? [];
      const left = noted === session && numbers.includes(Number(ticket?.split(':')[0]));
      if (doc !== null && left) this.#set.write(doc.id, { ...doc, firstArrival: `${number}//` }, this.#author('CLEAR'));
    }
  }

  *deleteTickets(request: { ids: readonly string[] }): Program<void> {
    for (const id of request.ids) {
      yield;
      if (this.#set.applied.has(id)) this.#set.write(id, null, this.#author('LEAVE'));
    }
  }

  *deleteTicketsOf(request: { session: string }): Program<void> {
    yield;
    const found = [...this.#set.applied.values()].filter(
      (doc) => doc.kind === 'ticket' && doc.session === request.session,
    );
    for (const { id } of found) {
      yield;
      if (this.#set.applied.has(id)) this.#set.write(id, null, this.#author('BURY'));
    }
  }

  *readGrantsOf(request: { session: string }, seen: Snapshot): Program<StandingGrant[]> {
    yield;
    return [...seen.values()].flatMap((doc) => {
      if (doc.kind !== 'lock' || doc.grant === null || !doc.grant.startsWith(`${request.session}/`)) return [];
      return [{ key: doc.id, grant: doc.grant }];
    });
  }

  *readTicketsOf(request: { session: string }, seen: Snapshot): Program<StoredTicket[]> {
    yield;
    return [...seen.values()].flatMap((doc) => {
      return doc.kind === 'ticket' && doc.session === request.session ? [{ key: doc.key, n: doc.n }] : [];
    });
  }

  *readAwaited(
    request: { keys: readonly string[]; ticketIds: readonly string[]; headLimit: number },
    seen: Snapshot,
  ): Program<{
    locks: Map<string, { lock: LockState; head: TicketState[] }>;
    unreadable: string[];
    tickets: Set<string>;
  }> {
    const locks = new Map<string, { lock: LockState; head: TicketState[] }>();
    for (const key of request.keys) {
      yield;
      const doc = committedLock(seen, key);
      if (doc === null) continue;
      yield;
      const head = queueOf(seen, key).slice(0, request.headLimit).map(ticketState);
      locks.set(key, { lock: lockState(doc), head });
    }
    yield;
    const tickets = new Set(request.ticketIds.filter((id) => seen.has(id)));
    return { locks, unreadable: [], tickets };
  }

  // --- sessions ---------------------------------------------------------------------------------------------------

  *openSession(draft: SessionDraft): Program<SessionState> {
    const { nowMS } = this.#set.variables();
    yield;
    const { session: id, leaseMS, host, pid, label } = draft;
    const doc = this.#session(id);
    if (doc === null || doc.state === 'alive' || this.#off.has('open-not-dead')) {
      const facts = { host, pid, ...(label !== undefined && { label }) };
      const until = nowMS + leaseMS;
      this.#writeSession(
        { kind: 'session', id, state: 'alive', until, leaseMS, beats: doc?.beats ?? 0, ...facts },
        'OPEN',
      );
    }
    return sessionState(this.#session(id) as SessionDoc, nowMS);
  }

  *renewSession(request: { session: string; leaseMS: number }): Program<SessionState | null> {
    const { nowMS } = this.#set.variables();
    yield;
    const doc = this.#session(request.session);
    if (doc === null || (doc.state !== 'alive' && !this.#off.has('renew-only-alive'))) return null;
    const { leaseMS } = request;
    const renewed: SessionDoc = { ...doc, state: 'alive', until: nowMS + leaseMS, leaseMS, beats: doc.beats + 1 };
    this.#writeSession(renewed, 'RENEW');
    return sessionState(renewed, nowMS);
  }

  *reapSession(request: ReapRequest): Program<SessionState> {
    const { nowMS } = this.#set.variables();
    yield;
    const { session: id, leaseMS } = request;
    const doc = this.#session(id);
    if (doc === null) {
      const until = this.#off.has('reap-absent-waits') ? nowMS - 1 : nowMS + leaseMS;
      this.#writeSession({ kind: 'session', id, state: 'dead', until, leaseMS, beats: 0 }, 'REAP');
    } else if (doc.state === 'alive' && this.#mayReap(doc, request, nowMS)) {
      this.#writeSession({ ...doc, state: 'dead' }, 'REAP');
    }
    return sessionState(this.#session(id) as SessionDoc, nowMS);
  }

  *condemnSession(request: { session: string }): Program<void> {
    const { nowMS } = this.#set.variables();
    yield;
    const doc = this.#session(request.session);
    const until = Math.min(doc?.until ?? nowMS, nowMS);
    const fallback = { kind: 'session', id: request.session, leaseMS: 0, beats: 0 } as const;
    this.#writeSession({ ...fallback, ...doc, state: 'dead', until }, 'CONDEMN');
  }

  *endSession(request: { session: string }): Program<void> {
    yield;
    const id = sessionId(request.session);
    if (this.#set.applied.has(id)) this.#set.write(id, null, this.#author('END'));
  }

  *readSessions(request: { sessions: readonly string[] }, seen: Snapshot): Program<SessionState[]> {
    const { nowMS } = this.#set.variables();
    yield;
    return request.sessions.flatMap((id) => {
      const doc = seen.get(sessionId(id));
      return doc?.kind === 'session' ? [sessionState(doc, nowMS)] : [];
    });
  }

  // --- pieces -----------------------------------------------------------------------------------------------------

  #grant(
    given: {
      key: string;
      doc: LockDoc | null;
      session: string;
      tickets: readonly TicketRef[];
      variables: Variables;
      arrivals: number;
    },
    command: string,
    detail?: string,
  ): void {
    const { key, doc, session, tickets, variables, arrivals } = given;
    const first = this.#off.has('first-token-from-cluster-time') ? 1 : variables.clusterTime;
    const firstToken = doc === null ? first : doc.fence + 1;
    const firstArrival = this.#off.has('grant-clears-first-arrival') ? (doc?.firstArrival ?? null) : null;
    const granted: LockDoc = {
      kind: 'lock',
      id: key,
      grant: formatGrant({ session, firstToken, tickets }),
      fence: firstToken + callersCount(tickets) - 1,
      arrivals,
      firstArrival,
      born: doc?.born ?? firstToken,
      vacantAt: null,
      ...(doc?.forced !== undefined && !this.#off.has('note-stays') && { forced: doc.forced }),
      ...(doc?.trace !== undefined && !this.#off.has('trace-stays') && { trace: doc.trace }),
    };
    this.#set.write(key, granted, this.#author(command, detail));
  }

  /** The fields that a release leaves beside what follows: that of a forced one, and its trace. */
  #notesOf(
    { forced, trace }: { readonly forced?: string; readonly trace?: string },
    command: 'handoff' | 'vacate',
  ): { forced?: string; trace?: string } {
    return {
      ...(forced !== undefined && !this.#off.has(`${command}-notes-force`) && { forced }),
      ...(trace !== undefined && !this.#off.has(`${command}-writes-trace`) && { trace }),
    };
  }

  #mark(key: string, session: string, ticket: TicketRef, variables: Variables): void {
    const doc = this.#lock(key);
    const detail = `${session}/${ticket.n}`;
    const arrivals = (doc?.arrivals ?? 0) + (this.#off.has('mark-counts') ? 0 : 1);
    if (doc === null || (doc.grant === null && !this.#off.has('mark-grants-vacant'))) {
      this.#grant({ key, doc, session, tickets: [ticket], variables, arrivals }, 'ARRIVE', detail);
      return;
    }
    const noted = this.#off.has('mark-notes-first') ? null : `${arrivals}/${session}/${formatTicket(ticket)}`;
    const marked = { ...doc, arrivals, firstArrival: doc.firstArrival ?? noted };
    this.#set.write(key, marked, this.#author('ARRIVE', detail));
  }

  #writeTicket(key: string, session: string, { n, callers }: TicketRef, variables: Variables): void {
    const id = `${session}/${n}`;
    const before = this.#set.applied.get(id);
    const keeps = before?.kind === 'ticket' && !this.#off.has('ticket-keeps-its-place');
    const at = keeps ? before.at : variables.clusterTime;
    this.#set.write(id, { kind: 'ticket', id, key, at, session, n, callers }, this.#author('ARRIVE'));
  }

  #firstArrivalAfter(
    doc: LockDoc,
    { grant, arrivals, withoutSessions }: { grant: string; arrivals: number; withoutSessions: readonly string[] },
  ): { session: string; ticket: TicketRef } | null {
    const [, session, text] = doc.firstArrival?.split('/') ?? [];
    const [n, callers] = text?.split(':').map(Number) ?? [];
    if (session === undefined || n === undefined || callers === undefined) return null;
    const isNext = arrivalNumber(doc.firstArrival) === arrivals + 1 || this.#off.has('vacate-next-number');
    const own = parseGrant(grant);
    const isOwn = own?.session === session && own.tickets.some((ticket) => ticket.n === n);
    const isDead = withoutSessions.includes(session);
    if (!isNext || (isOwn && !this.#off.has('vacate-not-own-ticket'))) return null;
    if (isDead && !this.#off.has('vacate-not-dead-session')) return null;
    return { session, ticket: { n, callers } };
  }

  #mayReap(doc: SessionDoc, { clockSkewMS, unchangedBeats }: ReapRequest, nowMS: number): boolean {
    const skewMS = this.#off.has('reap-skew') ? 0 : clockSkewMS;
    if (doc.until + skewMS < nowMS || this.#off.has('reap-until')) return true;
    const stoodStill = unchangedBeats === doc.beats || this.#off.has('reap-beats');
    return unchangedBeats !== undefined && doc.until < nowMS && stoodStill;
  }

  #lock(key: string): LockDoc | null {
    const doc = this.#set.applied.get(key);
    return doc?.kind === 'lock' ? doc : null;
  }

  #session(id: string): SessionDoc | null {
    const doc = this.#set.applied.get(sessionId(id));
    return doc?.kind === 'session' ? doc : null;
  }

  #writeSession(doc: SessionDoc, command: string): void {
    this.#set.write(sessionId(doc.id), doc, this.#author(command));
  }
}

/** Sessions have a collection of their own. */
export function sessionId(session: string): string {
  return `session:${session}`;
}

function lockState({ id: key, grant, fence, arrivals, firstArrival, born, forced, trace }: LockDoc): LockState {
  const noted = { ...(forced !== undefined && { forced }), ...(trace !== undefined && { trace }) };
  return { key, version: DOCUMENT_VERSION, grant, fence, arrivals, firstArrival, born, ...noted };
}

function ticketState({ session, n, callers }: TicketDoc): TicketState {
  return { session, n, callers };
}

function sessionState(doc: SessionDoc, nowMS: number): SessionState {
  const { id: session, state, until, leaseMS, beats, host, pid, label } = doc;
  return {
    session,
    version: DOCUMENT_VERSION,
    state,
    remainingMS: until - nowMS,
    leaseMS,
    beats,
    ...(host !== undefined && { host }),
    ...(pid !== undefined && { pid }),
    ...(label !== undefined && { label }),
  };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

function committedLock(seen: Snapshot, key: string): LockDoc | null {
  const doc = seen.get(key);
  return doc?.kind === 'lock' ? doc : null;
}

function queueOf(seen: Snapshot, key: string): TicketDoc[] {
  const tickets: TicketDoc[] = [];
  for (const doc of seen.values()) if (doc.kind === 'ticket' && doc.key === key) tickets.push(doc);
  return tickets.sort((a, b) => a.at - b.at || compare(a.session, b.session) || a.n - b.n);
}
