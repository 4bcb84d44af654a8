/**
 * What is stored, as the engine sees it: plain values, read from what the store hands up. Reading is strict, because
 * other tools may write into the same collection: what is not ours is said to be malformed, and never guessed at.
 */
import { CALLERS_MAX, isCount, isSessionId } from './grant.js';

/** The version of the stored documents that this code writes and understands. */
export const DOCUMENT_VERSION = 1;

/** A lock document. */
export interface LockState {
  readonly key: string;
  readonly version: number;
  /** The stored grant, or null when vacant. Kept as text: conditions compare it whole. */
  readonly grant: string | null;
  /** The last fencing token issued, the whole run of the current grant included. */
  readonly fence: number;
  /** How many arrival marks were ever written. */
  readonly arrivals: number;
  /** The first arrival mark since the last grant, `<arrival no>/<session>/<n>:<callers>`. */
  readonly firstArrival: string | null;
  /** The first token ever issued for this document: tells a recreated one. */
  readonly born: number;
  /** The note of the last forced release, as stored. */
  readonly forced?: string;
  /** By which span it was held last, as stored. */
  readonly trace?: string;
}

/** A ticket document, as a read of the queue gives it: in queue order. */
export interface TicketState {
  readonly session: string;
  readonly n: number;
  readonly callers: number;
}

/** A session document, with the server's clock taken out: all durations are as of the read. */
export interface SessionState {
  readonly session: string;
  readonly version: number;
  readonly state: 'alive' | 'dead';
  /** `until` less the server's now, in milliseconds: negative once the lease has lapsed. */
  readonly remainingMS: number;
  readonly leaseMS: number;
  /** Counts renewals: standing still for a lease convicts. */
  readonly beats: number;
  readonly host?: string;
  readonly pid?: number;
  readonly label?: string;
}

/** A document as it is stored. */
export type Raw = Readonly<Record<string, unknown>>;

/** Reads a lock document; null where it is not one of ours. Absent counters count as 0: an older writer left them out. */
export function readLock(raw: Raw): LockState | null {
  const { _id: key, grant = null, firstArrival = null } = raw;
  const version = raw.v ?? DOCUMENT_VERSION;
  const fence = raw.fence ?? 0;
  const arrivals = raw.arrivals ?? 0;
  const born = raw.born ?? 0;
  if (typeof key !== 'string' || !isCount(version)) return null;
  if (!isCount(fence) || !isCount(arrivals) || !isCount(born)) return null;
  if (!isTextOrNull(grant) || !isTextOrNull(firstArrival)) return null;
  const forced = typeof raw.forced === 'string' && { forced: raw.forced };
  const trace = typeof raw.trace === 'string' && { trace: raw.trace };
  return { key, version, grant, fence, arrivals, firstArrival, born, ...forced, ...trace };
}

/** Reads a ticket document; null where it is not one of ours. */
export function readTicket(raw: Raw): TicketState | null {
  const { session, n, callers } = raw;
  if (!isSessionId(session) || !isCount(n) || !isCount(callers)) return null;
  if (n < 1 || callers < 1 || callers > CALLERS_MAX || raw._id !== `${session}/${n}`) return null;
  return { session, n, callers };
}

/** Reads a session document whose `remainingMS` the store has computed; null where it is not one of ours. */
export function readSession(raw: Raw): SessionState | null {
  const { _id: session, state, remainingMS, host, pid, label } = raw;
  const version = raw.v ?? DOCUMENT_VERSION;
  const beats = raw.beats ?? 0;
  const leaseMS = raw.leaseMS ?? 0;
  if (!isSessionId(session) || (state !== 'alive' && state !== 'dead')) return null;
  if (!isCount(version) || !isCount(beats) || !isCount(leaseMS) || !isNumber(remainingMS)) return null;
  return {
    session,
    version,
    state,
    remainingMS,
    leaseMS,
    beats,
    ...(typeof host === 'string' && { host }),
    ...(typeof pid === 'number' && { pid }),
    ...(typeof label === 'string' && { label }),
  };
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === 'string';
}
