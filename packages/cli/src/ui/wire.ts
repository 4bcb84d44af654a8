/**
 * What the server of the live page and the page say to each other: the frames of the event stream, and the request to
 * release by force. Types, and the few numbers that both need; it runs in Node and in the browser and imports types only.
 *
 * Instants are milliseconds of the database server's clock. Texts are the callers' own: whoever shows one escapes it.
 */
import type { ArrivedFact, EndFact, GapFact, GrantedFact, LeftFact, Party, SessionFact } from '../observer/facts.js';

export type { Party } from '../observer/facts.js';

/** Where the bars of a distribution end, in milliseconds; the last bar has no end. */
export const BUCKET_ENDS_MS: readonly number[] = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 300_000,
];
/** How long ago the first of the seconds is that rates are shown for. */
export const RATE_SECONDS_COUNT = 300;
/** What distributions and the count of losses go back to. */
export const WINDOW_MS = 300_000;
/** How long a reason may be, in bytes of UTF-8: the library's own limit. */
export const REASON_MAX_BYTES = 256;

/** A fact without its time as an object; a grant without the single waits. */
type Wired<F> = F extends { at: Date }
  ? Omit<F, 'at' | 'waits'> & { readonly atMS: number; readonly number: number }
  : never;

/** A fact as it is sent; `number` counts up and never comes twice. */
export type WireFact = Wired<GrantedFact | EndFact | ArrivedFact | LeftFact | SessionFact | GapFact>;

export interface HoldView {
  readonly holder: Party;
  /** Of the session's document. `unknown`: there is none. */
  readonly state: 'alive' | 'dead' | 'unknown';
  /** The end of its lease. */
  readonly leaseEndMS: number | null;
  readonly firstToken: number;
  readonly lastToken: number;
  readonly callersCount: number;
  readonly sinceMS: number | null;
}

export interface TicketView {
  readonly id: string;
  readonly waiter: Party;
  readonly state: HoldView['state'];
  readonly callersCount: number;
  readonly labels: readonly string[];
  readonly sinceMS: number;
}

/** A lock that is held or awaited, with the head of its queue. */
export interface LockView {
  readonly key: string;
  readonly resource: string;
  readonly id: string;
  readonly hold: HoldView | null;
  readonly waitersCount: number;
  readonly ticketsCount: number;
  readonly queue: readonly TicketView[];
}

/** How many of what took how long. */
export interface Distribution {
  /** One count for each end of `BUCKET_ENDS_MS`, and one beyond. */
  readonly counts: readonly number[];
  readonly total: number;
  /** Upper ends of the bars in which the quantiles lie, and the largest value; null where nothing was counted. */
  readonly p50MS: number | null;
  readonly p90MS: number | null;
  readonly p99MS: number | null;
  readonly maxMS: number | null;
}

/** Everything that is counted, over all locks. */
export interface Figures {
  /** The second, since 1970, that the last number of each list stands for: the last one that is over. */
  readonly lastSecond: number;
  /** Grants written in the same write as a release. */
  readonly handoffs: readonly number[];
  /** Callers that were granted a lock. */
  readonly callers: readonly number[];
  readonly waits: Distribution;
  readonly holds: Distribution;
  /** Locks lost by their holders within `WINDOW_MS`, by cause. */
  readonly lost: { readonly takenOver: number; readonly forced: number; readonly removed: number };
  readonly heldCount: number;
  readonly waitersCount: number;
  readonly longestWaitMS: number | null;
  readonly sessionsCount: number;
  readonly deadSessionsCount: number;
  /** Documents that were too many to keep. */
  readonly omittedCount: number;
}

/** The lock whose details a browser has open. */
export interface SelectedView {
  readonly resource: string;
  readonly id: string;
  /** Null: neither held nor awaited now. */
  readonly lock: LockView | null;
  /** What has happened since the frame before; in the first one, all that is kept. */
  readonly news: readonly WireFact[];
}

/** One message of the event stream. */
export interface Frame {
  /** The first of a connection: whatever was known before is void. */
  readonly isFirst: boolean;
  readonly nowMS: number;
  readonly status: 'reading' | 'live' | 'interrupted' | 'closed';
  /** What broke the stream, where it is interrupted. */
  readonly problem?: string;
  /** The keys that are shown, where they are others than before; `matchingCount` is of all that match the filter. */
  readonly shown?: readonly string[];
  readonly matchingCount: number;
  readonly changed: readonly LockView[];
  /** Lost locks, dead sessions and gaps, since the frame before. */
  readonly incidents: readonly WireFact[];
  readonly figures?: Figures;
  readonly selected?: SelectedView;
}

/** What the page is told once. */
export interface Introduction {
  readonly database: string;
  readonly collection: string;
  readonly by: string;
}

/** The request to release by force. */
export interface ForceRequest {
  readonly resource: string;
  readonly id: string;
  readonly fencingToken: number;
  readonly reason: string;
}

/** The answer: whether this request ended that run. Any other status carries `Refusal`. */
export interface ForceAnswer {
  readonly released: boolean;
}

export interface Refusal {
  readonly error: string;
}
