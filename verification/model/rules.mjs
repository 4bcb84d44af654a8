/**
 * Every condition of the writes and every rule of the engine, with what finds it when it is switched off: the model (switches
 * of rules.pml), the simulation (mutants of `test/simulation/mutants.ts`), or nothing, and then what it saves. README.md
 * gets its table from here; `checkRules` sees to it that whatever is named here exists, and that nothing is missing.
 */
import { readFile } from 'node:fs/promises';
import { CAUGHT, ECONOMY } from './runs.mjs';

const MUTANTS = new URL('../../test/simulation/mutants.ts', import.meta.url);

/**
 * @typedef {object} Rule
 * @property {string} rule
 * @property {string[]} [model] switches
 * @property {string[]} [simulation] names of mutants
 * @property {string} [remark] what it saves, where the runs of the model do not say it; or why nothing is switched off
 */

/** @type {Rule[]} */
const STORED = [
  {
    rule: 'the first token comes from the cluster time',
    model: ['NO_CLOCK_TOKEN'],
    simulation: ['first tokens count from one'],
  },
  { rule: 'a grant advances `fence`', model: ['NO_FENCE_ADVANCE'] },
  {
    rule: '… by all its callers: `callers` is frozen at the first send',
    simulation: ['a ticket sent again says how many wait now'],
  },
  { rule: 'TRY and ARRIVE have numbers of their own', model: ['NO_OWN_NUMBERS'] },
  {
    rule: 'every grant clears `firstArrival`',
    model: ['NO_GRANT_CLEARS'],
    simulation: ['a grant leaves the first arrival noted'],
  },
];

/** @type {Rule[]} */
const ARRIVALS = [
  { rule: 'TRY: where vacant', model: ['NO_TRY_VACANT'], simulation: ['TRY grants what is held'] },
  {
    rule: 'TRY: k is `arrivals` at the grant, not at the reply',
    model: ['NO_TRY_K'],
    simulation: ['TRY answered late counts arrivals of after its grant'],
  },
  { rule: 'ARRIVE: the tickets, then the mark', model: ['NO_ARRIVE_ORDER'] },
  { rule: 'ARRIVE: `arrivals` + 1', model: ['NO_ARRIVE_COUNT'], simulation: ['the mark does not count'] },
  {
    rule: 'ARRIVE: notes a first arrival',
    model: ['NO_VACATE_GRANT'],
    simulation: ['the mark notes no first arrival'],
  },
  { rule: 'ARRIVE: … if none is noted', model: ['NO_ARRIVE_NOTE_FIRST'] },
  {
    rule: 'ARRIVE: grants where vacant',
    model: ['NO_ARRIVE_GRANT'],
    simulation: ['the mark does not take a vacant lock'],
  },
  {
    rule: 'ARRIVE: sent again, a ticket keeps its place',
    model: ['NO_PLACE_KEPT'],
    simulation: ['ARRIVE sent again takes a new place'],
  },
  {
    rule: 'ARRIVE: one in flight per process and key',
    remark:
      'a command: who comes meanwhile shares the next; calls whose arrivals overlap have no order that was promised',
  },
  {
    rule: 'TRY, ARRIVE: a `maxTimeMS` far below the age at which idle documents are removed',
    remark:
      'late writes: in the model a copy of any age may meet a document that was removed and made anew, and nothing breaks',
  },
  { rule: 'LEAVE: the note of the first arrival names nobody', model: ['NO_LEAVE_NOTE'] },
  { rule: 'LEAVE: the ticket is deleted', model: ['NO_LEAVE_DELETES'] },
];

