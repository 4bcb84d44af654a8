/**
 * What the simulation must find: the protocol with one condition of its commands switched off, or the engine with one
 * rule taken out. Each names what it breaks. `ECONOMIES` are those that break nothing that is promised: what they take
 * away saves time, or commands, or guards against what the protocol excludes elsewhere.
 */
import type { InvariantId } from '#core/protocol/invariants.js';
import type { Condition } from './commands.js';
import type { Patch } from './engine-copy.js';
import {
  arrivesDuringPrefetch,
  deadHeads,
  deletedBeforeHandoff,
  heardTooLate,
  keepers,
  lateArrivals,
  recreated,
  renewedDuringStop,
  restored,
} from './handmade.js';
import { makeScenario, type Scenario, type Trouble } from './scenario.js';

export interface Mutant {
  readonly name: string;
  /** The condition of section 4 or the rule of section 5 of the design that it takes away. */
  readonly rule: string;
  readonly off?: readonly Condition[];
  readonly patches?: readonly Patch[];
  /** Where it shows soonest. */
  readonly troubles: readonly Trouble[];
  /** Made by hand, where chance would take too long. */
  readonly scenario?: (seed: number) => Scenario;
  /** What some seed then breaks, one of these. */
  readonly breaks: readonly (InvariantId | 'history')[];
}

/** One that nothing promised depends on, and why it is there. */
export interface Economy extends Omit<Mutant, 'breaks'> {
  readonly reason: string;
}

const QUEUE = 'engine/resource-queue.ts';
const SESSION = 'engine/session.ts';
const ENGINE = 'engine/engine.ts';
const PATROL = 'engine/patrol.ts';
const REAPER = 'engine/reaper.ts';
const DELETER = 'engine/ticket-deleter.ts';
const FORCER = 'engine/forcer.ts';
const HOLD = 'engine/hold.ts';
const LEASE = 'protocol/lease.ts';
const TRANSITIONS = 'protocol/transitions.ts';
const TRACE = 'protocol/trace.ts';

function patch(file: string, find: string, replace: string): Patch {
  return { file, find, replace };
}

/** The patrol asks for everybody's death all the time: only the server's conditions are left. */
function reapAlways(verdict: string): Patch {
  const lapsed = 'const lapsedInMS = session.remainingMS;';
  return patch(LEASE, lapsed, `if (session.state === 'alive') return ${verdict};\n  ${lapsed}`);
}

const ASK_BY_LEASE: Patch = reapAlways("{ kind: 'reap' }");
const ASK_BY_BEATS: Patch = reapAlways("{ kind: 'reap', unchangedBeats: session.beats }");

