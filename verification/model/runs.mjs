/**
 * What the model is asked: the configurations in which nothing may be found, the situations that must occur in them, and the
 * rules that are switched off one at a time, each with how that is noticed. Data only; run.mjs works it off.
 */

/** A leave, so that grants meet tickets for which nobody waits. */
const LEAVE = '-DN=3 -DLEAVES=1';
const COPY = '-DN=3 -DCOPIES=1';
const COPIES = '-DN=3 -DLEAVES=1 -DCOPIES=2';
const CRASH = '-DN=3 -DCRASHES=1 -DLANES=2';
const LAPSE = '-DN=3 -DLAPSES=1 -DLANES=2';
const BY_HAND = '-DN=3 -DLOCK_DELETIONS=1 -DTICKET_DELETIONS=1 -DLANES=1';
const CLOSE = '-DN=3 -DLEAVES=1 -DCLOSES=1 -DLANES=1';
const TRIES = '-DN=3 -DTRIES -DENDLESS -DCRASHES=1 -DLANES=1';
const ELECTION = '-DELECTIONS=1';

/**
 * Nothing may be found in these. `live` are checked for progress under weak fairness, for one caller at a time.
 * @type {{ name: string, model: 'queue' | 'lease', defines: string, live?: number }[]}
 */
export const CONFIGURATIONS = [
  {
    name: '3 callers, 2 calls each, 1 crash, 1 leave',
    model: 'queue',
    defines: '-DN=3 -DROUNDS=2 -DLEAVES=1 -DCRASHES=1 -DLANES=2',
  },
  {
    name: '4 callers, 1 call each, 1 crash, 1 leave',
    model: 'queue',
    defines: '-DN=4 -DLEAVES=1 -DCRASHES=1 -DLANES=2',
  },
  { name: '3 callers, 2 calls each, 1 leave, no patrol', model: 'queue', defines: '-DN=3 -DROUNDS=2 -DLEAVES=1' },
  { name: '4 callers, 1 call each, 2 leaves, no patrol', model: 'queue', defines: '-DN=4 -DLEAVES=2' },
  { name: '3 callers, 1 leave, 2 commands sent twice', model: 'queue', defines: COPIES },
  { name: '3 callers, 2 calls each, 1 command sent twice', model: 'queue', defines: '-DN=3 -DROUNDS=2 -DCOPIES=1' },
  {
    name: '3 callers, 2 calls each, 1 session lost, deletions in time',
    model: 'queue',
    defines: '-DN=3 -DROUNDS=2 -DLAPSES=1 -DLANES=1 -DDELETED_IN_TIME',
  },
  {
    name: '2 callers, 2 calls each, 2 sessions lost',
    model: 'queue',
    defines: '-DN=2 -DROUNDS=2 -DLAPSES=2 -DLANES=1',
  },
  {
    name: '3 callers, 1 crash, 1 session lost, 2 patrols',
    model: 'queue',
    defines: '-DN=3 -DCRASHES=1 -DLAPSES=1 -DLANES=2',
  },
  {
    name: '3 callers, 1 crash, 1 command sent twice',
    model: 'queue',
    defines: '-DN=3 -DCRASHES=1 -DCOPIES=1 -DLANES=1',
  },
  {
    name: '3 callers, 1 session lost, 1 command sent twice',
    model: 'queue',
    defines: '-DN=3 -DLAPSES=1 -DCOPIES=1 -DLANES=1',
  },
  {
    name: '2 callers, 2 calls each, 1 leave, 1 crash, 1 sent twice',
    model: 'queue',
    defines: '-DN=2 -DROUNDS=2 -DLEAVES=1 -DCOPIES=1 -DCRASHES=1 -DLANES=1',
  },
  {
    name: '2 callers, 2 calls each, 1 crash, 1 session lost',
    model: 'queue',
    defines: '-DN=2 -DROUNDS=2 -DCRASHES=1 -DLAPSES=1 -DLANES=1',
  },
  {
    name: '3 callers, 2 calls each, 1 leave, 1 process ends in order',
    model: 'queue',
    defines: `${CLOSE} -DROUNDS=2`,
  },
  {
    name: '2 of 3 callers in one process, 2 calls, 1 leave, 1 sent twice, in time',
    model: 'queue',
    defines: '-DN=3 -DSHARED -DROUNDS=2 -DLEAVES=1 -DCOPIES=1 -DDELETED_IN_TIME',
  },
  {
    name: '2 of 4 callers in one process, 1 crash, 1 leave',
    model: 'queue',
    defines: '-DN=4 -DSHARED -DLEAVES=1 -DCRASHES=1 -DLANES=2',
  },
  {
    name: '2 of 3 callers in one process, 1 session lost, 1 leave',
    model: 'queue',
    defines: '-DN=3 -DSHARED -DLEAVES=1 -DLAPSES=1 -DLANES=2',
  },
  { name: '3 callers, lock and ticket deleted by hand', model: 'queue', defines: BY_HAND },
  {
    name: '2 of 3 callers in one process, lock and ticket deleted by hand',
    model: 'queue',
    defines: `${BY_HAND} -DSHARED`,
  },
  {
    name: '3 callers, every reply on its own, 1 crash, 1 leave',
    model: 'queue',
    defines: '-DN=3 -DFINE -DLEAVES=1 -DCRASHES=1 -DLANES=2',
  },
  {
    name: '3 callers, every reply on its own, 1 sent twice',
    model: 'queue',
    defines: '-DN=3 -DFINE -DLEAVES=1 -DCOPIES=1',
  },
  { name: '3 callers, arrivals that share an instant', model: 'queue', defines: '-DN=3 -DFINE -DTIES -DLEAVES=1' },
  {
    name: '3 callers, 1 holds for ever, 1 leave, 1 sent twice',
    model: 'queue',
    defines: '-DN=3 -DFINE -DHOLDS_ON -DLEAVES=1 -DCOPIES=1',
  },
  {
    name: '3 callers, 1 holds for ever, lock deleted by hand',
    model: 'queue',
    defines: '-DN=3 -DHOLDS_ON -DLOCK_DELETIONS=1 -DLANES=1',
  },
  {
    name: '3 callers, 2 calls each, numbers kept, 2 removals for idleness',
    model: 'queue',
    defines: '-DN=3 -DROUNDS=2 -DABSOLUTE -DREMOVALS=2',
  },
  {
    name: '3 callers, numbers kept, 1 removal, 1 crash, 1 sent twice',
    model: 'queue',
    defines: '-DN=3 -DABSOLUTE -DREMOVALS=1 -DCRASHES=1 -DCOPIES=1 -DLANES=1',
  },
  {
    name: '2 callers, numbers kept, every reply on its own, 1 removal, 1 crash, 1 sent twice',
    model: 'queue',
    defines: '-DN=2 -DFINE -DABSOLUTE -DREMOVALS=1 -DCOPIES=1 -DCRASHES=1 -DLANES=1',
  },
  {
    name: '2 callers, numbers kept, every reply on its own, 1 session lost, 1 sent twice',
    model: 'queue',
    defines: '-DN=2 -DFINE -DABSOLUTE -DCOPIES=1 -DLAPSES=1 -DLANES=1',
  },
  {
    name: '3 callers, numbers kept, lock deleted by hand',
    model: 'queue',
    defines: '-DN=3 -DABSOLUTE -DLOCK_DELETIONS=1 -DLANES=1',
  },

  { name: 'progress of the first of 3, calls without end', model: 'queue', defines: '-DN=3 -DENDLESS', live: 0 },
  { name: 'progress of the last of 3, calls without end', model: 'queue', defines: '-DN=3 -DENDLESS', live: 2 },
  {
    name: 'progress of 1 of 2 in one process, calls without end',
    model: 'queue',
    defines: '-DN=3 -DSHARED -DENDLESS',
    live: 1,
  },
  {
    name: 'progress of the second of 3, 1 crash, 1 leave',
    model: 'queue',
    defines: '-DN=3 -DLEAVES=1 -DCRASHES=1 -DLANES=1',
    live: 1,
  },
  {
    name: 'progress of the last of 3, 1 crash, 1 session lost',
    model: 'queue',
    defines: '-DN=3 -DCRASHES=1 -DLAPSES=1 -DLANES=1',
    live: 2,
  },
  {
    name: 'progress of those that only try, 1 crash, calls without end',
    model: 'queue',
    defines: TRIES,
    live: 0,
  },
  { name: 'progress of the first of 3, 2 commands sent twice', model: 'queue', defines: '-DN=3 -DCOPIES=2', live: 0 },
  {
    name: 'progress of the last of 3, lock deleted by hand',
    model: 'queue',
    defines: '-DN=3 -DLOCK_DELETIONS=1 -DLANES=1',
    live: 2,
  },

  { name: 'lease, 2 elections between clocks that differ', model: 'lease', defines: '-DELECTIONS=2' },
  { name: 'lease, 2 renewals at once, 1 election', model: 'lease', defines: '-DELECTIONS=1 -DTWO' },
  { name: 'lease, 2 suspends', model: 'lease', defines: '-DSUSPENDS=2' },
  { name: 'lease, session deleted by hand', model: 'lease', defines: '-DDELETIONS=1' },
  { name: 'lease, bound for a dead holder', model: 'lease', defines: '-DBOUND -DSKEW=4' },
];

