/**
 * What is known of locks, queues and sessions, and what each stored change means for it: changes in, facts out. It sends
 * nothing and reads no clock; `observer.ts` feeds it. Only what is held or awaited is kept, and of that no more than the
 * limits below: what does not fit is told as it happens, and counted.
 */
import { callersCount, decodeKey, lastToken, parseGrant } from 'mongo-distributed-locks/stored-format';
import type { Change, DeletedChange, LockChange, SessionChange, TicketChange } from './changes.js';
import type { ArrivedFact, EndFact, Fact, GrantedFact, LeftFact, Party, Run, Subject, TicketWait } from './facts.js';

/** How many locks are known at once that are held or awaited. */
export const LOCKS_MAX = 20_000;
/** How many tickets are known at once, of all locks together. */
export const TICKETS_MAX = 200_000;
/** How many sessions are known at once. */
export const SESSIONS_MAX = 20_000;

/** The run that holds a lock. */
export interface TrackedHold extends Run {
  /** Null where the stored grant has no time. */
  readonly since: Date | null;
}

/** A place in a queue. */
export interface TrackedTicket {
  readonly id: string;
  readonly waiter: Party;
  readonly callersCount: number;
  readonly labels: readonly string[];
  /** To the second for what had arrived before anybody watched. */
  readonly since: Date;
}

/** A lock that is held or awaited. */
export interface TrackedLock extends Subject {
  readonly key: string;
  readonly hold: TrackedHold | null;
  /** In the order in which they are granted. */
  readonly queue: readonly TrackedTicket[];
  /** Callers of all tickets together. */
  readonly waitersCount: number;
}

/** A session whose document exists. */
export interface TrackedSession {
  readonly party: Party;
  readonly state: 'alive' | 'dead';
  /** The end of the lease, by the server's clock. */
  readonly until: Date | null;
  readonly leaseMS: number;
}

interface Ticket extends TrackedTicket {
  readonly n: number;
  readonly session: string;
  readonly at: TicketChange['at'];
  /** Whether its arrival was seen, so that `since` is exact. */
  readonly seen: boolean;
}

interface Lock extends TrackedLock {
  grant: string | null;
  hold: TrackedHold | null;
  readonly queue: Ticket[];
  waitersCount: number;
}

/** What is known as of one moment. */
export class Tracker {
  readonly #locks = new Map<string, Lock>();
  readonly #keysOfTickets = new Map<string, string>();
  readonly #sessions = new Map<string, TrackedSession>();
  #omittedCount = 0;

  get locks(): ReadonlyMap<string, TrackedLock> {
    return this.#locks;
  }

  get sessions(): ReadonlyMap<string, TrackedSession> {
    return this.#sessions;
  }

  /** How many documents did not fit. */
  get omittedCount(): number {
    return this.#omittedCount;
  }

  /** Takes over a document that was read: nothing has happened. Sessions first, so that the others find theirs. */
  load(document: LockChange | TicketChange | SessionChange): void {
    if (document.kind === 'session') this.#mergeSession(document);
    else if (document.kind === 'ticket') this.#arrive(document, null);
    else this.#regrant(document, null);
  }

  /** What a change that was made at `at` means. */
  apply(change: Change, at: Date): Fact[] {
    switch (change.kind) {
      case 'lock':
        return this.#regrant(change, at);
      case 'ticket':
        return this.#arrive(change, at);
      case 'session':
        return this.#changeSession(change, at);
      case 'deleted':
        return this.#delete(change, at);
      case 'dropped':
        return [];
    }
  }

  #regrant(change: LockChange, at: Date | null): Fact[] {
    const lock = this.#lock(change.key);
    if (lock === null) return [];
    if (lock.grant === change.grant) {
      this.#forgetIfIdle(lock);
      return [];
    }
    const before = lock.hold;
    const run = this.#runOf(change.grant);
    const waits = run === null ? null : this.#serve(lock, change.grant, at);
    lock.grant = change.grant;
    lock.hold = run === null ? null : { ...run, since: at ?? change.grantedAt };
    this.#forgetIfIdle(lock);
    if (at === null) return [];
    const subject = { resource: lock.resource, id: lock.id };
    const facts: Fact[] = [];
    if (before !== null) facts.push(this.#ended({ at, subject, before, change, to: run?.holder ?? null }));
    if (run !== null && waits !== null)
      facts.push(grantedFact({ at, subject, run, from: before?.holder ?? null, waits }));
    return facts;
  }