/** Section 4: the conditions of the commands. */
const CONDITIONS: readonly Mutant[] = [
  {
    name: 'TRY grants what is held',
    rule: '4 TRY',
    off: ['try-only-vacant'],
    troubles: [],
    breaks: ['INV-01', 'INV-06'],
  },
  {
    name: 'TRY answered late counts arrivals of after its grant',
    rule: '4 TRY',
    patches: [
      patch(
        TRANSITIONS,
        'return first === null ? lock.arrivals : first - 1;',
        'return first === null ? lock.arrivals : lock.arrivals;',
      ),
    ],
    troubles: ['lossy'],
    breaks: ['INV-04'],
  },
  {
    name: 'ARRIVE sent again takes a new place',
    rule: '4 ARRIVE',
    off: ['ticket-keeps-its-place'],
    troubles: ['lossy', 'copies'],
    breaks: ['INV-03'],
  },
  {
    name: 'the mark does not take a vacant lock',
    rule: '4 ARRIVE',
    off: ['mark-grants-vacant'],
    troubles: [],
    breaks: ['INV-04', 'INV-05'],
  },
  { name: 'the mark does not count', rule: '4 ARRIVE', off: ['mark-counts'], troubles: [], breaks: ['INV-04'] },
  {
    name: 'the mark notes no first arrival',
    rule: '4 ARRIVE',
    off: ['mark-notes-first'],
    troubles: ['lossy'],
    breaks: ['INV-04'],
  },
  {
    name: 'PREFETCH reads the queue first',
    rule: '4 PREFETCH',
    off: ['prefetch-lock-first'],
    troubles: [],
    scenario: arrivesDuringPrefetch,
    breaks: ['INV-04'],
  },
  {
    name: 'HANDOFF of any grant',
    rule: '4 HANDOFF',
    off: ['handoff-exact-grant'],
    troubles: ['lossy', 'stops'],
    breaks: ['INV-01', 'INV-02', 'INV-06'],
  },
  {
    name: 'VACATE of any grant',
    rule: '4 VACATE',
    off: ['vacate-exact-grant'],
    troubles: ['lossy', 'copies'],
    breaks: ['INV-06'],
  },
  { name: 'VACATE whoever has arrived', rule: '4 VACATE', off: ['vacate-arrivals'], troubles: [], breaks: ['INV-04'] },
  {
    name: 'VACATE refused is taken for done',
    rule: '4 VACATE',
    patches: [patch(TRANSITIONS, "? { kind: 'refused' }", "? { kind: 'vacated' }")],
    troubles: ['leaves'],
    breaks: ['INV-05', 'INV-08', 'INV-09'],
  },
  {
    name: 'RESCUE of any lock',
    rule: '4 RESCUE',
    off: ['rescue-only-vacant', 'rescue-exact-fence'],
    troubles: ['lossy', 'copies', 'kills'],
    breaks: ['INV-01', 'INV-02', 'INV-03', 'INV-06'],
  },
  {
    // Nobody relies on it: the local deadline has passed. But it is alive in the database again, with nobody to end it.
    name: 'RENEW of a dead session',
    rule: '4 RENEW',
    off: ['renew-only-alive'],
    troubles: ['stops', 'holds', 'slow'],
    breaks: ['INV-08'],
  },
  {
    name: 'REAP without the clock skew',
    rule: '4 REAP',
    off: ['reap-skew'],
    patches: [ASK_BY_LEASE],
    troubles: ['clocks', 'holds'],
    breaks: ['INV-01', 'INV-06'],
  },
  {
    name: 'REAP of any session',
    rule: '4 REAP',
    off: ['reap-until'],
    patches: [ASK_BY_LEASE],
    troubles: ['clocks', 'holds'],
    breaks: ['INV-01', 'INV-06'],
  },
  {
    name: 'REAP of beats that did not stand still for a lease',
    rule: '4 REAP',
    patches: [ASK_BY_BEATS],
    troubles: ['clocks', 'holds'],
    breaks: ['INV-01', 'INV-06'],
  },
  {
    name: 'REAP of an absent session at once',
    rule: '4 REAP',
    off: ['reap-absent-waits'],
    troubles: ['operator', 'holds'],
    breaks: ['INV-01', 'INV-03', 'INV-06'],
  },
  {
    name: 'first tokens count from one',
    rule: '3',
    off: ['first-token-from-cluster-time'],
    troubles: ['idle'],
    breaks: ['INV-02'],
  },
  {
    name: 'a ticket sent again says how many wait now',
    rule: '3 callers are frozen',
    patches: [
      patch(
        'engine/ticket.ts',
        'callers: this.waiters.length',
        "callers: Math.max(1, this.waiters.filter(({ phase }) => phase === 'waiting').length)",
      ),
    ],
    troubles: ['lossy', 'leaves'],
    breaks: ['INV-02', 'INV-09'],
  },
];