/** Each must occur: so nothing above holds only because nothing happens. Names are those of state.pml. */
export const SITUATIONS = [
  { name: 'VACATE_REFUSED', defines: LEAVE },
  { name: 'VACATE_GRANTS', defines: LEAVE },
  { name: 'PASSED_ON', defines: LEAVE },
  { name: 'TOLD_BEFORE_REPLY', defines: LEAVE },
  { name: 'SERVED_BEFORE_MARK', defines: LEAVE },
  { name: 'OWES_ORDER', defines: LEAVE },
  { name: 'NOTE_CLEARED', defines: LEAVE },
  { name: 'HANDED_TO_CLOSED', defines: CLOSE },
  { name: 'RELEASE_TOO_LATE', defines: COPY },
  { name: 'COPY_OF_TRY_GRANTS', defines: COPY },
  { name: 'COPY_OF_MARK_GRANTS', defines: COPY },
  { name: 'COPY_OF_RELEASE_APPLIES', defines: COPY },
  { name: 'TAKEN_OVER', defines: CRASH },
  { name: 'GRANTED_TO_DEAD', defines: CRASH },
  { name: 'OVERTURNED', defines: CRASH },
  { name: 'RESCUED', defines: BY_HAND },
];

/**
 * Rules and conditions of the protocol, switched off one at a time: each must be found as an error.
 * @type {{ name: string, rule: string, model?: 'lease', defines: string, live?: number }[]}
 */
