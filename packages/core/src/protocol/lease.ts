/**
 * Lease arithmetic: when a holder must act as if lost, and when others may say that a session is dead. Pure: every
 * instant is an argument, on the caller's own monotonic clock; of the server's clock only differences are used.
 */
import type { SessionState } from './documents.js';

/**
 * The local deadline: from the *start* of the last acknowledged renewal, because the server may have counted the lease
 * from any moment after it, less a margin for clocks that run at different rates.
 */
export function localDeadline(renewalStartedAt: number, leaseMS: number, marginMS: number): number {
  return renewalStartedAt + leaseMS - marginMS;
}

/** Since when a reader has seen the same beats of a session: the arrival of the first answer that had them. */
export interface BeatSighting {
  readonly beats: number;
  readonly seenAt: number;
}

/** What a reader may do about a session it read. */
export type SessionVerdict =
  /** Nothing now; look again after this long. */
  | { readonly kind: 'wait'; readonly checkInMS: number }
  /** Ask the server to declare it dead; with beats where only their standing still allows it. */
  | { readonly kind: 'reap'; readonly unchangedBeats?: number };

/** The sighting after an answer: the old one while beats stand still, else a new one. */
export function sight(session: SessionState, before: BeatSighting | undefined, nowMS: number): BeatSighting {
  return before !== undefined && before.beats === session.beats ? before : { beats: session.beats, seenAt: nowMS };
}

/** Whether a session may be reaped now, and if not, when to look again. */
export function judgeSession(
  session: SessionState,
  sighting: BeatSighting,
  nowMS: number,
  clockSkewMS: number,
): SessionVerdict {
  const lapsedInMS = session.remainingMS;
  if (session.state === 'dead') return lapsedInMS <= 0 ? { kind: 'reap' } : { kind: 'wait', checkInMS: lapsedInMS };
  if (lapsedInMS + clockSkewMS < 0) return { kind: 'reap' };
  const stoodStillInMS = sighting.seenAt + session.leaseMS - nowMS;
  if (lapsedInMS < 0 && stoodStillInMS <= 0) return { kind: 'reap', unchangedBeats: sighting.beats };
  return { kind: 'wait', checkInMS: Math.min(lapsedInMS + clockSkewMS, Math.max(lapsedInMS, stoodStillInMS)) };
}

/** Whether the server's own answer to a REAP convicts: only then may its tickets and locks be touched. */
export function isConvicted(answer: SessionState): boolean {
  return answer.state === 'dead' && answer.remainingMS <= 0;
}
