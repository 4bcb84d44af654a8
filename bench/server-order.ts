/**
 * Who was overtaken, as the server logged it: nothing that a client says is believed. Pure; it reads the entries of the oplog. The contests call it.
 *
 * An arrival is complete when its mark is written, which follows its ticket in the same command. The log does not say whose mark it is; but each of n
 * sessions has one arrival of a key on its way at most, so that a ticket's own mark is among the n that follow it, unless the server sits on it for
 * longer than another session takes for a whole arrival.
 */
import type { OplogEntry } from './stage.js';

/** Tickets whose arrival was complete before somebody else so much as came who was granted first. */
export interface Inversions {
  readonly inversionsCount: number;
  readonly ticketsCount: number;
}

interface Place {
  readonly insertedAt: number;
  /** How many marks there were by then. */
  readonly marksCount: number;
}

/** The places of tickets, marks and grants in the log. */
interface Course {
  readonly tickets: ReadonlyMap<string, Place>;
  readonly sessionsCount: number;
  readonly marks: readonly number[];
  /** Each granted ticket once, in the order of the grants. */
  readonly grants: readonly { readonly id: string; readonly at: number }[];
}

export function inversionsIn(entries: readonly OplogEntry[], lockId: string): Inversions {
  const { tickets, sessionsCount, marks, grants } = courseOf(entries, lockId);
  /** The last to come of those who were granted already. */
  let latest = -1;
  let inversionsCount = 0;
  for (const { id, at } of grants) {
    const place = tickets.get(id);
    // Who took a free lock had no ticket: it came when it was granted.
    const insertedAt = place?.insertedAt ?? at;
    const completeAt =
      place === undefined ? at : (marks[place.marksCount + sessionsCount - 1] ?? Number.POSITIVE_INFINITY);
    if (latest > completeAt) inversionsCount += 1;
    latest = Math.max(latest, insertedAt);
  }
  return { inversionsCount, ticketsCount: grants.filter(({ id }) => tickets.has(id)).length };
}

function courseOf(entries: readonly OplogEntry[], lockId: string): Course {
  const tickets = new Map<string, Place>();
  const grants = new Map<string, number>();
  const marks: number[] = [];
  let arrivals = 0;
  for (const [at, entry] of entries.entries()) {
    const { op, o = {}, o2 = {} } = entry;
    if (op === 'i' && o.key === lockId) tickets.set(String(o._id), { insertedAt: at, marksCount: marks.length });
    if ((o2._id ?? o._id) !== lockId) continue;
    const marked = Number(fieldOf(entry, 'arrivals') ?? arrivals);
    if (marked > arrivals) marks.push(at);
    arrivals = marked;
    for (const id of grantedBy(entry)) if (!grants.has(id)) grants.set(id, at);
  }
  const sessions = new Set([...tickets.keys()].map((id) => id.split('/')[0]));
  return { tickets, sessionsCount: sessions.size, marks, grants: [...grants].map(([id, at]) => ({ id, at })) };
}

/** What a write of the lock document says of a field, however it was logged. */
function fieldOf({ o = {} }: OplogEntry, name: string): unknown {
  const diff = o.diff as { u?: Record<string, unknown>; i?: Record<string, unknown> } | undefined;
  return o[name] ?? diff?.u?.[name] ?? diff?.i?.[name];
}

/** The tickets that a write of the lock document grants. */
function grantedBy(entry: OplogEntry): string[] {
  const grant = fieldOf(entry, 'grant');
  if (typeof grant !== 'string') return [];
  const [session, , list = ''] = grant.split('/');
  return list.split(',').map((each) => `${session}/${each.split(':')[0]}`);
}
