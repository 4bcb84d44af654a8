/**
 * The commands behind `inspect` and `list`: one read each, whatever they show. Pure builders; `inspector.ts` sends them.
 * Sessions are looked up beside, so that holder and waiters come with their hosts.
 */
import type { CollectionNames, Command } from './commands.js';
import { aggregate, ID_MATCHES, QUEUE_ORDER, SESSION_TEXT, WELL_FORMED } from './queue-commands.js';
import { SESSION_VIEW } from './session-commands.js';

/** How many places of a queue are shown. */
const PLACES_MAX = 1_000;

const TICKET: Command = { ...WELL_FORMED, key: { $exists: true }, session: SESSION_TEXT };
const IS_TEXT: Command = { $eq: [{ $type: '$grant' }, 'string'] };
const GRANT_PARTS: Command = { $split: ['$grant', '/'] };

/** The parts of the grant that tell its own tickets, which are deleted a moment after, from those that wait. */
const WITH_GRANT: readonly Command[] = [
  {
    $replaceWith: {
      lock: '$$ROOT',
      holder: { $cond: [IS_TEXT, { $arrayElemAt: [GRANT_PARTS, 0] }, null] },
      granted: { $cond: [IS_TEXT, { $concat: [',', { $ifNull: [{ $arrayElemAt: [GRANT_PARTS, 2] }, ''] }] }, ''] },
    },
  },
];
const GRANT_VARS: Command = { holder: '$holder', granted: '$granted' };
const WAITS: Command = {
  $expr: {
    $and: [
      ID_MATCHES,
      {
        $not: [
          {
            $and: [
              { $eq: ['$session', '$$holder'] },
              { $gte: [{ $indexOfCP: ['$$granted', { $concat: [',', { $toString: '$n' }, ':'] }] }, 0] },
            ],
          },
        ],
      },
    ],
  },
};

/** Must bear any value: `$type` also finds a list of timestamps. */
const SINCE: Command = { $convert: { input: '$at', to: 'date', onError: null, onNull: null } };
const COUNT: Command = { $group: { _id: null, callers: { $sum: '$callers' } } };

/** One lock: its document, its holder's session, its queue with sessions, and how many wait in all. */
export function inspectCommand({ locks, sessions }: CollectionNames, key: string): Command {
  const tickets = (stages: readonly Command[]): Command => ({
    from: locks,
    localField: 'lock._id',
    foreignField: 'key',
    let: GRANT_VARS,
    pipeline: [{ $match: { ...TICKET, ...WAITS } }, ...stages],
  });
  const shown = [
    { $sort: QUEUE_ORDER },
    { $limit: PLACES_MAX },
    { $lookup: sessionOf(sessions, 'session') },
    { $project: { session: 1, callers: 1, labels: 1, since: SINCE, sessions: 1 } },
  ];
  return aggregate(locks, [
    { $match: { _id: key } },
    ...WITH_GRANT,
    { $lookup: sessionOf(sessions, 'holder') },
    { $lookup: { ...tickets(shown), as: 'waiters' } },
    { $lookup: { ...tickets([COUNT]), as: 'counted' } },
  ]);
}

/** Locks that are held, with keys that begin so and follow `after`. */
export function listCommand(
  { locks, sessions }: CollectionNames,
  { prefix, after, limit }: { readonly prefix: string; readonly after: string | null; readonly limit: number },
): Command {
  const range = { $gte: prefix, $lt: `${prefix}\u{10ffff}`, ...(after !== null && { $gt: after }) };
  const counted = {
    from: locks,
    localField: 'lock._id',
    foreignField: 'key',
    let: GRANT_VARS,
    pipeline: [{ $match: { ...TICKET, ...WAITS } }, COUNT],
    as: 'counted',
  };
  return aggregate(locks, [
    { $match: { _id: range, grant: { $type: 'string' } } },
    { $sort: { _id: 1 } },
    { $limit: limit },
    ...WITH_GRANT,
    { $lookup: sessionOf(sessions, 'holder') },
    { $lookup: counted },
  ]);
}

function sessionOf(collection: string, localField: string): Command {
  return {
    from: collection,
    localField,
    foreignField: '_id',
    pipeline: [{ $project: SESSION_VIEW }],
    as: 'sessions',
  };
}