export const CAUGHT = [
  { name: 'NO_TRY_VACANT', rule: 'TRY: applies when vacant', defines: LEAVE },
  { name: 'NO_TRY_K', rule: 'TRY: k is `arrivals` at the grant, not at the reply', defines: LEAVE },
  { name: 'NO_ARRIVE_ORDER', rule: 'ARRIVE: tickets, then the mark', defines: LEAVE },
  { name: 'NO_ARRIVE_COUNT', rule: 'ARRIVE: `arrivals` + 1', defines: LEAVE },
  { name: 'NO_ARRIVE_GRANT', rule: 'ARRIVE: grants where vacant', defines: LEAVE },
  { name: 'NO_PLACE_KEPT', rule: 'ARRIVE: sent again, a ticket keeps its place', defines: COPY },
  { name: 'NO_PREFETCH_ORDER', rule: 'PREFETCH: the lock document, then the queue', defines: LEAVE },
  { name: 'NO_RELEASE_MINE', rule: 'HANDOFF, VACATE: where the grant is mine', defines: COPY },
  {
    name: 'NO_RELEASE_MINE_BY_SESSION',
    rule: 'HANDOFF, VACATE: exactly mine, not just my session’s',
    defines: '-DN=2 -DROUNDS=2 -DCOPIES=1',
  },
  { name: 'NO_VACATE_COUNT', rule: 'VACATE: `arrivals` is still k', defines: LEAVE },
  { name: 'NO_VACATE_AGAIN', rule: 'VACATE: refused, the queue is read again', defines: LEAVE },
  { name: 'NO_LEAVE_NOTE', rule: 'LEAVE: the note of the first arrival names nobody', defines: CLOSE },
  { name: 'NO_LEAVE_DELETES', rule: 'LEAVE: deletes the ticket', defines: `${LEAVE} -DFINE -DHOLDS_ON` },
  { name: 'NO_REAP', rule: 'REAP and TAKE OVER', defines: CRASH },
  { name: 'NO_REAP_EXPIRED', rule: 'REAP: only what has expired', defines: CRASH },
  { name: 'NO_REAP_DELETES', rule: 'REAP: deletes the tickets of the dead', defines: LAPSE },
  { name: 'NO_TAKEOVER_STANDS', rule: 'TAKE OVER: where what was read still stands', defines: CRASH },
  { name: 'NO_RESCUE_VACANT', rule: 'RESCUE: where still vacant', defines: BY_HAND },
  {
    name: 'NO_RESCUE_FENCE',
    rule: 'RESCUE: where vacant at that fence',
    defines: '-DN=3 -DLOCK_DELETIONS=1 -DABSOLUTE -DLANES=1',
  },
  { name: 'NO_FENCE_ADVANCE', rule: 'a grant advances `fence`', defines: '-DN=3 -DABSOLUTE' },
  { name: 'NO_CLOCK_TOKEN', rule: 'first token from the cluster time', defines: '-DN=3 -DREMOVALS=1' },

  { name: 'NO_ONE_DOOR', rule: '1: a reply, too, goes through the door', defines: LEAVE },
  { name: 'NO_DROP', rule: '1: what was handled is dropped', defines: LEAVE },
  { name: 'NO_BY_TOKEN', rule: '1: grants are compared by token, never by ticket', defines: COPY },
  { name: 'NO_PASS_ON', rule: '1: a grant to anything else of mine is passed on', defines: LEAVE },
  {
    name: 'NO_AGAIN_AFTER_DROP',
    rule: '1: after a dropped reply a caller not served arrives again',
    defines: '-DN=2 -DROUNDS=2 -DCOPIES=1',
  },
  { name: 'NO_OPEN_BEFORE_SENT', rule: '1: a ticket is open from before it is sent', defines: LEAVE },
  { name: 'NO_DELETED_AGAIN', rule: '2: a ticket sent twice is deleted again later', defines: COPY },
  { name: 'DELETED_WHILE_OPEN', rule: '2: … but not while somebody waits for it', defines: COPY },
  { name: 'NO_CHECK_AT_SETTLE', rule: '3: the deadline is checked where a promise settles', defines: LAPSE },
  { name: 'NO_NEW_ID', rule: '4: after a loss everything starts over under a new id', defines: LAPSE },
  { name: 'NO_ARRIVE_AGAIN', rule: '4: waiting callers arrive again', defines: LAPSE },
  { name: 'NO_REAP_OWN', rule: '4: it reaps its own old session', defines: LAPSE },
  { name: 'NO_AUDIT', rule: '5: the audit tells of grants where nobody waits', defines: LEAVE },
  { name: 'NO_AUDIT_OLDER', rule: '5: only a hold older than the read is lost', defines: `${LEAVE} -DAUDIT` },
  {
    name: 'NO_AUDIT_LOSES',
    rule: '5: a hold that is not in the answer is lost',
    defines: '-DN=3 -DHOLDS_ON -DLOCK_DELETIONS=1 -DLANES=1',
  },
  { name: 'NO_RESCUE', rule: '6: vacant while I wait: RESCUE', defines: BY_HAND },
  {
    name: 'NO_RESCUE_WHOEVER',
    rule: '6: RESCUE grants the head, whoever it is',
    defines: '-DN=3 -DLOCK_DELETIONS=1 -DCOPIES=1 -DLANES=1',
  },
  { name: 'NO_TICKET_GONE', rule: '6: own ticket gone: ARRIVE again', defines: BY_HAND },
  { name: 'NO_REAP', rule: '6: the patrol reaps, or progress ends', defines: '-DN=3 -DCRASHES=1 -DLANES=1', live: 1 },
  { name: 'NO_LOOK_AFTER_TRY', rule: '6: the patrol also for callers that only try', defines: TRIES, live: 0 },
  { name: 'NO_RETRY', rule: '9: sent until acknowledged', defines: LEAVE },
  {
    name: 'REFUSED_HANDOFF_DELIVERS',
    rule: 'a HANDOFF that was refused grants nothing',
    defines: `${BY_HAND} -DSHARED`,
  },

  {
    name: 'NO_DEADLINE_FROM_START',
    rule: '3: the deadline counts from the start of the renewal',
    model: 'lease',
    defines: ELECTION,
  },
  { name: 'NO_DEADLINE_MARGIN', rule: '3: less the margin', model: 'lease', defines: ELECTION },
  { name: 'NO_SUSPEND_COUNTED', rule: '3: on a clock that includes suspend', model: 'lease', defines: '-DSUSPENDS=1' },
  { name: 'NO_LATE_RENEWAL_VOID', rule: '3: a late renewal revives nothing', model: 'lease', defines: ELECTION },
  { name: 'NO_SESSION_FIRST', rule: '4: the session is written before all else', model: 'lease', defines: ELECTION },
  { name: 'NO_REAP_SKEW', rule: 'REAP: `until` + clockSkewMS is past', model: 'lease', defines: ELECTION },
  { name: 'NO_REAP_WAIT', rule: 'REAP: beats unchanged for one lease', model: 'lease', defines: ELECTION },
  { name: 'NO_REAP_BEATS', rule: 'REAP: beats are in the condition of the write', model: 'lease', defines: ELECTION },
  {
    name: 'NO_SIGHT_FROM_ANSWER',
    rule: 'REAP: counted from the arrival of the answer',
    model: 'lease',
    defines: ELECTION,
  },
  { name: 'NO_MAJORITY', rule: 'REAP: only its own majority answer convicts', model: 'lease', defines: ELECTION },
  {
    name: 'NO_REAP_ABSENT_WAIT',
    rule: 'REAP: an absent session one lease later',
    model: 'lease',
    defines: '-DDELETIONS=1',
  },
  { name: 'NO_BEATS', rule: 'REAP: unchanged beats shorten the wait', model: 'lease', defines: '-DBOUND -DSKEW=4' },
];

