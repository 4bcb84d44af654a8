/**
 * The commands on the queue: ARRIVE, LEAVE, and the reads (PREFETCH, the patrol's, the audit's). Pure builders;
 * `store.ts` sends them. A ticket counts only if every field has the form we write: whatever another tool leaves in the
 * collection is filtered out by the server, before `limit`, so that it can never fill a page.
 */
import type { ArrivingTicket } from '../ports.js';
import { CALLERS_MAX, COUNT_MAX, ticketId } from '../protocol/grant.js';
import { COMMAND_LIMIT_MS, type Command, literal, long, MAJORITY, type RequestOf } from './commands.js';
import { arrivalMark } from './lock-commands.js';

/** The order of arrival: the server's logical clock, and a tie-break for arrivals that overlap. */
export const QUEUE_ORDER: Command = { at: 1, session: 1, n: 1 };

/** Must bear any value in any field: a single document that made it fail would stop every read of that queue. */
const NUMBER_TEXT: Command = { $convert: { input: '$n', to: 'string', onError: null, onNull: null } };
export const ID_MATCHES: Command = {
  $cond: [
    { $eq: [{ $type: '$session' }, 'string'] },
    { $eq: ['$_id', { $concat: ['$session', '/', NUMBER_TEXT] }] },
    false,
  ],
};

/** What makes a document a ticket; `key` is matched beside it. */
export const WELL_FORMED: Command = {
  at: { $type: 'timestamp' },
  n: { $type: 'long', $gte: 1, $lte: long(COUNT_MAX) },
  // A list with such a number in it is none.
  callers: { $type: 'long', $not: { $type: 'array' }, $gte: 1, $lte: long(CALLERS_MAX) },
};
export const SESSION_TEXT: Command = { $regex: '^[A-Za-z0-9_-]{1,64}$' };
const TICKET_FIELDS: Command = { session: 1, n: 1, callers: 1 };

/** ARRIVE: the tickets in order, then the mark, in one ordered command. Sent again, tickets keep their places. */
export function arriveCommand(
  collection: string,
  { key, session, tickets }: RequestOf<'arrive'> & { readonly tickets: readonly [ArrivingTicket, ...ArrivingTicket[]] },
): Command {
  return {
    update: collection,
    updates: [
      ...tickets.map((ticket) => ticketStatement({ key, session, ticket })),
      arrivalMark({ key, session, ticket: tickets[0] }),
    ],
    ordered: true,
    maxTimeMS: COMMAND_LIMIT_MS,
    writeConcern: MAJORITY,
  };
}

interface TicketStatement {
  readonly key: string;
  readonly session: string;
  readonly ticket: ArrivingTicket;
}

function ticketStatement({ key, session, ticket }: TicketStatement): Command {
  const fields = {
    key: literal(key),
    at: { $ifNull: ['$at', '$$CLUSTER_TIME'] },
    n: literal(long(ticket.n)),
    session: literal(session),
    callers: literal(long(ticket.callers)),
    ...(ticket.labels !== undefined && { labels: literal(ticket.labels) }),
  };
  return { q: { _id: ticketId(session, ticket.n) }, u: [{ $set: fields }], upsert: true };
}

/** LEAVE, and the tickets of a hold. */
export function deleteTicketsCommand(collection: string, { ids }: RequestOf<'deleteTickets'>): Command {
  return deleteMany(collection, { _id: { $in: ids } });
}

/** All tickets of one session, by their `_id`s: `/` is followed by `0` in ASCII. */
export function deleteTicketsOfCommand(collection: string, { session }: RequestOf<'deleteTicketsOf'>): Command {
  return deleteMany(collection, { _id: { $gte: `${session}/`, $lt: `${session}0` } });
}

/** PREFETCH: first the lock document as `{ lock }`, then the head of the queue. */
export function readQueueCommand(collection: string, request: RequestOf<'readQueue'>): Command {
  const { key, withoutTickets, withoutSessions, limit } = request;
  const match = {
    ...WELL_FORMED,
    key,
    session: { ...SESSION_TEXT, ...(withoutSessions.length > 0 && { $nin: withoutSessions }) },
    // As an expression, so that the planner never takes the index on `_id` for it.
    $expr: { $and: [ID_MATCHES, { $not: [{ $in: ['$_id', literal(withoutTickets)] }] }] },
  };
  return aggregate(collection, [
    { $match: { _id: key } },
    { $replaceWith: { lock: '$$ROOT' } },
    { $unionWith: { coll: collection, pipeline: headStages(match, limit) } },
  ]);
}

/** The patrol's read: awaited documents as `{ lock, head }`, then those of our tickets that exist. */
export function readAwaitedCommand(collection: string, request: RequestOf<'readAwaited'>): Command {
  const { keys, ticketIds, headLimit } = request;
  const match = { ...WELL_FORMED, key: { $exists: true }, session: SESSION_TEXT, $expr: ID_MATCHES };
  return aggregate(collection, [
    { $match: { _id: { $in: keys } } },
    { $replaceWith: { lock: '$$ROOT' } },
    {
      $lookup: {
        from: collection,
        localField: 'lock._id',
        foreignField: 'key',
        pipeline: headStages(match, headLimit),
        as: 'head',
      },
    },
    { $unionWith: { coll: collection, pipeline: [{ $match: { _id: { $in: ticketIds } } }, { $project: { _id: 1 } }] } },
  ]);
}

/**
 * The audit's read, covered by its index; the type repeats what the index is partial on. Grants of one session differ
 * from each other, whatever the key, so that a second page may start after the last grant of the first.
 */
export function readGrantsCommand(
  collection: string,
  { session, after }: { readonly session: string; readonly after: string | null },
): Command {
  const from = after === null ? { $gte: `${session}/` } : { $gt: after };
  return aggregate(collection, [
    { $match: { grant: { $type: 'string', ...from, $lt: `${session}0` } } },
    { $sort: { grant: 1 } },
    { $project: { _id: 1, grant: 1 } },
  ]);
}

/** The tickets of one session, by their `_id`s, a page at a time. */
export function readTicketsCommand(
  collection: string,
  { session, after }: { readonly session: string; readonly after: string | null },
): Command {
  const from = after === null ? { $gte: `${session}/` } : { $gt: after };
  return aggregate(collection, [
    { $match: { _id: { ...from, $lt: `${session}0` } } },
    { $sort: { _id: 1 } },
    { $project: { _id: 1, key: 1, n: 1 } },
  ]);
}

function headStages(match: Command, limit: number): Command[] {
  return [{ $match: match }, { $sort: QUEUE_ORDER }, { $limit: limit }, { $project: TICKET_FIELDS }];
}

function deleteMany(collection: string, q: Command): Command {
  return { delete: collection, deletes: [{ q, limit: 0 }], maxTimeMS: COMMAND_LIMIT_MS, writeConcern: MAJORITY };
}

/** One batch as far as the server's 16 MB reach. */
const BATCH_SIZE = 1_000_000;

/** A read; the connection adds the read concern. */
export function aggregate(collection: string, pipeline: readonly Command[]): Command {
  return { aggregate: collection, pipeline, cursor: { batchSize: BATCH_SIZE }, maxTimeMS: COMMAND_LIMIT_MS };
}