/** Section 5: the rules of the engine. */
const RULES: readonly Mutant[] = [
  {
    name: 'the door serves what it has served',
    rule: '5.1',
    patches: [
      patch(QUEUE, 'if (grant.firstToken <= this.handledToken && !this.#standsUnserved(readOrder)) return;', ''),
    ],
    troubles: [],
    breaks: ['history', 'INV-01', 'INV-06', 'INV-09'],
  },
  {
    name: 'the door knows grants by their tickets',
    rule: '5.1',
    patches: [
      patch(
        QUEUE,
        'if (grant.firstToken <= this.handledToken && !this.#standsUnserved(readOrder)) return;',
        `if (grant.firstToken <= this.handledToken && !this.#standsUnserved(readOrder)) return;
    const seen = ((this as any).seen ??= new Set());
    const tickets = grant.tickets.map(({ n }) => n).join();
    if (seen.has(tickets)) return;
    seen.add(tickets);`,
      ),
    ],
    troubles: ['copies', 'lossy'],
    breaks: ['INV-05', 'INV-08'],
  },
  {
    name: 'a grant that nobody awaits is dropped',
    rule: '5.1',
    patches: [
      patch(
        QUEUE,
        'this.#replaceRun();\n    const run',
        'if (!grant.tickets.some(({ n }) => this.#tickets.get(n)?.open)) return;\n    this.#replaceRun();\n    const run',
      ),
    ],
    troubles: ['leaves'],
    breaks: ['INV-05', 'INV-08'],
  },
  {
    name: 'a grant that nobody awaits is passed on with its ticket there',
    rule: '5.1',
    patches: [
      patch(QUEUE, 'this.#run = run;\n    if (served.length > 0) this.#delete(session, served);', 'this.#run = run;'),
    ],
    troubles: ['lossy', 'copies'],
    breaks: ['INV-05', 'INV-08', 'INV-11'],
  },
  {
    name: 'a grant that was handled and stands is not given back',
    rule: '5.1',
    patches: [patch(QUEUE, 'return this.#run === null && readOrder > this.#endedOrder && !isKept;', 'return false;')],
    troubles: [],
    scenario: restored,
    breaks: ['INV-05', 'INV-08'],
  },
  {
    name: 'reads are answered from before what a stream has delivered',
    rule: '5.5',
    off: ['event-moves-reads-on'],
    troubles: ['lag', 'holds'],
    breaks: ['history'],
  },
  {
    name: 'reads are answered from before what replies have told',
    rule: '5.5',
    off: ['read-after-what-was-told'],
    troubles: ['lag', 'holds'],
    breaks: ['history', 'INV-08'],
  },
  {
    name: 'a forced release is denied by a read that is not confirmed',
    rule: '4 FORCE',
    patches: [patch(FORCER, 'limit: 1, linearizable: true } as const', 'limit: 1 } as const')],
    troubles: ['lag', 'force'],
    breaks: ['INV-09'],
  },
  {
    name: 'whoever was not served never arrives again',
    rule: '5.1, 5.6',
    patches: [patch(QUEUE, 'for (const ticket of gone) this.#arriveAnew(ticket);', '')],
    troubles: ['operator', 'copies', 'lossy'],
    breaks: ['INV-05'],
  },
  {
    name: 'own tickets that no caller waits in are not looked for',
    rule: '5.5',
    patches: [patch(ENGINE, 'if (session.resentAt !== null) await this.#deleteStrays(session);', '')],
    troubles: [],
    scenario: lateArrivals,
    breaks: ['INV-08'],
  },
  {
    name: 'the dead keep their tickets',
    rule: '5.2',
    patches: [
      patch(
        REAPER,
        'await untilAcknowledged(this.#host.attempts, lifetime, () => store.deleteTicketsOf({ session }));',
        '',
      ),
    ],
    troubles: ['kills'],
    breaks: ['INV-05', 'INV-08'],
  },
  {
    name: 'the dead keep their locks',
    rule: '4 TAKE OVER',
    patches: [patch(REAPER, 'await this.#takeOver(session, key, grant, lifetime);', ';')],
    troubles: ['kills'],
    breaks: ['INV-05', 'INV-08'],
  },
  {
    name: 'no local deadline',
    rule: '5.3',
    patches: [patch(LEASE, 'return renewalStartedAt + leaseMS - marginMS;', 'return Infinity;')],
    troubles: ['cut-off'],
    breaks: ['INV-01', 'INV-02', 'INV-06'],
  },
  {
    name: 'the deadline counts from the answer',
    rule: '5.3',
    patches: [
      patch(
        SESSION,
        'this.#extend(startedAt);\n    const nowMS',
        'this.#extend(this.#clock.nowMS());\n    const nowMS',
      ),
    ],
    troubles: ['cut-off'],
    breaks: ['INV-01', 'INV-06'],
  },
  {
    name: 'the deadline has no margin',
    rule: '5.3',
    patches: [patch(LEASE, 'return renewalStartedAt + leaseMS - marginMS;', 'return renewalStartedAt + leaseMS;')],
    troubles: ['cut-off', 'drift'],
    breaks: ['INV-01', 'INV-06'],
  },
  {
    name: 'the deadline is not looked at where a grant is served',
    rule: '5.3',
    patches: [patch(QUEUE, '|| !session.check()) return;', ') return;')],
    troubles: ['stops'],
    breaks: ['INV-06'],
  },
  {
    name: 'a late renewal revives',
    rule: '5.3',
    patches: [patch(SESSION, 'if (!this.check()) return;\n    if (answer', 'if (answer')],
    troubles: [],
    scenario: renewedDuringStop,
    breaks: ['INV-06'],
  },
  {
    name: 'who waited under a lost session does not start over',
    rule: '5.4',
    patches: [patch(QUEUE, 'this.#waitAgain([...waiting]);', '')],
    troubles: ['stops'],
    breaks: ['INV-05'],
  },
  {
    name: 'a lost session is not passed on by its own process',
    rule: '5.4',
    patches: [
      patch(
        ENGINE,
        "void this.#buryOwn(session, this.#settings.options.releaseLostLocks === 'on-unlock' ? lost : []);",
        '',
      ),
    ],
    troubles: ['holds', 'stops', 'outages'],
    breaks: ['INV-05', 'INV-08'],
  },
  {
    name: 'the audit delivers nothing',
    rule: '5.5',
    patches: [patch(ENGINE, 'for (const [key, grant] of grants) this.#receive(key, grant, { readOrder });', '')],
    troubles: ['feed', 'leaves'],
    breaks: ['INV-05', 'INV-08'],
  },
  {
    name: 'the audit judges holds newer than itself',
    rule: '5.5',
    patches: [patch(ENGINE, ' && run.order < readOrder;', ';')],
    troubles: ['slow'],
    breaks: ['history'],
  },
  {
    name: 'the audit loses nothing',
    rule: '5.5',
    patches: [patch(ENGINE, 'return judged && grants', 'return false && grants')],
    troubles: ['operator', 'holds'],
    breaks: ['INV-06'],
  },
  {
    name: 'no patrol',
    rule: '5.6',
    patches: [patch(PATROL, 'if (this.#running || this.#stopped) return;', 'return;')],
    troubles: ['feed', 'kills'],
    breaks: ['INV-05'],
  },
  {
    name: 'the patrol delivers nothing',
    rule: '5.6',
    patches: [
      patch(
        QUEUE,
        'if (seen?.lock.grant) this.#noteGrant(seen.lock.grant, { trace: seen.lock.trace, readOrder });',
        '',
      ),
    ],
    troubles: ['feed'],
    breaks: ['INV-05'],
  },
  {
    name: 'the patrol reaps nobody',
    rule: '5.6',
    patches: [
      patch(PATROL, 'const { unchangedBeats } = verdict;', 'return 1_000;\n    const { unchangedBeats } = verdict;'),
    ],
    troubles: ['kills'],
    breaks: ['INV-05'],
  },
  {
    name: 'the patrol does not reap the absent',
    rule: '5.6',
    patches: [
      patch(
        PATROL,
        'if (state === undefined) {',
        'if (state === undefined) return this.#host.patrolIntervalMS;\n    if (state === undefined) {',
      ),
    ],
    troubles: ['operator', 'kills', 'holds'],
    breaks: ['INV-05'],
  },
  {
    name: 'the patrol ignores beats that stand still',
    rule: '5.6',
    patches: [patch(LEASE, 'if (lapsedInMS < 0 && stoodStillInMS <= 0)', 'if (false)')],
    troubles: ['kills'],
    breaks: ['INV-05'],
  },
  {
    name: 'the patrol rescues nobody',
    rule: '5.6 A5',
    patches: [patch(PATROL, 'await this.#reaper.rescue(queue.key, session);', ';')],
    troubles: ['operator'],
    breaks: ['INV-04', 'INV-05'],
  },
  {
    name: 'no mark again on a lock document made anew',
    rule: '5.6',
    patches: [patch(QUEUE, 'this.#unmarked.add(ticket);', '')],
    troubles: [],
    scenario: recreated,
    breaks: ['INV-03', 'INV-04'],
  },
  {
    name: 'no stream',
    rule: '5.7',
    patches: [
      patch(ENGINE, 'onFact: ({ key, grant, trace }) => this.#receive(key, grant, { trace }),', 'onFact: () => {},'),
    ],
    troubles: [],
    breaks: ['INV-05'],
  },
  {
    name: 'no audit after leaving',
    rule: '5.5, 5.8',
    patches: [
      patch(QUEUE, 'this.#host.auditSoon();\n    }', '}'),
      patch(ENGINE, 'await this.#audit();\n      if (this.#idle', 'if (this.#idle'),
    ],
    troubles: ['feed', 'leaves'],
    breaks: ['INV-05', 'INV-08'],
  },
  {
    name: 'a deletion that failed is not sent again',
    rule: '5.9',
    patches: [patch(DELETER, 'session, send, () => false);', 'session, send, () => true);')],
    troubles: ['lossy', 'leaves'],
    breaks: ['INV-08', 'INV-05'],
  },
  {
    name: 'a trace is taken for that of the hold before, whatever its token',
    rule: 'the trace of a release',
    patches: [patch(TRACE, 'note !== null && note.fencingToken === firstToken - 1 ?', 'note !== null ?')],
    troubles: ['holds'],
    breaks: ['history'],
  },
  {
    name: 'every hold of a run is told of the hold before the run',
    rule: 'the trace of a release',
    patches: [patch('engine/run.ts', 'this.#previousTraceparent = null;', '')],
    troubles: ['holds'],
    breaks: ['history'],
  },
];

