/**
 * The order of the queue and of the grants as the server logged them: nothing that a client says is believed. Pure; it reads the entries of the
 * oplog. The contests call it.
 */
import type { Timestamp } from 'mongodb';
import type { OplogEntry } from './stage.js';

/** Tickets that were granted after one that stood behind them in the queue, among so many. */
export interface Inversions {
  readonly inversionsCount: number;
  readonly ticketsCount: number;
}

interface Ticket {
  readonly at: Timestamp;
  readonly session: string;
  readonly n: number;
}

/** Grants without a ticket in the log (a free lock taken) have no place in a queue, and are left out. */
export function inversionsIn(entries: readonly OplogEntry[], lockId: string): Inversions {
  const tickets = new Map<string, Ticket>();
  const seen = new Set<string>();
  let last: Ticket | undefined;
  let inversionsCount = 0;
  for (const entry of entries) {
    const { op, o = {} } = entry;
    if (op === 'i' && o.key === lockId) tickets.set(String(o._id), o as unknown as Ticket);
    const grant = (o._id ?? entry.o2?._id) === lockId ? grantIn(entry) : null;
    for (const id of grant ?? []) {
      const ticket = tickets.get(id);
      if (ticket === undefined || seen.has(id)) continue;
      seen.add(id);
      if (last !== undefined && isBefore(ticket, last)) inversionsCount += 1;
      else last = ticket;
    }
  }
  return { inversionsCount, ticketsCount: seen.size };
}

/** The tickets that a write of the lock document grants. */
function grantIn({ o = {} }: OplogEntry): string[] | null {
  const diff = o.diff as { u?: { grant?: unknown }; i?: { grant?: unknown } } | undefined;
  const grant = o.grant ?? diff?.u?.grant ?? diff?.i?.grant;
  if (typeof grant !== 'string') return null;
  const [session, , list = ''] = grant.split('/');
  return list.split(',').map((each) => `${session}/${each.split(':')[0]}`);
}

function isBefore(a: Ticket, b: Ticket): boolean {
  const order = a.at.compare(b.at);
  if (order !== 0) return order < 0;
  return a.session === b.session ? a.n < b.n : a.session < b.session;
}