  #runOf(text: string | null): Run | null {
    const grant = parseGrant(text);
    if (grant === null) return null;
    return {
      holder: this.#party(grant.session),
      firstToken: grant.firstToken,
      lastToken: lastToken(grant),
      callersCount: callersCount(grant.tickets),
    };
  }

  /** Takes the tickets of a grant out of the queue, and says how long they had been in it. */
  #serve(lock: Lock, text: string | null, at: Date | null): TicketWait[] {
    const grant = parseGrant(text);
    const waits: TicketWait[] = [];
    for (const { n } of grant?.tickets ?? []) {
      const ticket = this.#take(lock, `${grant?.session}/${n}`);
      if (ticket === null || at === null || !ticket.seen) continue;
      waits.push({ callersCount: ticket.callersCount, waitedMS: between(ticket.since, at) });
    }
    return waits;
  }

  #ended({ at, subject, before, change, to }: EndOfRun): EndFact {
    const { forced } = change;
    const { since, ...run } = before;
    const fact = { at, ...subject, ...run, heldMS: since === null ? null : between(since, at), to };
    const session = run.holder.session;
    if (forced !== null && forced.session === session && isIn(run, forced.fencingToken)) {
      return { kind: 'forced', ...fact, reason: forced.reason, by: forced.by };
    }
    const isDead = this.#sessions.get(session)?.state === 'dead';
    return { kind: isDead ? 'taken-over' : 'released', ...fact };
  }

  #arrive(change: TicketChange, at: Date | null): Fact[] {
    const { session, n, key, callersCount, labels } = change;
    const id = `${session}/${n}`;
    if (this.#keysOfTickets.has(id)) return [];
    const lock = this.#lock(key);
    if (lock === null) return [];
    const since = at ?? new Date(change.at.seconds * 1_000);
    const waiter = this.#party(session);
    const ticket: Ticket = { id, n, session, waiter, callersCount, labels, since, at: change.at, seen: at !== null };
    const position = 1 + this.#insert(lock, ticket);
    this.#forgetIfIdle(lock);
    if (at === null) return [];
    const { resource, id: lockId } = lock;
    const fact: ArrivedFact = { kind: 'arrived', at, resource, id: lockId, waiter, callersCount, labels, position };
    return [fact];
  }

  /** Where it was put; there are as good as no arrivals that were not the last. */
  #insert(lock: Lock, ticket: Ticket): number {
    let index = lock.queue.length;
    while (index > 0 && isBefore(ticket, lock.queue[index - 1])) index -= 1;
    if (this.#keysOfTickets.size >= TICKETS_MAX || !this.#locks.has(lock.key)) {
      this.#omittedCount += 1;
      return index;
    }
    lock.queue.splice(index, 0, ticket);
    lock.waitersCount += ticket.callersCount;
    this.#keysOfTickets.set(ticket.id, lock.key);
    return index;
  }

  #take(lock: Lock, id: string): Ticket | null {
    if (this.#keysOfTickets.get(id) !== lock.key) return null;
    this.#keysOfTickets.delete(id);
    const index = lock.queue.findIndex((ticket) => ticket.id === id);
    const [ticket] = lock.queue.splice(index, 1);
    lock.waitersCount -= ticket?.callersCount ?? 0;
    return ticket ?? null;
  }

  #delete({ what, id }: DeletedChange, at: Date): Fact[] {
    if (what === 'session') return this.#endSession(id, at);
    return what === 'ticket' ? this.#leave(id, at) : this.#remove(id, at);
  }

  #leave(id: string, at: Date): Fact[] {
    const lock = this.#locks.get(this.#keysOfTickets.get(id) ?? '');
    const ticket = lock === undefined ? null : this.#take(lock, id);
    // The tickets of a run are deleted when it begins, and were taken out then.
    if (lock === undefined || ticket === null) return [];
    this.#forgetIfIdle(lock);
    const { waiter, callersCount, since, session } = ticket;
    const sessionIsDead = this.#sessions.get(session)?.state === 'dead';
    const waitedMS = between(since, at);
    const { resource, id: lockId } = lock;
    const fact: LeftFact = { kind: 'left', at, resource, id: lockId, waiter, callersCount, waitedMS, sessionIsDead };
    return [fact];
  }

  #remove(key: string, at: Date): Fact[] {
    const lock = this.#locks.get(key);
    if (lock === undefined || lock.hold === null) return [];
    const { since, ...run } = lock.hold;
    lock.hold = null;
    lock.grant = null;
    this.#forgetIfIdle(lock);
    const heldMS = since === null ? null : between(since, at);
    return [{ kind: 'removed', at, resource: lock.resource, id: lock.id, ...run, heldMS, to: null }];
  }

  #changeSession(change: SessionChange, at: Date): Fact[] {
    const before = this.#sessions.get(change.session);
    const after = this.#mergeSession(change);
    const told = { at, party: after.party, leaseMS: after.leaseMS };
    if (after.state === 'dead') return before?.state === 'dead' ? [] : [{ kind: 'session:dead', ...told }];
    return before === undefined && change.state === 'alive' ? [{ kind: 'session:opened', ...told }] : [];
  }

  #mergeSession(change: SessionChange): TrackedSession {
    const { session, host, pid, label } = change;
    const before = this.#sessions.get(session);
    const party = {
      ...(before?.party ?? { session }),
      ...(host !== undefined && { host }),
      ...(pid !== undefined && { pid }),
      ...(label !== undefined && { label }),
    };
    const after: TrackedSession = {
      party,
      state: change.state ?? before?.state ?? 'alive',
      until: change.until ?? before?.until ?? null,
      leaseMS: change.leaseMS ?? before?.leaseMS ?? 0,
    };
    if (before === undefined && this.#sessions.size >= SESSIONS_MAX) this.#omittedCount += 1;
    else this.#sessions.set(session, after);
    return after;
  }

  /** A session document goes when its process ends it, or long after its lease was over. */
  #endSession(session: string, at: Date): Fact[] {
    const before = this.#sessions.get(session);
    this.#sessions.delete(session);
    if (before === undefined || before.state === 'dead') return [];
    const isOver = before.until !== null && before.until < at;
    return [{ kind: isOver ? 'session:dead' : 'session:ended', at, party: before.party, leaseMS: before.leaseMS }];
  }

  #party(session: string): Party {
    return this.#sessions.get(session)?.party ?? { session };
  }

  /** The lock of a key, made if need be; beyond the limit it is not kept. Null where the key is none of ours. */
  #lock(key: string): Lock | null {
    const known = this.#locks.get(key);
    if (known !== undefined) return known;
    const texts = decodeKey(key);
    if (texts === null) return null;
    const lock: Lock = { key, ...texts, grant: null, hold: null, queue: [], waitersCount: 0 };
    if (this.#locks.size < LOCKS_MAX) this.#locks.set(key, lock);
    else this.#omittedCount += 1;
    return lock;
  }

  #forgetIfIdle(lock: Lock): void {
    if (lock.hold === null && lock.queue.length === 0) this.#locks.delete(lock.key);
  }
}

