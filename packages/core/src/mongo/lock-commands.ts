/**
 * The commands on one lock document: TRY, the arrival mark, HANDOFF, VACATE, RESCUE. Pure builders; `store.ts` sends
 * them. Each is one conditional write of one document, and every condition includes the version.
 *
 * Where the new value depends on the stored one the update is a pipeline; where the caller knows it (HANDOFF, RESCUE) a
 * classic `$set`, whose values reach the change stream whole. Every grant clears `firstArrival` and `vacantAt`.
 */
import { DOCUMENT_VERSION } from '../protocol/documents.js';
import {
  callersCount,
  FENCE_MAX,
  formatGrant,
  formatTicket,
  isSessionId,
  lastToken,
  parseGrant,
  type TicketRef,
} from '../protocol/grant.js';
import {
  COMMAND_LIMIT_MS,
  type Command,
  changed,
  choose,
  counter,
  literal,
  long,
  MAJORITY,
  type RequestOf,
  VERSION_MATCHES,
} from './commands.js';

// The server reads and prepares a pipeline anew with every command, which takes a good part of its time for one: what
// can be said with fewer operators is.

/** The stored counters. In the server's order of all values null is below every number, NaN below the others, all else above. */
const COUNTERS = ['$fence', '$arrivals', '$born'] as const;

/**
 * Of our version, with counters that can be counted on: else a grant would be written that nobody could read, and that
 * nobody would give back. What another tool has spoilt is left as it is, for the reader to refuse.
 */
const IS_OURS: Command = {
  $and: [
    { $in: [{ $ifNull: ['$v', DOCUMENT_VERSION] }, Array.from({ length: DOCUMENT_VERSION + 1 }, (_, v) => v)] },
    { $gte: [{ $min: [0, ...COUNTERS] }, 0] },
    { $lte: [{ $max: [0, ...COUNTERS] }, FENCE_MAX] },
    { $eq: [{ $add: COUNTERS.map((value) => ({ $mod: [{ $ifNull: [value, 0] }, 1] })) }, 0] },
  ],
};
const VACANT: Command = { $eq: [{ $ifNull: ['$grant', null] }, null] };

/** One less than the first token of a new document. `$$NOW` would not do: over an election it may go back. */
const FENCE_BEFORE_FIRST: Command = {
  $subtract: [
    { $add: [{ $multiply: [{ $tsSecond: '$$CLUSTER_TIME' }, 1_000_000n] }, { $tsIncrement: '$$CLUSTER_TIME' }] },
    1n,
  ],
};
const FENCE: Command = counter('fence', FENCE_BEFORE_FIRST);
const ARRIVALS: Command = counter('arrivals');
const NEXT_ARRIVAL: Command = { $add: [ARRIVALS, 1n] };

/** TRY: grants the ticket if vacant; otherwise nothing changes, and nothing is written. Replies with the document after. */
export function tryCommand(collection: string, { key, session, ticket }: RequestOf<'tryGrant'>): Command {
  const granted = grantedTo({ session, tickets: [ticket], arrivals: ARRIVALS });
  return {
    findAndModify: collection,
    query: { _id: key },
    update: [{ $replaceWith: choose([[{ $and: [IS_OURS, VACANT] }, granted]], '$$ROOT') }],
    upsert: true,
    new: true,
    maxTimeMS: COMMAND_LIMIT_MS,
    writeConcern: MAJORITY,
  };
}

/** The arrival mark, a statement of ARRIVE: counts, and notes the ticket if it is the first or, if vacant, grants it. */
export function arrivalMark({ key, session, ticket }: RequestOf<'tryGrant'>): Command {
  const arrival = { $concat: [{ $toString: NEXT_ARRIVAL }, literal(`/${session}/${formatTicket(ticket)}`)] };
  // A date beside a grant is another tool's, and would have the document removed under its holder.
  const noted = { arrivals: NEXT_ARRIVAL, firstArrival: { $ifNull: ['$firstArrival', arrival] }, vacantAt: null };
  const after = choose(
    [
      [{ $not: [IS_OURS] }, '$$ROOT'],
      [VACANT, grantedTo({ session, tickets: [ticket], arrivals: NEXT_ARRIVAL })],
    ],
    changed(noted),
  );
  return { q: { _id: key }, u: [{ $replaceWith: after }], upsert: true };
}