/** Clients that pass on lost locks when they are unlocked. */
const KEPT: readonly Mutant[] = [
  {
    name: 'what a session has lost is passed on at once',
    rule: 'releaseLostLocks',
    patches: [patch(ENGINE, "this.#settings.options.releaseLostLocks === 'on-unlock' ? lost : []", '[]')],
    troubles: [],
    scenario: (seed) => keepers(seed, ['outages', 'holds']),
    breaks: ['history'],
  },
  {
    name: 'what is lost is passed on with what nobody holds',
    rule: 'releaseLostLocks',
    patches: [patch(REAPER, 'named.filter(({ key }) => !kept.has(key))', 'named')],
    troubles: [],
    scenario: (seed) => keepers(seed, ['outages', 'holds']),
    breaks: ['history'],
  },
  {
    name: 'what is lost is passed on when the first of its session is unlocked',
    rule: 'releaseLostLocks',
    patches: [patch(ENGINE, 'void Promise.all(kept', 'void Promise.race(kept')],
    troubles: [],
    scenario: (seed) => keepers(seed, ['outages', 'holds']),
    breaks: ['history'],
  },
  {
    name: 'a client that closes passes on what its holders have not unlocked',
    rule: 'releaseLostLocks',
    patches: [patch(QUEUE, 'void this.#finishUnlocked(run, hold);', 'this.#finish(run);')],
    troubles: [],
    scenario: (seed) => keepers(seed, ['closes', 'holds']),
    breaks: ['history'],
  },
  {
    name: 'what is lost is never passed on, unlocked or not',
    rule: 'releaseLostLocks',
    patches: [
      patch(ENGINE, 'void Promise.all(kept.map((hold) => hold.untilUnlocked())).then(() => holders.end());', ''),
      patch(
        ENGINE,
        'await pause(this.#attempts, holders, leaseDurationMS + clockSkewMS);',
        'await pause(this.#attempts, holders, Infinity);',
      ),
    ],
    troubles: [],
    scenario: (seed) => keepers(seed, ['outages', 'holds']),
    breaks: ['INV-08', 'INV-11'],
  },
  {
    name: 'a client that closes never passes on what is unlocked then',
    rule: 'releaseLostLocks',
    patches: [patch(QUEUE, 'await hold.untilUnlocked();\n    if (this.#run !== run) return;', 'return;')],
    troubles: [],
    scenario: (seed) => keepers(seed, ['closes', 'holds']),
    breaks: ['INV-05', 'INV-08'],
  },
];

