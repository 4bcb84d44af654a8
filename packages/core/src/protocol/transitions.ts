/**
 * What follows from what was read: which run is granted next, what a reply to TRY or VACATE means. Pure; the engine
 * acts on it, the store writes it. The conditions of the writes themselves are in `mongo/commands.ts`.
 */
import type { LockState, TicketState } from './documents.js';
import { callersCount, formatGrant, type Grant, lastToken, parseGrant, type TicketRef } from './grant.js';

/** How many tickets of the head of a queue a PREFETCH reads: the most that one run can name. */
export const HEAD_LIMIT = 64;

/** The tickets that a release may grant next, all of one session. */
export interface Run {
  readonly session: string;
  readonly tickets: readonly TicketRef[];
}

/** The run at the head of a queue: consecutive tickets of its first session, at most `runMaxCount` callers. */
export function headRun(head: readonly TicketState[], runMaxCount: number): Run | null {
  const [first] = head;
  if (first === undefined) return null;
  const tickets: TicketRef[] = [];
  for (const { session, n, callers } of head) {
    const fits = tickets.length === 0 || callersCount(tickets) + callers <= runMaxCount;
    if (session !== first.session || !fits) break;
    tickets.push({ n, callers });
  }
  return { session: first.session, tickets };
}

/** The grant that follows a standing one: tokens go on where those of its whole run end. */
export function grantAfter(fence: number, run: Run): Grant {
  return { session: run.session, firstToken: fence + 1, tickets: run.tickets };
}

/** The write of a HANDOFF of the standing grant to a run. */
export function handoffTo(standing: string, fence: number, run: Run): { next: string; fence: number } {
  const parsed = parseGrant(standing);
  const grant = grantAfter(Math.max(fence, parsed === null ? 0 : lastToken(parsed)), run);
  return { next: formatGrant(grant), fence: lastToken(grant) };
}

/** The number of an arrival mark; null where none is noted. */
export function arrivalNumber(firstArrival: string | null): number | null {
  if (firstArrival === null) return null;
  const number = Number(firstArrival.slice(0, firstArrival.indexOf('/')));
  return Number.isSafeInteger(number) ? number : null;
}

/**
 * `arrivals` as it was when a TRY was granted, read from a reply that may come later: marks since then have counted it
 * up, and the first of them is noted.
 */
export function arrivalsAtGrant(lock: LockState): number {
  const first = arrivalNumber(lock.firstArrival);
  return first === null ? lock.arrivals : first - 1;
}

/** What a VACATE did. */
export type VacateOutcome =
  | { readonly kind: 'gone' }
  | { readonly kind: 'vacated' }
  | { readonly kind: 'refused' }
  | { readonly kind: 'granted'; readonly grant: string };

/** Reads the reply to a VACATE of `grant`. */
export function vacateOutcome(grant: string, reply: LockState | null): VacateOutcome {
  if (reply === null) return { kind: 'gone' };
  if (reply.grant === null) return { kind: 'vacated' };
  return reply.grant === grant ? { kind: 'refused' } : { kind: 'granted', grant: reply.grant };
}

/** Splits callers into tickets of at most `runMaxCount` each. */
export function chunk<T>(items: readonly T[], size: number): T[][] {
  const chunks: T[][] = [];
  for (let start = 0; start < items.length; start += size) chunks.push(items.slice(start, start + size));
  return chunks;
}
