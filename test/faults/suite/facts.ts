/**
 * What the processes of a run and the harness say to each other, and thereby what a recorded history consists of: one
 * fact a line. Types only. Every `at` is in milliseconds on the one monotonic clock that all processes of a machine share.
 */
import type { LockEventName } from 'mongo-distributed-locks';

/** What a process is started with. */
export interface ProcessSettings {
  readonly name: string;
  readonly uri: string;
  readonly dbName: string;
  /** The address that stands for every host of the replica set: that of the bridge, where there is one. */
  readonly address: string;
  readonly seed: number;
  readonly workload: WorkloadSettings;
  readonly variant: VariantName;
  /** How often it tells what it takes of memory. */
  readonly resourcesEveryMS: number;
}

/** How the callers of a process call. */
export interface WorkloadSettings {
  readonly name: string;
  /** Callers that call again and again; all at once, then the next round; or with time-outs, aborts and tries among them. */
  readonly style: 'loop' | 'burst' | 'churn' | 'told';
  /** The `id`s that are locked; the resource is always `RESOURCE`. */
  readonly ids: readonly [string, ...string[]];
  readonly callersCount: number;
  /** The critical section, at random between the two. */
  readonly holdMS: readonly [number, number];
  /** Between two calls of a caller. */
  readonly restMS: readonly [number, number];
  readonly guard: Guard;
  /** How long the function of a transaction takes before it writes, at random between the two. */
  readonly insideMS?: readonly [number, number];
  /** Whether each write keeps all elements written before it: `lock-set`. */
  readonly keepsElements: boolean;
  readonly maxPoolSize?: number;
  /** Where it is not the one of all runs. */
  readonly heartbeatMS?: number;
}

/** What keeps late writes out of the guarded document. */
export type Guard =
  | 'nothing'
  /** The document refuses lower tokens than the highest it has seen. */
  | 'token'
  /** The same, by the pairs of `lock.fence`. */
  | 'fence'
  /** It is written in `lock.withTransaction`. */
  | 'transaction'
  | BrokenGuard;

/** What only looks like it: the checker must find it. */
export type BrokenGuard = 'a transaction that leaves the lock alone' | 'a transaction that is written around';

export const RESOURCE = 'guarded';

/** The real lock, or one that is broken on purpose: what the checker must find. */
export type VariantName =
  | 'real'
  | 'ignores the server'
  | 'last come, first served'
  | 'never deletes tickets'
  | 'same token again'
  | 'deaf and blind'
  | 'checks its grants against older states'
  | LeakName;

/** Locks that are right, in a process that keeps what it should let go. */
export type LeakName = 'keeps memory' | 'forgets cursors' | 'reads streams it has closed' | 'forgets timers';

/** What a process is to do. */
export type Order =
  | { readonly kind: 'start' }
  /** Each caller ends with the call it is in; critical sections are short until the next start. */
  | { readonly kind: 'finish' }
  | { readonly kind: 'close' }
  /** Tells what it takes, now that nothing of it is under way. */
  | { readonly kind: 'measure' }
  /** Occupies its own connections with slow queries. */
  | { readonly kind: 'hog'; readonly durationMS: number; readonly queriesCount: number }
  /** One call; its hold ends by 'release', or after `holdMS`. */
  | { readonly kind: 'call'; readonly caller: string; readonly id: string; readonly holdMS?: number }
  | { readonly kind: 'release'; readonly caller: string };

interface OfCaller {
  readonly caller: string;
  readonly at: number;
}

export type LeftOutcome = 'timed out' | 'aborted' | 'refused' | 'failed';

/** What a process tells. */
export type ProcessFact =
  | { readonly kind: 'connected' | 'ready'; readonly at: number }
  | (OfCaller & { readonly kind: 'called'; readonly key: string })
  /** The server has acknowledged its arrival in the queue. */
  | (OfCaller & { readonly kind: 'arrived'; readonly session: string })
  | (OfCaller & {
      readonly kind: 'granted';
      readonly token: number;
      readonly session: string;
      readonly held: boolean;
    })
  /** `stalledMS`: for how long at most the process had not run, within the lease before. */
  | (OfCaller & { readonly kind: 'lost'; readonly stalledMS: number; readonly why: string })
  | (OfCaller & { readonly kind: 'releasing' })
  | (OfCaller & { readonly kind: 'released'; readonly answer: boolean })
  | (OfCaller & { readonly kind: 'left'; readonly outcome: LeftOutcome; readonly why?: string })
  /** A guarded write: about to be sent; acknowledged; refused by the guarded document; nobody knows. */
  | (OfCaller & {
      readonly kind: 'writing' | 'wrote' | 'write refused' | 'write unknown';
      readonly key: string;
      readonly token: number;
      readonly element: string;
    })
  | {
      readonly kind: 'session opened' | 'session lost' | 'session ended';
      readonly at: number;
      readonly session: string;
      readonly stalledMS: number;
      readonly why?: string;
    }
  | { readonly kind: 'stream'; readonly at: number; readonly what: 'opened' | 'interrupted' | 'closed' }
  /** The stream told of a grant. */
  | { readonly kind: 'delivered'; readonly at: number; readonly grant: string }
  /** A renewal was acknowledged: until when the process may rely on this session. */
  | { readonly kind: 'deadline'; readonly at: number; readonly session: string; readonly until: number }
  /** An event of the client about one hold. */
  | {
      readonly kind: 'event';
      readonly at: number;
      readonly name: Extract<LockEventName, 'granted' | 'released' | 'lost'>;
      readonly key: string;
      readonly token: number;
    }
  | { readonly kind: 'reaped'; readonly at: number; readonly session: string; readonly locksCount: number }
  | {
      readonly kind: 'resources';
      readonly at: number;
      /** Whether it was asked for, at rest. */
      readonly atRest: boolean;
      readonly heapMB: number;
      readonly rssMB: number;
      /** What keeps the process alive, by name. */
      readonly handles: Readonly<Record<string, number>>;
    }
  | { readonly kind: 'trouble'; readonly at: number; readonly message: string }
  | { readonly kind: 'finished'; readonly at: number };

/** What the harness does to a process, or sees of it. */
export type HarnessFact =
  | { readonly kind: 'paused' | 'resumed'; readonly at: number }
  /** `at`: just before; `goneAt`: when its end was seen; `sinceAt`: since when it did nothing any more. */
  | { readonly kind: 'killed'; readonly at: number; readonly goneAt: number; readonly sinceAt: number }
  | { readonly kind: 'closed'; readonly at: number };

export type Fact = ProcessFact | HarnessFact;

/** One line of a recorded history. */
export type Entry = Fact & { readonly process: string };