/** Where to begin to look for what happens once in hundreds of seeds. */
const RARE_FROM = 250;

/** FORCE, and what becomes of the run that it ends. */
const FORCED: readonly Mutant[] = [
  {
    name: 'a HANDOFF by force leaves no note',
    rule: '4 FORCE',
    off: ['handoff-notes-force'],
    troubles: ['force'],
    breaks: ['INV-06', 'INV-09'],
  },
  {
    name: 'a VACATE by force leaves no note',
    rule: '4 FORCE',
    off: ['vacate-notes-force'],
    troubles: ['force'],
    breaks: ['INV-06', 'INV-09'],
  },
  {
    name: 'FORCE of any run',
    rule: '4 FORCE',
    patches: [patch(FORCER, 'if (fencingToken < firstToken || fencingToken > lastToken(grant)) return null;', '')],
    troubles: ['force'],
    breaks: ['history', 'INV-09'],
  },
  {
    name: 'FORCE passes the lock back to the run that it ends',
    rule: '4 FORCE',
    patches: [
      patch(FORCER, 'await this.#send(release, () => store.deleteTickets({ ids: own }));', ''),
      patch(FORCER, 'this.#read(key, own)', 'this.#read(key, [])'),
    ],
    troubles: ['force', 'slow', 'feed'],
    breaks: ['history'],
  },
  {
    name: 'FORCE leaves the tickets of the run that it ends',
    rule: '4 FORCE',
    patches: [patch(FORCER, 'await this.#send(release, () => store.deleteTickets({ ids: own }));', '')],
    troubles: ['force', 'slow', 'feed'],
    breaks: ['history'],
  },
  {
    name: 'FORCE whose answer was lost is not looked up',
    rule: '4 FORCE',
    patches: [
      patch(FORCER, 'if (lock === null || note === null || lock.forced !== note) return false;', 'return false;'),
    ],
    troubles: ['force', 'lossy'],
    breaks: ['INV-09'],
  },
  {
    name: 'FORCE whose answer was lost is taken for done',
    rule: '4 FORCE',
    patches: [
      patch(
        FORCER,
        'if (await this.#end(standing, release)) return true;',
        'await this.#end(standing, release);\n      return true;',
      ),
    ],
    troubles: ['force', 'lossy'],
    breaks: ['INV-09'],
  },
  {
    name: 'FORCE of what has ended is taken for done',
    rule: '4 FORCE',
    patches: [
      patch(FORCER, 'note === null || lock.forced !== note) return false;', 'note === null) return lock !== null;'),
    ],
    troubles: ['force'],
    breaks: ['INV-09'],
  },
  {
    name: 'FORCE waits for an answer that was lost',
    rule: '4 FORCE',
    patches: [patch(FORCER, 'await untilAcknowledged(attempts, release.lifetime, send, () => true)', 'await send()')],
    troubles: ['force', 'lossy'],
    breaks: ['INV-09'],
  },
  {
    name: 'FORCE says that no primary was found after a write that it knows nothing of',
    rule: '4 FORCE',
    patches: [patch(FORCER, 'send, unsettled ? undefined : isHopeless);', 'send, isHopeless);')],
    troubles: ['force', 'lossy', 'holds'],
    breaks: ['INV-09'],
  },
  {
    name: 'whoever ends a run of its own process by force goes on with it',
    rule: '4 FORCE',
    patches: [patch(ENGINE, 'if (note !== null) this.#loseForced(key, note);\n        if (next', 'if (next')],
    troubles: ['force'],
    breaks: ['INV-06'],
  },
  {
    name: 'the stream tells of no forced release',
    rule: '5.7',
    patches: [patch(ENGINE, 'onForced: ({ key, note }) => this.#loseForced(key, note),', 'onForced: () => {},')],
    troubles: ['force'],
    breaks: ['INV-06'],
  },
  {
    name: 'who has ended a hold by force is not said',
    rule: '4 FORCE',
    patches: [patch(ENGINE, 'const facts: LossFacts = { forced };', 'const facts: LossFacts = {};')],
    troubles: ['force'],
    breaks: ['INV-06'],
  },
  {
    name: 'a note ends whatever is held',
    rule: '4 FORCE',
    patches: [patch(ENGINE, ' || grant.firstToken !== forced.fencingToken) return false;', ') return false;')],
    troubles: ['force', 'feed', 'holds'],
    breaks: ['history'],
  },
  {
    name: 'a grant that comes after the note of its end is served',
    rule: '4 FORCE, 5.1',
    patches: [patch(ENGINE, 'queue.endedByHand(forced.fencingToken);', '')],
    troubles: [],
    scenario: heardTooLate,
    breaks: ['INV-06'],
  },
  {
    // Its callers had arrived anew, and would lose that place.
    name: 'a grant that comes after the patrol has read of its end is served',
    rule: '4 FORCE, 5.6',
    patches: [
      patch(QUEUE, 'if (ended !== null && ended.session === this.#host.session?.id)', 'if (ended !== null && false)'),
    ],
    troubles: [],
    scenario: (seed) => makeScenario(RARE_FROM + seed, ['force', 'feed', 'holds']),
    breaks: ['INV-03', 'INV-04'],
  },
  {
    name: 'who was in a run that was ended by force does not wait again',
    rule: '4 FORCE',
    patches: [
      patch(
        QUEUE,
        'this.#waitAgain(run.unserved());\n    this.#endRun(run, false);\n    this.#lose(hold, why, facts);',
        'this.#endRun(run, false);\n    this.#lose(hold, why, facts);',
      ),
    ],
    troubles: ['force'],
    breaks: ['INV-05'],
  },
];