/**
 * Rules that cost nothing but time or writes when they are switched off: nothing may be found without them, and `why`
 * says what they save. Where one of two is enough, the pair without both must be found as an error (in `caughtWith`).
 * @type {{ name: string, rule: string, model?: 'lease', defines: string, why: string, caughtWith?: string }[]}
 */
export const ECONOMY = [
  {
    name: 'NO_ARRIVE_NOTE_FIRST',
    rule: 'ARRIVE: notes the first mark only',
    defines: COPIES,
    why: 'VACATE is refused more often',
    caughtWith: 'NO_VACATE_NEXT',
  },
  {
    name: 'NO_GRANT_CLEARS',
    rule: 'every grant clears `firstArrival`',
    defines: COPIES,
    why: 'VACATE is refused, or grants a ticket that was served, which is passed on',
  },
  {
    name: 'NO_OWN_NUMBERS',
    rule: 'TRY and ARRIVE have numbers of their own',
    defines: COPIES,
    why: 'a late TRY grants only what is vacant, and is delivered or passed on under either number',
  },
  {
    name: 'NO_VACATE_GRANT',
    rule: 'VACATE: grants the first arrival',
    defines: COPIES,
    why: 'a read and a HANDOFF more',
  },
  {
    name: 'NO_VACATE_NEXT',
    rule: 'VACATE: grants the first arrival only if it is number k+1',
    defines: COPIES,
    why: 'one that is noted and was not in the queue has left: it is granted, and passed on',
  },
  {
    name: 'NO_VACATE_OWN',
    rule: 'VACATE: but not a ticket of this grant',
    defines: COPIES,
    why: 'it is granted to itself, and passed on',
  },
  {
    name: 'NO_PREFETCH_OWN',
    rule: 'PREFETCH: leaves out the own run',
    defines: COPIES,
    why: 'it is granted to itself, and passed on',
  },
  {
    name: 'NO_RELEASE_MINE_BY_TICKET',
    rule: 'HANDOFF, VACATE: exactly mine, not just the same ticket',
    defines: COPIES,
    why: 'a ticket granted twice has nobody waiting the second time: a late release passes it on as its owner would',
  },
  {
    name: 'NO_TAKEOVER_WITHOUT_DEAD',
    rule: 'TAKE OVER: leaves out the dead',
    defines: '-DN=3 -DSHARED -DLAPSES=1 -DLANES=2',
    why: 'another TAKE OVER',
  },
  {
    name: 'NO_BORN',
    rule: '6: lock document made anew: mark again',
    defines: BY_HAND,
    why: 'RESCUE serves whoever waits, but a TRY may come before it again and again: INV-04 after a deletion by hand',
  },
  {
    name: 'MARK_AGAIN_ON_VACANT',
    rule: '6: … but only where it is held',
    defines: '-DN=3 -DLOCK_DELETIONS=1 -DLANES=1',
    why: 'who marks again first is granted before the head: INV-03 after a deletion by hand, which is required only of those that have marked again',
  },
  {
    name: 'NO_PASSED_ON_DELETED',
    rule: '1: the ticket of a grant that is passed on is deleted',
    defines: COPIES,
    why: 'it is found by others, granted and passed on, until it is deleted for having been sent twice',
  },
  {
    name: 'NO_RELEASE_AFTER_ARRIVAL',
    rule: '2: no release while an own arrival is in flight',
    defines: COPIES,
    why: 'the next holder finds the ticket, and grants what was served',
  },
  {
    name: 'NO_PREFETCH_SETTLED',
    rule: '2: PREFETCH leaves out own tickets that are being deleted',
    defines: COPIES,
    why: 'what was served is granted, and passed on',
  },
  {
    name: 'NO_DELETE_AFTER_ARRIVAL',
    rule: '2: … after its arrival was acknowledged',
    defines: COPY,
    why: 'the copy that comes later is deleted for having been sent twice',
  },
  {
    name: 'NO_RENEW_ALIVE',
    rule: 'RENEW: where alive',
    model: 'lease',
    defines: ELECTION,
    why: 'the dead relies on nothing any more; but it would have to be declared dead again',
    caughtWith: 'NO_LATE_RENEWAL_VOID',
  },
  {
    name: 'NO_REAP_UNTIL',
    rule: 'REAP: unchanged beats count only once `until` is past',
    model: 'lease',
    defines: ELECTION,
    why: 'a lease of unchanged beats is enough by itself; the second condition is there for clocks that run at wrong rates',
  },
  {
    name: 'NO_PATROL_TIMER',
    rule: '6: the timer fires when a lease lapses',
    model: 'lease',
    defines: '-DBOUND -DSKEW=4',
    why: 'the bound holds with the interval alone; the timer makes it earlier',
  },
];