/** HANDOFF: `grant` → `next`. `n` of the reply says whether it stood. */
export function handoffCommand(collection: string, request: RequestOf<'handoff'>): Command {
  const { key, grant, next, fence } = request;
  return updateOne(collection, { q: { _id: key, grant, v: VERSION_MATCHES }, u: setGrant(next, fence, request) });
}

/** RESCUE of a vacant document at exactly this fence. */
export function rescueVacantCommand(
  collection: string,
  { key, fence, session, tickets }: RequestOf<'rescue'> & { readonly fence: number },
): Command {
  const grant = { session, firstToken: fence + 1, tickets };
  const q = { _id: key, grant: null, fence: long(fence), v: VERSION_MATCHES };
  return updateOne(collection, { q, u: setGrant(formatGrant(grant), lastToken(grant)) });
}

/** RESCUE where there is no document: its filter can match none, so that it inserts, or fails with code 11000. */
export function rescueAbsentCommand(collection: string, { key, session, tickets }: RequestOf<'rescue'>): Command {
  const q = { _id: key, grant: { $in: [] } };
  const u = [{ $replaceWith: grantedTo({ session, tickets, arrivals: ARRIVALS }) }];
  return updateOne(collection, { q, u, upsert: true });
}

/**
 * VACATE: to vacant while `arrivals` is still the same; to the first arrival when that is the very next one, is no
 * ticket of this grant and not of a session to be left out; else unchanged. Replies with the document after.
 */
export function vacateCommand(collection: string, request: RequestOf<'vacate'>): Command {
  const { key, grant, arrivals, forced, trace } = request;
  const fence = fenceAfter(grant);
  const note = {
    ...(forced !== undefined && { forced: literal(forced), forcedAt: '$$NOW' }),
    ...(trace !== undefined && { trace: literal(trace) }),
  };
  const vacant = { grant: null, firstArrival: null, vacantAt: '$$NOW', fence, ...note };
  const after = choose(
    [
      [{ $eq: [ARRIVALS, long(arrivals)] }, changed(vacant)],
      [firstArrivalFollows(request), grantedToFirstArrival(fence, note)],
    ],
    '$$ROOT',
  );
  return {
    findAndModify: collection,
    query: { _id: key, grant, v: VERSION_MATCHES },
    update: [{ $replaceWith: after }],
    new: true,
    maxTimeMS: COMMAND_LIMIT_MS,
    writeConcern: MAJORITY,
  };
}

/** The fence that ends a grant: never below its last token, whatever another tool has made of the stored one. */
function fenceAfter(grant: string): unknown {
  const own = parseGrant(grant);
  if (own === null) return FENCE;
  const last = long(lastToken(own));
  const isAhead = { $and: [{ $gt: ['$fence', last] }, { $lte: ['$fence', FENCE_MAX] }] };
  return choose([[isAhead, { $toLong: '$fence' }]], last);
}

/** The stored document with a grant to these tickets. */
function grantedTo({
  session,
  tickets,
  arrivals,
}: {
  readonly session: string;
  readonly tickets: readonly TicketRef[];
  readonly arrivals: Command;
}): Command {
  const grant = {
    before: literal(`${session}/`),
    after: literal(`/${tickets.map(formatTicket).join(',')}`),
    callers: long(callersCount(tickets)),
  };
  return { $let: { vars: { fence: FENCE }, in: changed({ ...grantFields(grant), arrivals }) } };
}

/**
 * The fields of a grant whose token the server finds: it follows the variable `fence`. The others are expressions that
 * give the texts before and after that token, and how many callers there are.
 */