/** @type {Rule[]} */
const RELEASES = [
  {
    rule: 'PREFETCH: the lock document, then the queue',
    model: ['NO_PREFETCH_ORDER'],
    simulation: ['PREFETCH reads the queue first'],
  },
  {
    rule: 'PREFETCH: without the own run',
    model: ['NO_PREFETCH_OWN'],
    simulation: ['PREFETCH finds the own ticket'],
  },
  {
    rule: 'PREFETCH: a full page is never "empty"',
    remark: 'nothing to switch off: whatever is on the page is the successor, and only an empty page is an empty queue',
  },
  {
    rule: 'PREFETCH: again when older than a lease',
    simulation: ['PREFETCH is never too old'],
    remark: 'a grant to one who has gone meanwhile, passed on; the model never reads again, and nothing breaks',
  },
  {
    rule: 'PREFETCH: none after a TRY that granted',
    remark: 'a read: vacant meant empty at its k',
  },
  {
    rule: 'HANDOFF, VACATE: where the grant is mine',
    model: ['NO_RELEASE_MINE'],
    simulation: ['HANDOFF of any grant', 'VACATE of any grant'],
  },
  { rule: '… exactly mine, not just my session’s', model: ['NO_RELEASE_MINE_BY_SESSION'] },
  { rule: '… not just the same ticket’s', model: ['NO_RELEASE_MINE_BY_TICKET'] },
  {
    rule: 'HANDOFF: refused, it grants nothing',
    model: ['REFUSED_HANDOFF_DELIVERS'],
    simulation: ['a refused HANDOFF delivers'],
  },
  { rule: 'VACATE: `arrivals` is still k', model: ['NO_VACATE_COUNT'], simulation: ['VACATE whoever has arrived'] },
  { rule: 'VACATE: grants the first arrival', model: ['NO_VACATE_GRANT'] },
  {
    rule: 'VACATE: … if it is number k + 1',
    model: ['NO_VACATE_NEXT'],
    simulation: ['VACATE grants a first arrival of any number'],
  },
  {
    rule: 'VACATE: … and not a ticket of this grant',
    model: ['NO_VACATE_OWN'],
    simulation: ['VACATE grants its own ticket'],
  },
  {
    rule: 'VACATE: refused, the queue is read again',
    model: ['NO_VACATE_AGAIN'],
    simulation: ['VACATE refused is taken for done'],
  },
];

/** @type {Rule[]} */
const DEATHS = [
  { rule: 'RENEW: where alive', model: ['NO_RENEW_ALIVE'], simulation: ['RENEW of a dead session'] },
  {
    rule: 'a session that is dead is not opened',
    simulation: ['a session that is dead can be opened'],
    remark: 'only a late copy of its first write could, and nobody uses that id any more',
  },
  { rule: 'REAP: only what has expired', model: ['NO_REAP_EXPIRED'], simulation: ['REAP of any session'] },
  {
    rule: 'REAP: `until` + `clockSkewMS` is past',
    model: ['NO_REAP_SKEW'],
    simulation: ['REAP without the clock skew'],
  },
  {
    rule: 'REAP: or beats unchanged for one lease of that session',
    model: ['NO_REAP_WAIT', 'NO_BEATS'],
    simulation: ['REAP of beats that did not stand still for a lease'],
  },
  { rule: '… counted from the arrival of the answer', model: ['NO_SIGHT_FROM_ANSWER'] },
  { rule: '… with `until` past', model: ['NO_REAP_UNTIL'], simulation: ['REAP without its own look at the lease'] },
  {
    rule: '… with `beats` in the condition of the write',
    model: ['NO_REAP_BEATS'],
    simulation: ['REAP of beats that have moved on'],
  },
  { rule: 'REAP: only its own majority answer convicts', model: ['NO_MAJORITY'] },
  {
    rule: 'REAP: an absent session one lease later',
    model: ['NO_REAP_ABSENT_WAIT'],
    simulation: ['REAP of an absent session at once'],
  },
  {
    rule: 'REAP: then its tickets are deleted',
    model: ['NO_REAP_DELETES'],
    simulation: ['the dead keep their tickets'],
  },
  { rule: 'TAKE OVER', model: ['NO_REAP'], simulation: ['the dead keep their locks'] },
  {
    rule: 'TAKE OVER: where what was read still stands',
    model: ['NO_TAKEOVER_STANDS'],
    simulation: ['HANDOFF of any grant'],
  },
  {
    rule: 'TAKE OVER: without the dead session',
    model: ['NO_TAKEOVER_WITHOUT_DEAD'],
    simulation: ['VACATE by the reaper grants the dead'],
  },
  {
    rule: 'RESCUE: where still vacant',
    model: ['NO_RESCUE_VACANT'],
    simulation: ['RESCUE of any lock', 'RESCUE of a lock that is held, at the exact fence'],
  },
  {
    rule: 'RESCUE: at that fence',
    model: ['NO_RESCUE_FENCE'],
    simulation: ['RESCUE of a vacant lock at any fence'],
  },
];