interface EndOfRun {
  readonly at: Date;
  readonly subject: Subject;
  readonly before: TrackedHold;
  readonly change: LockChange;
  readonly to: Party | null;
}

interface BeginOfRun {
  readonly at: Date;
  readonly subject: Subject;
  readonly run: Run;
  readonly from: Party | null;
  readonly waits: readonly TicketWait[];
}

function grantedFact({ at, subject, run, from, waits }: BeginOfRun): GrantedFact {
  const waitedMS = waits.length === 0 ? null : Math.max(...waits.map((wait) => wait.waitedMS));
  return { kind: 'granted', at, ...subject, ...run, from, waitedMS, waits };
}

/** Servers' clocks may step back. */
function between(from: Date, to: Date): number {
  return Math.max(0, to.getTime() - from.getTime());
}

function isIn(run: Run, token: number): boolean {
  return token >= run.firstToken && token <= run.lastToken;
}

/** The order of the queue: the logical clock of the arrival, then session and number. */
function isBefore(one: Ticket, other: Ticket | undefined): boolean {
  if (other === undefined) return false;
  if (one.at.seconds !== other.at.seconds) return one.at.seconds < other.at.seconds;
  if (one.at.count !== other.at.count) return one.at.count < other.at.count;
  return one.session === other.session ? one.n < other.n : one.session < other.session;
}