/** Faults that this simulation has found in the engine, put back. */
const REGRESSIONS: readonly Mutant[] = [
  {
    name: 'a stream that was closed before it was open is waited for',
    rule: 'seed 9568',
    patches: [
      patch(ENGINE, 'feed.endWait();', ''),
      patch(QUEUE, 'this.#interrupt?.();\n    if (this.#working) return;', 'if (this.#working) return;'),
      patch(QUEUE, 'if (this.#dropSettled() === 0) this.#interrupt?.();', ''),
    ],
    troubles: ['slow', 'leaves', 'feed', 'outages'],
    breaks: ['INV-05', 'INV-11'],
  },
  {
    name: 'a client at rest without a session keeps its connection',
    rule: 'seed 4, closes and lossy',
    patches: [patch(ENGINE, ' && !this.#connected) return;', ') return;')],
    troubles: ['stops'],
    breaks: ['INV-11'],
  },
  {
    name: 'a lost session is buried for no longer than a lease',
    rule: 'seed 129',
    patches: [patch(ENGINE, 'const BURIAL_LEASES_MAX = 20;', 'const BURIAL_LEASES_MAX = 1;')],
    troubles: ['outages', 'stale'],
    breaks: ['INV-08'],
  },
  {
    name: 'a take-over without an answer is given up',
    rule: 'seed 3816',
    patches: [patch(REAPER, 'lifetime, send);', 'lifetime, send, () => true);')],
    troubles: ['lossy', 'outages'],
    breaks: ['INV-08'],
  },
  {
    name: 'the patrol answers queues that were retired meanwhile',
    rule: 'seed 63, lossy',
    patches: [patch(PATROL, 'if (this.#host.queue(queue.key) !== queue) continue;', '')],
    troubles: ['lossy'],
    breaks: ['INV-06'],
  },
];

