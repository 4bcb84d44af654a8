/**
 * The two ports where the engine meets the database: `LockStore` (commands) and `ChangeFeed` (the change stream as
 * facts). `mongo/` implements them over the driver, the simulation over memory; the engine knows neither.
 *
 * Every method of the store is one command, majority read from the primary or majority written, and may be sent again
 * after any failure: every write is conditional or idempotent. A failure is one of the public errors:
 * `LOCK_UNAVAILABLE` (no primary was found or reached within the driver's server selection: surely not applied),
 * `LOCK_OUTCOME_UNKNOWN` (everything else that may pass: it may have been applied, also later), or one that sending again cannot help (`LOCK_MISSING_PRIVILEGES`, `LOCK_UNSUPPORTED_TOPOLOGY`, `LOCK_NEWER_VERSION`,
 * `LOCK_INVALID_OPTION`, `LOCK_CLOSED`). Names in capitals are those of the protocol page.
 */
import type { LockState, SessionState, TicketState } from './protocol/documents.js';
import type { ForcedNote } from './protocol/forced.js';
import type { TicketRef } from './protocol/grant.js';

/** A new session, as it is first written. */
export interface SessionDraft {
  readonly session: string;
  readonly leaseMS: number;
  readonly host: string;
  readonly pid: number;
  readonly label?: string;
}

/** What a REAP asks for. */
export interface ReapRequest {
  readonly session: string;
  readonly clockSkewMS: number;
  /**
   * How long the mark left for an *absent* session must stand before it convicts: the reaper's own lease, or that of the
   * session where it was read before and is longer.
   */
  readonly leaseMS: number;
  /** Given when these beats stood still for one lease of that session: then `until` need only have passed. */
  readonly unchangedBeats?: number;
}

/** A lock document with the head of its queue. */
export interface QueueView {
  /** null: there is no such document. */
  readonly lock: LockState | null;
  /** The first tickets in queue order, at most `limit`. */
  readonly head: readonly TicketState[];
  /** Whether more may follow. An empty head that is full is not an empty queue. */
  readonly full: boolean;
}

/** What PREFETCH leaves out of the queue. */
export interface QueueRequest {
  readonly key: string;
  /** `_id`s of tickets to leave out: those of the run that is to be released. */
  readonly withoutTickets: readonly string[];
  /** Sessions to leave out whole: dead ones. */
  readonly withoutSessions: readonly string[];
  readonly limit: number;
  /**
   * Set where a "no" is reported to somebody who knows a fact from elsewhere: the primary then confirms with a majority
   * that it still is the primary, so that no older state is read. Costs a majority write.
   */
  readonly linearizable?: true;
}

/** One lock document of a patrol, with the first tickets of its queue. */
export interface AwaitedLock {
  readonly lock: LockState;
  readonly head: readonly TicketState[];
}

/** What a patrol reads of the awaited keys. */
export interface AwaitedView {
  readonly locks: ReadonlyMap<string, AwaitedLock>;
  /** Keys whose document is malformed or of a newer version. */
  readonly unreadable: readonly string[];
  /** Which of the asked-for ticket `_id`s exist. */
  readonly tickets: ReadonlySet<string>;
}

/** A grant of a session, as the audit and the reaper read it. */
export interface StandingGrant {
  readonly key: string;
  readonly grant: string;
}

/** A ticket of a session, as the grant check reads it. */
export interface StoredTicket {
  readonly key: string;
  readonly n: number;
}

/** Tickets of one key that may be noted as its first arrival. */
export interface NotedArrivals {
  readonly key: string;
  readonly numbers: readonly number[];
}

/** A ticket as it is written, with what is shown of its callers. */
export interface ArrivingTicket extends TicketRef {
  /** The labels of its first callers that have one. */
  readonly labels?: readonly string[];
}

/** The commands. */
export interface LockStore {
  /** Connects, checks the topology and makes sure of the indexes. Repeatable; cheap once it has succeeded. */
  prepare(): Promise<void>;

  /** Writes a session, alive for one lease from the server's now. A session that is dead stays dead: the reply says so. */
  openSession(draft: SessionDraft): Promise<SessionState>;
  /** RENEW. null: the session is not alive any more. */
  renewSession(request: { readonly session: string; readonly leaseMS: number }): Promise<SessionState | null>;
  /** REAP. The reply is the session as it now stands. It convicts when `state` is dead and `remainingMS` ≤ 0. */
  reapSession(request: ReapRequest): Promise<SessionState>;
  /** Declares our own session dead at once, so that whatever of it is still on its way convicts nobody else later. */
  condemnSession(request: { readonly session: string }): Promise<void>;
  /** Deletes our own session, when nothing of it is left. */
  endSession(request: { readonly session: string }): Promise<void>;
  /** The sessions that exist among these, with what is left of their leases. */
  readSessions(request: { readonly sessions: readonly string[] }): Promise<readonly SessionState[]>;