/** @type {Rule[]} */
const ENGINE = [
  { rule: '1. a reply, too, goes through the door', model: ['NO_ONE_DOOR'] },
  { rule: '1. what was handled is dropped', model: ['NO_DROP'], simulation: ['the door serves what it has served'] },
  {
    rule: '1. by token, never by ticket',
    model: ['NO_BY_TOKEN'],
    simulation: ['the door knows grants by their tickets'],
  },
  { rule: '1. a ticket is open from before TRY is sent', model: ['NO_OPEN_BEFORE_SENT'] },
  {
    rule: '1. a grant to anything else of mine is passed on',
    model: ['NO_PASS_ON'],
    simulation: ['a grant that nobody awaits is dropped'],
  },
  {
    rule: '1. … its ticket deleted first',
    model: ['NO_PASSED_ON_DELETED'],
    simulation: ['a grant that nobody awaits is passed on with its ticket there'],
  },
  {
    rule: '1. after a dropped reply a caller not served arrives again',
    model: ['NO_AGAIN_AFTER_DROP'],
    simulation: ['whoever was not served never arrives again'],
  },
  {
    rule: '2. no release while an own arrival is in flight',
    model: ['NO_RELEASE_AFTER_ARRIVAL'],
    simulation: ['a release does not wait for an arrival in flight'],
  },
  {
    rule: '2. a PREFETCH leaves out own tickets that are being deleted',
    model: ['NO_PREFETCH_SETTLED'],
    simulation: ['a PREFETCH finds own tickets that are being deleted'],
  },
  { rule: '2. … after its arrival was acknowledged', model: ['NO_DELETE_AFTER_ARRIVAL'] },
  {
    rule: '2. a ticket sent twice is deleted again a lease later',
    model: ['NO_DELETED_AGAIN'],
    simulation: ['no second deletion of a ticket sent twice'],
  },
  {
    rule: '2. … but not while somebody waits for it',
    model: ['DELETED_WHILE_OPEN'],
    simulation: ['a ticket sent again is deleted a lease after it arrived, though its caller waits'],
  },
  { rule: '3. there is a local deadline', model: ['NO_CHECK_AT_SETTLE'], simulation: ['no local deadline'] },
  {
    rule: '3. from the start of the renewal',
    model: ['NO_DEADLINE_FROM_START'],
    simulation: ['the deadline counts from the answer'],
  },
  { rule: '3. less a margin', model: ['NO_DEADLINE_MARGIN'], simulation: ['the deadline has no margin'] },
  { rule: '3. on a clock that includes suspend', model: ['NO_SUSPEND_COUNTED'] },
  {
    rule: '3. checked where a promise settles',
    model: ['NO_CHECK_AT_SETTLE'],
    simulation: ['the deadline is not looked at where a grant is served'],
  },
  {
    rule: '3. a late renewal revives nothing',
    model: ['NO_LATE_RENEWAL_VOID'],
    simulation: ['a late renewal revives'],
  },
  { rule: '4. the session is written before all else', model: ['NO_SESSION_FIRST'] },
  { rule: '4. after a loss everything starts over under a new id', model: ['NO_NEW_ID'] },
  {
    rule: '4. waiting callers arrive again',
    model: ['NO_ARRIVE_AGAIN'],
    simulation: ['who waited under a lost session does not start over'],
  },
  {
    rule: '4. it reaps its own old session',
    model: ['NO_REAP_OWN'],
    simulation: [
      'a lost session is not passed on by its own process',
      'a lost session is buried for no longer than a lease',
    ],
  },
  { rule: '5. the audit delivers', model: ['NO_AUDIT'], simulation: ['the audit delivers nothing'] },
  {
    rule: '5. only a hold older than the read is lost',
    model: ['NO_AUDIT_OLDER'],
    simulation: ['the audit judges holds newer than itself'],
  },
  {
    rule: '5. a hold that is not in the answer is lost',
    model: ['NO_AUDIT_LOSES'],
    simulation: ['the audit loses nothing'],
  },
  { rule: '5, 8. it comes after a LEAVE, and before a session ends', simulation: ['no audit after leaving'] },
  {
    rule: '6. the patrol',
    model: ['NO_REAP', 'NO_RESCUE'],
    simulation: ['no patrol', 'the patrol delivers nothing', 'the patrol reaps nobody'],
  },
  {
    rule: '6. it reaps whoever is absent, and whose beats stand still',
    model: ['NO_BEATS'],
    simulation: ['the patrol does not reap the absent', 'the patrol ignores beats that stand still'],
  },
  { rule: '6. also for callers that only try', model: ['NO_LOOK_AFTER_TRY'] },
  { rule: '6. vacant while I wait: RESCUE the head', model: ['NO_RESCUE'], simulation: ['the patrol rescues nobody'] },
  { rule: '6. … whoever it is', model: ['NO_RESCUE_WHOEVER'] },
  {
    rule: '6. own ticket gone: arrive again',
    model: ['NO_TICKET_GONE'],
    simulation: ['whoever was not served never arrives again'],
  },
  {
    rule: '6. lock document made anew: mark again',
    model: ['NO_BORN'],
    simulation: ['no mark again on a lock document made anew'],
  },
  { rule: '6. … but only where it is held', model: ['MARK_AGAIN_ON_VACANT'] },
  {
    rule: '6. the timer fires when a lease lapses',
    model: ['NO_PATROL_TIMER'],
    simulation: ['no early patrol when a lease is about to lapse'],
  },
  {
    rule: '6. at once when TRY answers "held"',
    remark: 'up to one patrol, which the bound of INV-05 has room for; in the model a patrol may come at any time',
  },
  {
    rule: '6. the dead among the first tickets are reaped while the lock is held, all in one round',
    simulation: ['the patrol watches the holder only', 'the patrol judges one session at a time'],
  },
  {
    rule: '6. it goes round again after a burial',
    simulation: ['one round of the patrol'],
    remark: 'the wait for the next patrol',
  },
  {
    rule: '6. it leaves out who has not expired',
    simulation: ['the patrol asks for everybody'],
    remark: 'commands that the server refuses',
  },
  { rule: '7. the stream', simulation: ['no stream'] },
  {
    rule: '7, 8. stream, heartbeat and session end when they are not needed',
    remark: 'the work of the server for idle clients',
  },
  {
    rule: '7. a patrol after every opening',
    simulation: ['no patrol when the stream is open again'],
    remark: 'up to one patrol, which the bound of INV-05 has room for',
  },
  { rule: '9. sent until acknowledged', model: ['NO_RETRY'], simulation: ['a deletion that failed is not sent again'] },
];

