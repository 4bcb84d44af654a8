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
  isCount,
  literal,
  long,
  MAJORITY,
  type RequestOf,
  VERSION_IS_OURS,
  VERSION_MATCHES,
} from './commands.js';

/**
 * Of our version, with counters that can be counted on: else a grant would be written that nobody could read, and that
 * nobody would give back. What another tool has spoilt is left as it is, for the reader to refuse.
 */
const IS_OURS: Command = {
  $and: [VERSION_IS_OURS, isCount('v'), isCount('fence', FENCE_MAX), isCount('arrivals', FENCE_MAX), isCount('born')],
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
  const granted = { ...grantOf(session, [ticket]), arrivals: ARRIVALS };
  return {
    findAndModify: collection,
    query: { _id: key },
    update: stages(choose([[{ $and: [IS_OURS, VACANT] }, changed(granted)]], '$$ROOT')),
    upsert: true,
    new: true,
    maxTimeMS: COMMAND_LIMIT_MS,
    writeConcern: MAJORITY,
  };
}

/** The arrival mark, a statement of ARRIVE: counts, and notes the ticket if it is the first or, if vacant, grants it. */
export function arrivalMark({ key, session, ticket }: RequestOf<'tryGrant'>): Command {
  const granted = { ...grantOf(session, [ticket]), arrivals: NEXT_ARRIVAL };
  const arrival = { $concat: [{ $toString: NEXT_ARRIVAL }, literal(`/${session}/${formatTicket(ticket)}`)] };
  const noted = { arrivals: NEXT_ARRIVAL, firstArrival: { $ifNull: ['$firstArrival', arrival] } };
  const after = choose(
    [
      [{ $not: [IS_OURS] }, '$$ROOT'],
      [VACANT, changed(granted)],
    ],
    changed(noted),
  );
  return { q: { _id: key }, u: stages(after), upsert: true };
}

/** HANDOFF: `grant` → `next`. `n` of the reply says whether it stood. */
export function handoffCommand(collection: string, { key, grant, next, fence }: RequestOf<'handoff'>): Command {
  return updateOne(collection, { q: { _id: key, grant, v: VERSION_MATCHES }, u: setGrant(next, fence) });
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
  const granted = { ...grantOf(session, tickets), arrivals: ARRIVALS };
  const q = { _id: key, grant: { $in: [] } };
  return updateOne(collection, { q, u: stages(changed(granted)), upsert: true });
}

/**
 * VACATE: to vacant while `arrivals` is still the same; to the first arrival when that is the very next one, is no
 * ticket of this grant and not of a session to be left out; else unchanged. Replies with the document after.
 */
export function vacateCommand(collection: string, request: RequestOf<'vacate'>): Command {
  const { key, grant, arrivals } = request;
  const fence = fenceAfter(grant);
  const vacant = { grant: null, firstArrival: null, vacantAt: '$$NOW', fence };
  const after = choose(
    [
      [{ $eq: [ARRIVALS, long(arrivals)] }, changed(vacant)],
      [firstArrivalFollows(request), changed(grantOfFirstArrival(fence))],
    ],
    '$$ROOT',
  );
  return {
    findAndModify: collection,
    query: { _id: key, grant, v: VERSION_MATCHES },
    update: stages(after),
    new: true,
    maxTimeMS: COMMAND_LIMIT_MS,
    writeConcern: MAJORITY,
  };
}

/** The fence that ends a grant: never below its last token, whatever another tool has made of the stored one. */
function fenceAfter(grant: string): unknown {
  const own = parseGrant(grant);
  if (own === null) return '$fence';
  const last = long(lastToken(own));
  return choose([[isCount('fence', FENCE_MAX), { $max: [FENCE, last] }]], last);
}

/** An update whose outcome is the document `after`; a granted one loses `vacantAt`. `$unsetField` is not in the stable API. */
function stages(after: unknown): Command[] {
  const isGranted = { $and: [VERSION_IS_OURS, { $not: [VACANT] }] };
  return [{ $replaceWith: after }, { $set: { vacantAt: { $cond: [isGranted, '$$REMOVE', '$vacantAt'] } } }];
}

function grantOf(session: string, tickets: readonly TicketRef[]): Command {
  const ticketList = literal(tickets.map(formatTicket).join(','));
  return grantFields({ session: literal(session), ticketList, callers: long(callersCount(tickets)) });
}

/** The fields of a grant whose token the server finds; the others are expressions that give its texts and numbers. */
function grantFields({
  session,
  ticketList,
  callers,
  fence = FENCE,
}: {
  session: Command;
  ticketList: Command;
  callers: unknown;
  fence?: unknown;
}): Command {
  const nextToken = { $add: [fence, 1n] };
  return {
    v: { $ifNull: ['$v', DOCUMENT_VERSION] },
    grant: { $concat: [session, '/', { $toString: nextToken }, '/', ticketList] },
    fence: { $add: [fence, callers] },
    firstArrival: null,
    born: counter('born', nextToken),
    grantedAt: '$$NOW',
  };
}

function setGrant(grant: string, fence: number): Command {
  return {
    $set: { grant, fence: long(fence), firstArrival: null },
    $unset: { vacantAt: '' },
    $currentDate: { grantedAt: true },
  };
}

/** `<arrival no>/<session>/<n>:<callers>`; only looked into where `firstArrivalFollows` has found it well formed. */
const ARRIVED: Command = { $split: ['$firstArrival', '/'] };
const ARRIVED_SESSION: Command = { $arrayElemAt: [ARRIVED, 1] };
const ARRIVED_TICKET: Command = { $arrayElemAt: [ARRIVED, 2] };
const ARRIVED_N: Command = { $arrayElemAt: [{ $split: [ARRIVED_TICKET, ':'] }, 0] };
const ARRIVED_CALLERS: Command = { $toLong: { $arrayElemAt: [{ $split: [ARRIVED_TICKET, ':'] }, 1] } };

function grantOfFirstArrival(fence: unknown): Command {
  return grantFields({ session: ARRIVED_SESSION, ticketList: ARRIVED_TICKET, callers: ARRIVED_CALLERS, fence });
}

function firstArrivalFollows({ grant, arrivals, withoutSessions }: RequestOf<'vacate'>): Command {
  const own = parseGrant(grant);
  const ownIds = own === null ? [] : own.tickets.map(({ n }) => `${own.session}/${n}`);
  const form = `^${arrivals + 1}/[A-Za-z0-9_-]{1,64}/[1-9][0-9]{0,15}:[1-9][0-9]{0,8}$`;
  const fits = {
    $and: [
      IS_OURS,
      { $regexMatch: { input: '$firstArrival', regex: form } },
      { $not: [{ $in: [{ $concat: [ARRIVED_SESSION, '/', ARRIVED_N] }, literal(ownIds)] }] },
      { $not: [{ $in: [ARRIVED_SESSION, literal(withoutSessions)] }] },
    ],
  };
  return { $cond: [{ $eq: [{ $type: '$firstArrival' }, 'string'] }, fits, false] };
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