  /** TRY: grants the ticket if vacant. The reply is the document after: its `grant` says who holds the lock. */
  tryGrant(request: { readonly key: string; readonly session: string; readonly ticket: TicketRef }): Promise<LockState>;
  /** ARRIVE: writes the tickets, then the mark of the first. At most one in flight for a process and key. */
  arrive(request: {
    readonly key: string;
    readonly session: string;
    readonly tickets: readonly ArrivingTicket[];
  }): Promise<void>;
  /** PREFETCH: the lock document, then the head of the queue. */
  readQueue(request: QueueRequest): Promise<QueueView>;
  /**
   * HANDOFF: `grant` → `next`, `fence` := the last token of next. false: `grant` stands no more. With the note of FORCE, if it is
   * one, and by which span the lock was held last, if that is followed.
   */
  handoff(request: {
    readonly key: string;
    readonly grant: string;
    readonly next: string;
    readonly fence: number;
    readonly forced?: string;
    readonly trace?: string;
  }): Promise<boolean>;
  /**
   * VACATE: to vacant when `arrivals` is still the same; to the first arrival when that is number `arrivals`+1, its
   * ticket is not among `grant`'s and its session is not among `withoutSessions`. The reply is the document after; null: `grant`
   * stands no more. With the note of FORCE and the trace, as HANDOFF.
   */
  vacate(request: {
    readonly key: string;
    readonly grant: string;
    readonly arrivals: number;
    readonly withoutSessions: readonly string[];
    readonly forced?: string;
    readonly trace?: string;
  }): Promise<LockState | null>;
  /**
   * RESCUE: grants the head of a vacant lock at exactly this fence, or of an absent one (`fence` null: the document is
   * inserted). false: it was neither.
   */
  rescue(request: {
    readonly key: string;
    readonly fence: number | null;
    readonly session: string;
    readonly tickets: readonly TicketRef[];
  }): Promise<boolean>;
  /**
   * LEAVE, first part: where one of these tickets is noted as a first arrival, the note keeps its number and names nobody,
   * so that no VACATE grants the lock to one who has left.
   */
  clearArrivals(request: { readonly session: string; readonly arrivals: readonly NotedArrivals[] }): Promise<void>;
  /** LEAVE, second part, and the tickets of a hold. Absent ones are fine. */
  deleteTickets(request: { readonly ids: readonly string[] }): Promise<void>;
  /** All tickets of a session that was convicted, or ends. */
  deleteTicketsOf(request: { readonly session: string }): Promise<void>;

  /** The audit's read: every lock document whose grant names this session. */
  readGrantsOf(request: { readonly session: string }): Promise<readonly StandingGrant[]>;
  /** Every ticket of this session. */
  readTicketsOf(request: { readonly session: string }): Promise<readonly StoredTicket[]>;
  /** The patrol's read: awaited documents, the first `headLimit` tickets of each, and which tickets of ours exist. */
  readAwaited(request: {
    readonly keys: readonly string[];
    readonly ticketIds: readonly string[];
    readonly headLimit: number;
  }): Promise<AwaitedView>;

  /** Gives back what `prepare` took, but sends nothing. Idempotent. Until `prepare` is called again, all is `LOCK_CLOSED`. */
  close(): Promise<void>;
}

/** What the change stream says: this lock document now has this grant. */
export interface GrantFact {
  readonly key: string;
  readonly grant: string;
  /** By which span the lock was held last, as stored: where it came with the grant, or the event has the whole document. */
  readonly trace?: string;
}

/** What the change stream says: a run of ours was ended by hand. */
export interface ForcedFact {
  readonly key: string;
  readonly note: ForcedNote;
}

/** What every stream tells. Facts may be missing, late, repeated; after `onOpened` whatever was missed is over. */
export interface StreamListener {
  /** The stream is open, for the first time or again: facts from before may have been missed. */
  onOpened(): void;
  /** The stream broke and is being opened again; for events and logs. */
  onInterrupted(cause: unknown): void;
  /** It cannot be opened and trying again cannot help, such as for want of a privilege. Nothing follows. */
  onRefused(error: Error): void;
}

/** What the stream of a session tells the engine. */
export interface FeedListener extends StreamListener {
  onFact(fact: GrantFact): void;
  /** A run of the session was ended by hand. May be repeated long after. */
  onForced?(fact: ForcedFact): void;
  /** By how much a fact came late, in milliseconds, where that can be told; for events. */
  onLag?(lag: { readonly lagMS: number; readonly uncertaintyMS: number }): void;
}

/** What a watch says: a lock document was written. What is absent is as it was. */
export interface ChangedFact {
  readonly key: string;
  /** The last fencing token issued by now. */
  readonly fence?: number;
  /** How many arrival marks were ever written. */
  readonly arrivals?: number;
  /** The first token ever issued for this document: tells a recreated one. */
  readonly born?: number;
}

/** What a watch tells the engine. */
export interface WatchListener extends StreamListener {
  onChanged(fact: ChangedFact): void;
}

/** An open stream. */
export interface FeedHandle {
  /** Stops it; no listener is called from here on. Idempotent. */
  close(): Promise<void>;
}

/** The change stream. */
export interface ChangeFeed {
  /**
   * Opens the stream of grants that name this session, from the latest operation time this client has seen at this
   * call on: a ticket sent after the call is covered. Returns at once and never throws.
   */
  open(request: { readonly session: string; readonly listener: FeedListener }): FeedHandle;
  /** Opens the stream of the writes to these lock documents, the same way. For who wants to see their queues move; no grant depends on it. */
  watch(request: { readonly keys: readonly string[]; readonly listener: WatchListener }): FeedHandle;
}