/**
 * The forced release is not in the model.
 * @type {Rule[]}
 */
const FORCED = [
  { rule: 'FORCE: of the run that was named', simulation: ['FORCE of any run'] },
  {
    rule: 'FORCE: its tickets are deleted first',
    simulation: [
      'FORCE leaves the tickets of the run that it ends',
      'FORCE passes the lock back to the run that it ends',
    ],
  },
  {
    rule: 'FORCE: where what was read still stands',
    simulation: ['FORCE does not look whether the run stands still'],
    remark: 'a command that is refused; HANDOFF and VACATE look for themselves',
  },
  {
    rule: 'FORCE: with its note in the same write',
    simulation: ['a HANDOFF by force leaves no note', 'a VACATE by force leaves no note'],
  },
  {
    rule: 'FORCE: a lost answer is looked up, until that is answered',
    simulation: [
      'FORCE whose answer was lost is not looked up',
      'FORCE whose answer was lost is taken for done',
      'FORCE of what has ended is taken for done',
      'FORCE waits for an answer that was lost',
      'FORCE says that no primary was found after a write that it knows nothing of',
    ],
  },
  {
    rule: 'FORCE: the holder is told by its stream, or by its own process, who has ended it',
    simulation: [
      'the stream tells of no forced release',
      'whoever ends a run of its own process by force goes on with it',
      'who has ended a hold by force is not said',
      'the audit does not ask who has ended a hold',
    ],
    remark: 'where the stream did not tell, the loss does not say who',
  },
  { rule: 'FORCE: a note ends the run that it names', simulation: ['a note ends whatever is held'] },
  {
    rule: 'FORCE: the other callers of the run wait again',
    simulation: ['who was in a run that was ended by force does not wait again'],
  },
  {
    rule: 'FORCE: what is known to be ended is not served',
    simulation: [
      'a grant that comes after the note of its end is served',
      'a grant that comes after the patrol has read of its end is served',
    ],
  },
  {
    rule: 'FORCE: what follows and is our own goes through the door',
    simulation: ['what follows a forced release and is ours is not received'],
    remark: 'the stream or the patrol tells it: up to one patrol, which the bound of INV-05 has room for',
  },
];

export const RULES = [...STORED, ...ARRIVALS, ...RELEASES, ...DEATHS, ...ENGINE, ...FORCED];

/** The mutants with which the simulation breaks nothing either. */
export async function simulatedEconomies() {
  const [, economies = ''] = (await readFile(MUTANTS, 'utf8')).split('export const ECONOMIES');
  return new Set(
    RULES.flatMap(({ simulation = [] }) => simulation).filter((name) => economies.includes(`name: '${name}'`)),
  );
}

/** Rejects where the table speaks of what does not exist, or is silent about a switch. */
export async function checkRules() {
  const mutants = await readFile(MUTANTS, 'utf8');
  const switches = new Set([...CAUGHT, ...ECONOMY].map(({ name }) => name));
  const named = RULES.flatMap(({ model = [] }) => model);
  const wrong = [
    ...named.filter((name) => !switches.has(name)),
    ...[...switches].filter((name) => !named.includes(name)),
    ...RULES.flatMap(({ simulation = [] }) => simulation).filter((name) => !mutants.includes(`name: '${name}'`)),
    ...RULES.filter(({ model, simulation, remark }) => !model && !simulation && !remark).map(({ rule }) => rule),
  ];
  if (wrong.length > 0) throw new Error(`rules.mjs is not complete, or names what is not there: ${wrong.join('; ')}`);
}
