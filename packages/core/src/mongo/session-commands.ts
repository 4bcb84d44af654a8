/**
 * The commands on one session document: open, RENEW, REAP, condemn, end, and the read. Pure builders; `store.ts` sends
 * them. `until` is only ever compared with the server's clock, and the replies carry `remainingMS` in its place, so that
 * no client's clock is compared with it either.
 */
import type { ReapRequest, SessionDraft } from '../ports.js';
import { DOCUMENT_VERSION } from '../protocol/documents.js';
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
  VERSION_IS_OURS,
  VERSION_MATCHES,
} from './commands.js';
import { aggregate } from './queue-commands.js';

const ABSENT: Command = { $eq: [{ $type: '$state' }, 'missing'] };
const ALIVE: Command = { $eq: ['$state', 'alive'] };

/** Another tool may have put anything there, and one such document must not fail a read of many. */
const HAS_LEASE: Command = { $eq: [{ $type: '$until' }, 'date'] };

/** The fields of `SessionState`, computed by the server. */
export const SESSION_VIEW: Command = {
  v: 1,
  state: 1,
  leaseMS: 1,
  beats: 1,
  host: 1,
  pid: 1,
  label: 1,
  remainingMS: { $cond: [HAS_LEASE, { $subtract: ['$until', '$$NOW'] }, null] },
};

/** Writes the session as alive for one lease, unless it is dead. */
export function openSessionCommand(collection: string, draft: SessionDraft): Command {
  const { session, leaseMS, host, pid, label } = draft;
  const set = {
    ...header({ state: 'alive', leaseMS }),
    until: { $add: ['$$NOW', long(leaseMS)] },
    host: literal(host),
    pid: literal(pid),
    ...(label !== undefined && { label: literal(label) }),
  };
  return upsert(collection, session, {
    $replaceWith: choose([[{ $and: [VERSION_IS_OURS, { $or: [ABSENT, ALIVE] }] }, changed(set)]], '$$ROOT'),
  });
}

/** RENEW: no document comes back when the session is not alive. */
export function renewSessionCommand(collection: string, { session, leaseMS }: RequestOf<'renewSession'>): Command {
  const set = {
    until: { $add: ['$$NOW', long(leaseMS)] },
    leaseMS: long(leaseMS),
    beats: { $add: [counter('beats'), 1n] },
  };
  return {
    ...upsert(collection, session, { $set: set }),
    query: { _id: session, state: 'alive', v: VERSION_MATCHES },
    upsert: false,
  };
}

/**
 * REAP: dead when expired by more than the clock skew, or expired with its beats unchanged; `until` stays. An absent
 * session gets a mark that convicts one lease of the reaper later. Otherwise, and when it is dead already, nothing changes.
 */
export function reapSessionCommand(
  collection: string,
  { session, clockSkewMS, leaseMS, unchangedBeats }: ReapRequest,
): Command {
  const expired = { $lt: [{ $add: ['$until', long(clockSkewMS)] }, '$$NOW'] };
  const stoodStill = unchangedBeats !== undefined && {
    $and: [{ $lt: ['$until', '$$NOW'] }, { $eq: [counter('beats'), long(unchangedBeats)] }],
  };
  const convicted = { $and: [ALIVE, HAS_LEASE, stoodStill === false ? expired : { $or: [expired, stoodStill] }] };
  const mark = { ...header({ state: 'dead', leaseMS }), until: { $add: ['$$NOW', long(leaseMS)] } };
  return upsert(collection, session, {
    $replaceWith: choose(
      [
        [{ $not: [VERSION_IS_OURS] }, '$$ROOT'],
        [ABSENT, changed(mark)],
        [convicted, changed({ state: 'dead' })],
      ],
      '$$ROOT',
    ),
  });
}

/** Declares our own session dead from now on, whatever of it is still on its way. */
export function condemnSessionCommand(collection: string, { session }: RequestOf<'condemnSession'>): Command {
  const set = { ...header({ state: 'dead' }), until: { $min: ['$until', '$$NOW'] } };
  return upsert(collection, session, { $replaceWith: choose([[VERSION_IS_OURS, changed(set)]], '$$ROOT') });
}

/** Removes our own session. */
export function endSessionCommand(collection: string, { session }: RequestOf<'endSession'>): Command {
  const q = { _id: session, v: VERSION_MATCHES };
  return { delete: collection, deletes: [{ q, limit: 1 }], maxTimeMS: COMMAND_LIMIT_MS, writeConcern: MAJORITY };
}

/** Those of the sessions that exist. */
export function readSessionsCommand(collection: string, request: RequestOf<'readSessions'>): Command {
  return aggregate(collection, [{ $match: { _id: { $in: request.sessions } } }, { $project: SESSION_VIEW }]);
}

/** The fields every session document has; without a lease given, the stored one stays. */
function header({ state, leaseMS }: { state: 'alive' | 'dead'; leaseMS?: number }): Command {
  return {
    v: { $ifNull: ['$v', DOCUMENT_VERSION] },
    state,
    leaseMS: leaseMS === undefined ? counter('leaseMS') : long(leaseMS),
    beats: counter('beats'),
  };
}

function upsert(collection: string, session: string, stage: Command): Command {
  return {
    findAndModify: collection,
    query: { _id: session },
    update: [stage],
    fields: { ...SESSION_VIEW, serverNow: '$$NOW' },
    upsert: true,
    new: true,
    maxTimeMS: COMMAND_LIMIT_MS,
    writeConcern: MAJORITY,
  };
}