function grantFields({ before, after, callers }: { before: unknown; after: unknown; callers: unknown }): Command {
  const nextToken = { $add: ['$$fence', 1n] };
  return {
    v: DOCUMENT_VERSION,
    grant: { $concat: [before, { $toString: nextToken }, after] },
    fence: { $add: ['$$fence', callers] },
    firstArrival: null,
    born: counter('born', nextToken),
    grantedAt: '$$NOW',
    // The index that removes idle documents passes it over as it does an absent one.
    vacantAt: null,
  };
}

function setGrant(
  grant: string,
  fence: number,
  { forced, trace }: Pick<RequestOf<'handoff'>, 'forced' | 'trace'> = {},
): Command {
  const notes = { ...(forced !== undefined && { forced }), ...(trace !== undefined && { trace }) };
  return {
    $set: { grant, fence: long(fence), firstArrival: null, vacantAt: null, ...notes },
    $currentDate: { grantedAt: true, ...(forced !== undefined && { forcedAt: true }) },
  };
}

/** As many as one pattern can leave out; a grant of ours has 64 at most. */
const OWN_TICKETS_MAX = 1_000;
/** `<arrival no>/<session>/<n>:<callers>`; only looked into where it was found well formed. */
const ARRIVED: Command = { $split: ['$firstArrival', '/'] };
const ARRIVED_TICKET: Command = { $arrayElemAt: [ARRIVED, 2] };
const ARRIVED_N: Command = { $arrayElemAt: [{ $split: [ARRIVED_TICKET, ':'] }, 0] };

function grantedToFirstArrival(fence: unknown, note: Command): Command {
  const ticket = { $arrayElemAt: ['$$arrived', 2] };
  const grant = {
    before: { $concat: [{ $arrayElemAt: ['$$arrived', 1] }, '/'] },
    after: { $concat: ['/', ticket] },
    callers: { $toLong: { $arrayElemAt: [{ $split: [ticket, ':'] }, 1] } },
  };
  return {
    $let: { vars: { fence, arrived: ARRIVED }, in: changed({ ...grantFields(grant), arrivals: ARRIVALS, ...note }) },
  };
}

function firstArrivalFollows({ grant, arrivals, withoutSessions }: RequestOf<'vacate'>): Command {
  const own = parseGrant(grant);
  // None of ours: the queue is read instead.
  if (own !== null && own.tickets.length > OWN_TICKETS_MAX) return literal(false);
  const leftOut = withoutSessions.filter(isSessionId).map((session) => `${session}/`);
  if (own !== null) leftOut.push(`${own.session}/(?:${own.tickets.map(({ n }) => n).join('|')}):`);
  const others = leftOut.length > 0 ? `(?!${leftOut.join('|')})` : '';
  const regex = `^${arrivals + 1}/${others}[A-Za-z0-9_-]{1,64}/[1-9][0-9]{0,14}:[1-9][0-9]{0,8}\\z`;
  const isText = { $eq: [{ $type: '$firstArrival' }, 'string'] };
  return { $and: [isText, { $regexMatch: { input: '$firstArrival', regex } }, IS_OURS] };
}

/** LEAVE: the note of a first arrival that has left keeps its number, by which others count, and names nobody. */
export function clearArrivalsCommand(collection: string, { session, arrivals }: RequestOf<'clearArrivals'>): Command {
  const nobody = { $concat: [{ $arrayElemAt: [ARRIVED, 0] }, '//'] };
  const updates = arrivals.map(({ key, numbers }) => {
    const left = { $in: [ARRIVED_N, literal(numbers.map(String))] };
    return {
      q: { _id: key, firstArrival: { $regex: `^[0-9]+/${session}/` }, v: VERSION_MATCHES },
      u: [{ $set: { firstArrival: { $cond: [left, nobody, '$firstArrival'] } } }],
    };
  });
  return { update: collection, updates, ordered: false, maxTimeMS: COMMAND_LIMIT_MS, writeConcern: MAJORITY };
}

function updateOne(collection: string, statement: Command): Command {
  return { update: collection, updates: [statement], maxTimeMS: COMMAND_LIMIT_MS, writeConcern: MAJORITY };
}
