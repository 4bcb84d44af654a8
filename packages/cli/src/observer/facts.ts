/**
 * What an observer of the queues tells: facts in the words of the protocol, each with the server's time of the write that
 * it was read from. Types only; `tracker.ts` makes them, `dlocks watch` prints them and the live page shows them.
 */

/** A lock session, with what its process told of itself. */
export interface Party {
  readonly session: string;
  readonly host?: string;
  readonly pid?: number;
  readonly label?: string;
}

/** Which lock. */
export interface Subject {
  readonly resource: string;
  readonly id: string;
}

/** A run: consecutive callers of one session that hold a lock together. What is passed on inside of it is not written. */
export interface Run {
  readonly holder: Party;
  readonly firstToken: number;
  readonly lastToken: number;
  readonly callersCount: number;
}

/** How long a ticket of a run had waited; a ticket stands for the callers of one process that came together. */
export interface TicketWait {
  readonly callersCount: number;
  readonly waitedMS: number;
}

interface Told {
  /** When the server made the write, by its own clock. */
  readonly at: Date;
}

/** A run was granted: by a handoff, or to the first that came while the lock was vacant. */
export interface GrantedFact extends Told, Subject, Run {
  readonly kind: 'granted';
  /** Who had it until this very write; null: it was vacant. */
  readonly from: Party | null;
  /** The longest wait in the run; null where nobody waited, or where the arrival was not seen. */
  readonly waitedMS: number | null;
  /** The waits of its tickets, as far as their arrivals were seen. */
  readonly waits: readonly TicketWait[];
}

/** How a run ended, beside the kind of the fact. */
export interface EndedRun extends Told, Subject, Run {
  /** Null where the grant was written before anybody watched and carries no time. */
  readonly heldMS: number | null;
  /** Who was granted the lock in the same write; null: it was vacated. */
  readonly to: Party | null;
}

/** A run was released by its holder. */
export interface ReleasedFact extends EndedRun {
  readonly kind: 'released';
}

/** A run was ended because its session was dead: its holder lost the lock. */
export interface TakenOverFact extends EndedRun {
  readonly kind: 'taken-over';
}

/** A run was ended by hand: its holder lost the lock. */
export interface ForcedFact extends EndedRun {
  readonly kind: 'forced';
  readonly reason: string;
  readonly by: string;
}

/** A lock document was deleted, by hand, while it was held: `to` is null. */
export interface RemovedFact extends EndedRun {
  readonly kind: 'removed';
}

/** A ticket was written: its callers wait. */
export interface ArrivedFact extends Told, Subject {
  readonly kind: 'arrived';
  readonly waiter: Party;
  readonly callersCount: number;
  readonly labels: readonly string[];
  /** The place of the ticket in the queue; 1 comes next. */
  readonly position: number;
}

/** A ticket was deleted that was never granted: its callers gave up, or their session is dead. */
export interface LeftFact extends Told, Subject {
  readonly kind: 'left';
  readonly waiter: Party;
  readonly callersCount: number;
  readonly waitedMS: number;
  readonly sessionIsDead: boolean;
}

/** A session opened, was declared dead, or ended by itself. */
export interface SessionFact extends Told {
  readonly kind: 'session:opened' | 'session:dead' | 'session:ended';
  readonly party: Party;
  readonly leaseMS: number;
}

/** The stream broke and what happened meanwhile was not seen; the queues were read anew. */
export interface GapFact extends Told {
  readonly kind: 'gap';
}

/** What ends a run. */
export type EndFact = ReleasedFact | TakenOverFact | ForcedFact | RemovedFact;

/** What happens to one lock. */
export type LockFact = GrantedFact | EndFact | ArrivedFact | LeftFact;

/** Everything an observer tells. A handoff is two facts of one time: how the run before ended, then the grant. */
export type Fact = LockFact | SessionFact | GapFact;