/** Slips of one line in places that no rule above touches, each of which a check was once blind to. */
const SLIPS: readonly Mutant[] = [
  {
    name: 'a renewal never extends the lease',
    rule: '5.3',
    patches: [patch(SESSION, 'POSITIVE_INFINITY || deadlineAt > this.#deadlineAt)', 'POSITIVE_INFINITY)')],
    troubles: ['holds'],
    breaks: ['history'],
  },
  {
    name: 'one heartbeat and no more',
    rule: '5.3',
    patches: [
      patch(SESSION, 'if (!this.check()) return;\n      this.#scheduleHeartbeat();', 'if (!this.check()) return;'),
    ],
    troubles: ['holds'],
    breaks: ['history'],
  },
  {
    name: 'a loss does not abort the signal',
    rule: 'INV-06',
    patches: [
      patch(HOLD, 'this.#aborter?.abort(this.#lostError);\n    return this.#lostError;', 'return this.#lostError;'),
    ],
    troubles: ['stops', 'holds'],
    breaks: ['INV-06'],
  },
  {
    name: 'every release says that it released',
    rule: 'INV-07',
    patches: [patch(HOLD, 'return this.#releasing.then(() => false);', 'return this.#releasing;')],
    troubles: [],
    breaks: ['INV-07'],
  },
  {
    name: 'a release that the end of its session cut short says that it released',
    rule: 'INV-09',
    patches: [
      patch(
        QUEUE,
        'run.current = null;\n      this.#endRun(run, false);',
        'run.current = null;\n      this.#endRun(run, true);',
      ),
    ],
    troubles: ['outages', 'lossy'],
    breaks: ['INV-09'],
  },
  {
    name: 'a session is never ended',
    rule: '5.8',
    patches: [
      patch(
        ENGINE,
        'return mayBeNamed ? store.condemnSession({ session }) : store.endSession({ session });',
        'return Promise.resolve();',
      ),
    ],
    troubles: [],
    breaks: ['INV-08'],
  },
  {
    name: 'as many may wait as like to',
    rule: 'INV-11',
    patches: [patch(ENGINE, 'if (this.#waiters.size < waitersMaxCount) return;', 'return;')],
    troubles: [],
    breaks: ['INV-11'],
  },
  {
    name: 'the patrol watches the holder only',
    rule: '5.6, INV-05',
    patches: [patch(PATROL, 'for (const { session } of head) ids.add(session);', '')],
    troubles: [],
    scenario: deadHeads,
    breaks: ['INV-05'],
  },
  {
    name: 'the patrol judges one session at a time',
    rule: '5.6 A10',
    patches: [patch(PATROL, 'for (const id of ids) {', 'for (const id of ids.slice(0, 1)) {')],
    troubles: ['kills'],
    breaks: ['INV-05'],
  },
  {
    name: 'the look for own stray tickets deletes those of callers that wait, too',
    rule: '5.5',
    patches: [patch(ENGINE, 'hasTicket(n) !== true)', 'hasTicket(n) !== null)')],
    troubles: ['lossy', 'holds'],
    breaks: ['INV-03'],
  },
  {
    name: 'a refused HANDOFF delivers',
    rule: '5.1',
    patches: [
      patch(QUEUE, 'this.#released(run, done ? next : null, { trace });', 'this.#released(run, next, { trace });'),
    ],
    troubles: [],
    scenario: deletedBeforeHandoff,
    breaks: ['INV-01', 'INV-02'],
  },
];

export const MUTANTS: readonly Mutant[] = [...CONDITIONS, ...RULES, ...KEPT, ...FORCED, ...REGRESSIONS, ...SLIPS];

