/**
 * What is shown of a lock: who holds it and who waits, as one read found them. Pure readers of what the server gives;
 * `mongo/inspector.ts` asks for it.
 */
import type { ForcedRelease } from '../errors.js';
import type { LockState } from './documents.js';
import { parseForced } from './forced.js';
import { callersCount, lastToken, parseGrant } from './grant.js';

/** The process behind a lock session, as far as its document tells. */
export interface SessionView {
  /** The id of the lock session. */
  readonly session: string;
  /** The name of its host. */
  readonly host?: string;
  /** Its process id there. */
  readonly pid?: number;
  /** The `label` of its client. */
  readonly label?: string;
}

/** Who holds a lock: a run, one caller of it after the other. */
export interface HolderView extends SessionView {
  /** Since when the run holds it, by the server's clock. */
  readonly since: Date;
  /** The first fencing token of the run. */
  readonly fencingToken: number;
  /** The last one: handoffs inside a run are not written, so that the present caller's is between the two. */
  readonly lastFencingToken: number;
  /** How many callers the run serves in all. */
  readonly callersCount: number;
  /** What is left of its lease, in milliseconds, negative once it has lapsed; null: its session is gone. */
  readonly leaseRemainingMS: number | null;
}

/** A place in the queue: callers of one process that came together share one. */
export interface WaiterView extends SessionView {
  /** How many callers share it. */
  readonly callersCount: number;
  /** The labels of the first of these calls that have one. */
  readonly labels: readonly string[];
  /** Since when it waits, by the server's clock, to the second. */
  readonly since: Date;
}

/** A release by force, and when it was. */
export interface ForcedView extends ForcedRelease {
  /** By the server's clock. */
  readonly at: Date;
}

/** One lock, its holder and its queue. */
export interface LockInspection {
  /** As a text. */
  readonly resource: string;
  /** As a text. */
  readonly id: string;
  /** null: nobody. */
  readonly holder: HolderView | null;
  /** In the order in which they will be served; the first thousand places. */
  readonly waiters: readonly WaiterView[];
  /** How many callers wait in all. */
  readonly waitersCount: number;
  /** The last release by force; null: none is on record. */
  readonly forced: ForcedView | null;
}

/** One lock that is held. */
export interface LockSummary {
  /** As a text. */
  readonly resource: string;
  /** As a text. */
  readonly id: string;
  readonly holder: HolderView;
  /** How many callers wait. */
  readonly waitersCount: number;
}

/** Some locks that are held, in the order of their keys. */
export interface LockPage {
  readonly locks: readonly LockSummary[];
  /** Give it as `after` for the next page; null: there are no more. */
  readonly after: string | null;
}

type Raw = Readonly<Record<string, unknown>>;

/** Who holds it; null: nobody, or nobody that can be read. */
export function readHolder(lock: LockState, { grantedAt, sessions }: Raw): HolderView | null {
  const grant = parseGrant(lock.grant);
  if (grant === null) return null;
  const [found] = Array.isArray(sessions) ? (sessions as readonly Raw[]) : [];
  const { remainingMS } = found ?? {};
  return {
    session: grant.session,
    ...processOf(found),
    since: dateOf(grantedAt),
    fencingToken: grant.firstToken,
    lastFencingToken: lastToken(grant),
    callersCount: callersCount(grant.tickets),
    leaseRemainingMS: typeof remainingMS === 'number' ? remainingMS : null,
  };
}

/** A place in the queue; null where the document is no ticket. */
export function readWaiter(raw: Raw): WaiterView | null {
  const { session, callers, labels, since, sessions } = raw;
  if (typeof session !== 'string' || typeof callers !== 'number') return null;
  const [found] = Array.isArray(sessions) ? (sessions as readonly Raw[]) : [];
  const texts = Array.isArray(labels) ? labels.filter((label) => typeof label === 'string') : [];
  return { session, ...processOf(found), callersCount: callers, labels: texts, since: dateOf(since) };
}

/** The last release by force. */
export function readForced(lock: LockState, at: unknown): ForcedView | null {
  const note = parseForced(lock.forced);
  if (note === null) return null;
  const { fencingToken, reason, by } = note;
  return { fencingToken, reason, by, at: dateOf(at) };
}

function processOf(raw: Raw | undefined): Omit<SessionView, 'session'> {
  const { host, pid, label } = raw ?? {};
  return {
    ...(typeof host === 'string' && { host }),
    ...(typeof pid === 'number' && { pid }),
    ...(typeof label === 'string' && { label }),
  };
}

// What another tool has left out. Date is taken for its class alone: no time is read here.
// biome-ignore lint/plugin: as said.
const NEVER = new Date(Number.NaN);

function dateOf(value: unknown): Date {
  return value instanceof Date ? value : NEVER;
}
