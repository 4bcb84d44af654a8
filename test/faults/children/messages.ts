/** What a test and a contending process say to each other. Types only. Every `at` is on the one monotonic clock of the machine. */
import type { LockSettings } from 'mongo-distributed-locks';
import type { CallRecord } from '../../../packages/examples/src/demo/history.js';

export interface Pair {
  readonly resource: string;
  readonly id: string | number;
}

/** What a process can be asked. It has any number of lock clients, by name, and of callers, each with one lock at a time. */
export interface Questions {
  /** Opens a lock client; the answer is its session. One that `believes` does not notice that it was stopped: see `write`. */
  open: { ask: { client: string; uri: string; settings: LockSettings; believes?: true }; answer: string };
  /** All call in this turn of the event loop; what comes of it are facts. */
  lock: { ask: { client: string; callers: readonly string[]; pair: Pair }; answer: undefined };
  unlock: { ask: { caller: string }; answer: boolean };
  /** From now on the first moment after a long pause is looked at. */
  watchPause: { ask: { caller: string; longerThanMS: number; uri: string }; answer: undefined };
  /** What was to be seen in it. */
  awakening: { ask: { caller: string }; answer: Awakening };
  /** Stops the event loop, synchronously, until there is such a file. */
  block: { ask: { untilFile: string }; answer: undefined };
  /** Many callers count up a number that only the lock guards, each a number of times. */
  contend: {
    ask: { client: string; uri: string; pair: Pair; callersCount: number; timesCount: number };
    answer: CallRecord[];
  };
  /** Writes what its lock guards, and waits at the gate until it is to go on. A client that `believes` notices nothing from there on until the end of it. */
  write: { ask: { client: string; caller: string; how: WriteHow; gate: WriteGate }; answer: Written };
  goOn: { ask: { caller: string }; answer: undefined };
  close: { ask: { client: string }; answer: undefined };
}

/** Guarded by a fenced transaction, by `lock.fence`, or by nothing but the lock. */
export type WriteHow = 'transaction' | 'fence' | 'nothing';

/** Where a writer waits: in the order in which it comes by. */
export type WriteGate = 'before all' | 'inside' | 'after a read' | 'after the write' | 'before the commit';

/** What came of it. */
export interface Written {
  /** `written`, `refused`, or the code of an error. */
  readonly outcome: string;
  /** What `lock.held` said behind the gate. */
  readonly held: boolean;
  /** How often the function of a transaction was called. */
  readonly triesCount: number;
}

export type Question = keyof Questions;

/** The first moment of a process after a pause, for a caller who held a lock before it. */
export interface Awakening {
  /** `lock.held`, read first of all. */
  readonly held: boolean;
  /** Whether the signal was aborted when the first timers had run. */
  readonly abortedAfterTimers: boolean;
  /** What `unlock`, called first of all, gave. */
  readonly unlocked: boolean;
  /** How many documents a write matched that lets no lower token in than the last. */
  readonly guardedWrites: number;
}

export type Fact =
  | { readonly kind: 'granted'; readonly caller: string; readonly at: number; readonly token: number }
  | { readonly kind: 'at the gate'; readonly caller: string; readonly at: number }
  | { readonly kind: 'lost'; readonly caller: string; readonly at: number }
  | { readonly kind: 'rejected'; readonly caller: string; readonly at: number; readonly error: string }
  | { readonly kind: 'session:lost'; readonly client: string; readonly session: string; readonly at: number }
  | { readonly kind: 'session:opened'; readonly client: string; readonly session: string; readonly at: number };

export type ToChild = {
  [Q in Question]: { readonly number: number; readonly question: Q } & Questions[Q]['ask'];
}[Question];

export type FromChild =
  | { readonly kind: 'ready' }
  | { readonly kind: 'answer'; readonly number: number; readonly answer: unknown }
  | { readonly kind: 'failed'; readonly number: number; readonly error: string }
  | { readonly kind: 'fact'; readonly fact: Fact };