export const ECONOMIES: readonly Economy[] = [
  {
    name: 'what is lost is not passed on when it is unlocked, but when its lease has lapsed',
    rule: 'releaseLostLocks',
    patches: [
      patch(ENGINE, 'void Promise.all(kept.map((hold) => hold.untilUnlocked())).then(() => holders.end());', ''),
    ],
    troubles: [],
    scenario: (seed) => keepers(seed, ['outages', 'holds']),
    reason: 'It saves the wait for the lease, which the bound allows for.',
  },
  {
    name: 'a lost session keeps its place in every queue until its holders have ended',
    rule: 'releaseLostLocks',
    patches: [
      patch(
        ENGINE,
        'this.#reaper.bury(session, holders, new Set(kept.map(({ request }) => request.key)))',
        'Promise.resolve()',
      ),
    ],
    troubles: [],
    scenario: (seed) => keepers(seed, ['outages', 'holds']),
    reason: 'Whoever is granted a lock by such a place is found dead like any other: it saves that wait.',
  },
  {
    name: 'VACATE grants a first arrival of any number',
    rule: '4 VACATE',
    off: ['vacate-next-number'],
    troubles: ['leaves', 'slow', 'lossy'],
    reason: 'A first arrival that PREFETCH had counted and did not find has left: its session passes the grant on.',
  },
  {
    name: 'VACATE grants its own ticket',
    rule: '4 VACATE',
    off: ['vacate-not-own-ticket'],
    troubles: ['slow', 'lossy'],
    reason: 'A late copy of the own arrival: the grant is passed on at the cost of two commands.',
  },
  {
    name: 'VACATE by the reaper grants the dead',
    rule: '4 VACATE',
    off: ['vacate-not-dead-session'],
    troubles: ['kills', 'holds'],
    reason: 'The dead are reaped again, at once: their document says so.',
  },
  {
    name: 'a grant leaves the first arrival noted',
    rule: '4',
    off: ['grant-clears-first-arrival'],
    troubles: ['lossy'],
    reason: 'An old number matches no VACATE: it is refused, and sent again after another read.',
  },
  {
    name: 'RESCUE of a lock that is held, at the exact fence',
    rule: '4 RESCUE',
    off: ['rescue-only-vacant'],
    troubles: ['lossy', 'kills'],
    reason: 'Every grant moves the fence: the other condition says the same.',
  },
  {
    name: 'RESCUE of a vacant lock at any fence',
    rule: '4 RESCUE',
    off: ['rescue-exact-fence'],
    troubles: ['lossy', 'kills'],
    reason: 'A lock is vacant only when nobody waits, so whoever is granted has been served, and passes it on.',
  },
  {
    name: 'a session that is dead can be opened',
    rule: '4',
    off: ['open-not-dead'],
    troubles: ['stops', 'holds', 'slow', 'stale'],
    reason: 'Only a late copy of its first write could: nobody uses that id any more.',
  },
  {
    name: 'REAP of beats that have moved on',
    rule: '4 REAP',
    off: ['reap-beats'],
    troubles: ['clocks', 'holds', 'stale'],
    reason:
      'They moved between a read and the write a lease later: by then the local deadline of the holder has passed.',
  },
  {
    name: 'REAP without its own look at the lease',
    rule: '4 REAP',
    off: ['reap-until'],
    troubles: ['stale', 'holds'],
    reason: 'Whoever asks has read that it has lapsed, and the local deadline comes before that.',
  },
  {
    name: 'the patrol asks for everybody',
    rule: '5.6',
    patches: [ASK_BY_LEASE],
    troubles: ['clocks', 'holds'],
    reason: 'The server refuses: its conditions do not rely on who asks.',
  },
  {
    name: 'PREFETCH finds the own ticket',
    rule: '4 PREFETCH',
    off: ['prefetch-leaves-out-own'],
    troubles: ['leaves'],
    reason: 'The grant goes to a ticket that was served, and is passed on at the cost of three commands.',
  },
  {
    name: 'PREFETCH is never too old',
    rule: '4 PREFETCH',
    patches: [
      patch(
        QUEUE,
        'if (known && this.#host.clock.nowMS() - known.readAt < this.#host.leaseDurationMS) return known;',
        'if (known) return known;',
      ),
    ],
    troubles: ['holds', 'leaves', 'kills'],
    reason: 'A run that has gone meanwhile is passed over by its session, or by whoever finds that dead.',
  },
  {
    name: 'a release does not wait for an arrival in flight',
    rule: '5.2',
    patches: [
      patch(
        QUEUE,
        "run.phase = 'finished';\n      this.#work();\n      return false;",
        "run.phase = 'finished';\n      void this.#release(run).catch(() => {}).then(() => this.#work());\n      return false;",
      ),
      patch(QUEUE, "if (run?.phase === 'finished') return this.#release(run);", ''),
      patch(QUEUE, "if (session === null || this.#run?.phase === 'finished' ||", 'if (session === null ||'),
      patch(QUEUE, "return session.gone || this.#run?.phase === 'finished' ||", 'return session.gone ||'),
    ],
    troubles: ['lossy', 'slow', 'leaves'],
    reason: 'A ticket that is granted before its mark comes is passed on when it comes: no seed has shown more.',
  },
  {
    name: 'a PREFETCH finds own tickets that are being deleted',
    rule: '5.2',
    patches: [
      patch(
        QUEUE,
        'withoutTickets: [...own, ...[...this.#beingDeleted].slice(0, LEFT_OUT_MAX)],',
        'withoutTickets: own,',
      ),
    ],
    troubles: ['slow', 'kills'],
    reason: 'It is granted, found to be settled, and passed on at once.',
  },
  {
    name: 'FORCE does not look whether the run stands still',
    rule: '4 FORCE',
    patches: [patch(FORCER, 'if (view.lock?.grant !== text) return false;', 'if (view.lock === null) return false;')],
    troubles: ['force', 'lossy'],
    reason: 'HANDOFF and VACATE look for themselves: it saves a command that would be refused.',
  },
  {
    name: 'what follows a forced release and is ours is not received',
    rule: '4 FORCE',
    patches: [patch(ENGINE, 'if (next !== null) this.#receiveIfOurs(key, next);\n      },', '},')],
    troubles: ['force', 'feed'],
    reason: 'The stream tells it, or the patrol, which the bound allows for.',
  },
  {
    name: 'the audit does not ask who has ended a hold',
    rule: '5.5',
    patches: [patch(ENGINE, 'const note = isTold ? await this.#readForced(key) : null;', 'const note = null;')],
    troubles: ['force', 'feed', 'holds'],
    reason: 'The loss then does not say who: it is told where the stream tells it.',
  },
  {
    name: 'one round of the patrol',
    rule: '5.6 A10',
    patches: [patch(PATROL, 'const ROUNDS_MAX = 16;', 'const ROUNDS_MAX = 1;')],
    troubles: ['kills', 'holds'],
    reason: 'One round reaps all the dead that it saw; another saves the wait for the next patrol.',
  },
  {
    name: 'no early patrol when a lease is about to lapse',
    rule: '5.6',
    patches: [
      patch(
        PATROL,
        'if (checkInMS > 0) return this.#scheduleIn(Math.max(checkInMS, SOONEST_MS));',
        'if (checkInMS > 0) return;',
      ),
    ],
    troubles: ['kills'],
    reason: 'It saves up to one patrol, which the bound allows for.',
  },
  {
    name: 'no patrol when the stream is open again',
    rule: '5.7',
    patches: [
      patch(
        ENGINE,
        "this.#emit('stream:opened', { session: session.id });\n        this.#patrol.all();",
        "this.#emit('stream:opened', { session: session.id });",
      ),
    ],
    troubles: ['gaps'],
    reason: 'It saves up to one patrol, which the bound allows for.',
  },
];
