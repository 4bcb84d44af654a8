/**
 * What the simulation must find: the protocol with one condition of its commands switched off, or the engine with one
 * rule taken out. Each names what it breaks; those that break nothing say why they are kept all the same.
 */
import type { InvariantId } from '#core/protocol/invariants.js';
import type { Condition } from './commands.js';
import type { Patch } from './engine-copy.js';
import type { Scenario, Trouble } from './scenario.js';

export interface Mutant {
  readonly name: string;
  /** The condition of section 4 or the rule of section 5 of the design that it takes away. */
  readonly rule: string;
  readonly off?: readonly Condition[];
  readonly patches?: readonly Patch[];
  readonly change?: (scenario: Scenario) => Scenario;
  readonly troubles?: readonly Trouble[];
  readonly breaks: readonly (InvariantId | 'history')[];
}

const QUEUE = 'engine/resource-queue.ts';
const SESSION = 'engine/session.ts';
const ENGINE = 'engine/engine.ts';
const PATROL = 'engine/patrol.ts';
const REAPER = 'engine/reaper.ts';
const DELETER = 'engine/ticket-deleter.ts';

/** The reaper asks for everybody's death all the time: only the server's conditions are left. */
const REAP_ALWAYS: Patch = {
  file: 'protocol/lease.ts',
  find: 'const lapsedInMS = session.remainingMS;',
  replace:
    "if (session.state === 'alive') return { kind: 'reap', unchangedBeats: session.beats };\n  const lapsedInMS = session.remainingMS;",
};

export const mutants: readonly Mutant[] = [
  { name: 'try-only-vacant', rule: '4 TRY', off: ['try-only-vacant'], breaks: ['INV-01', 'INV-06'] },
  {
    name: 'ticket-keeps-its-place',
    rule: '4 ARRIVE, section 3',
    off: ['ticket-keeps-its-place'],
    breaks: ['INV-03'],
    troubles: ['lossy', 'copies'],
  },
  { name: 'mark-grants-vacant', rule: '4 ARRIVE', off: ['mark-grants-vacant'], breaks: ['INV-04'] },
  { name: 'mark-counts', rule: '4 ARRIVE', off: ['mark-counts'], breaks: ['INV-04'] },
  { name: 'mark-notes-first', rule: '4 ARRIVE', off: ['mark-notes-first'], breaks: ['INV-04'] },
  {
    name: 'handoff-exact-grant',
    rule: '4 HANDOFF',
    off: ['handoff-exact-grant'],
    breaks: ['INV-06', 'INV-02'],
    troubles: ['lossy', 'copies', 'stops'],
  },
  {
    name: 'vacate-exact-grant',
    rule: '4 VACATE',
    off: ['vacate-exact-grant'],
    breaks: ['INV-06'],
    troubles: ['lossy', 'copies'],
  },
  { name: 'vacate-arrivals', rule: '4 VACATE', off: ['vacate-arrivals'], breaks: ['INV-04'] },
  {
    name: 'rescue-unconditional',
    rule: '4 RESCUE',
    off: ['rescue-only-vacant', 'rescue-exact-fence'],
    breaks: ['INV-03', 'INV-06'],
    troubles: ['lossy', 'copies', 'kills'],
  },
  {
    name: 'first-token-from-cluster-time',
    rule: '3',
    off: ['first-token-from-cluster-time'],
    breaks: ['INV-02'],
    troubles: ['idle'],
  },
  { name: 'reap-until', rule: '4 REAP', off: ['reap-until'], patches: [REAP_ALWAYS], breaks: ['INV-06'] },
  {
    name: 'reap-skew',
    rule: '4 REAP',
    off: ['reap-skew'],
    patches: [REAP_ALWAYS],
    breaks: ['INV-06'],
    troubles: ['clocks'],
  },
  {
    name: 'reap-beats',
    rule: '4 REAP',
    off: ['reap-beats'],
    patches: [REAP_ALWAYS],
    breaks: ['INV-06'],
    troubles: ['clocks'],
  },
  { name: 'reap-absent-waits', rule: '4 REAP', off: ['reap-absent-waits'], breaks: ['INV-06'], troubles: ['operator'] },
  { name: 'prefetch-lock-first', rule: '4 PREFETCH', off: ['prefetch-lock-first'], breaks: ['INV-04'] },
  { name: 'vacate-next-number', rule: '4 VACATE', off: ['vacate-next-number'], breaks: [] },
  { name: 'vacate-not-own-ticket', rule: '4 VACATE', off: ['vacate-not-own-ticket'], breaks: [] },
  {
    name: 'vacate-not-dead-session',
    rule: '4 VACATE',
    off: ['vacate-not-dead-session'],
    breaks: ['INV-05'],
    troubles: ['kills'],
  },
  { name: 'grant-clears-first-arrival', rule: '4', off: ['grant-clears-first-arrival'], breaks: [] },
  {
    name: 'renew-only-alive',
    rule: '4 RENEW',
    off: ['renew-only-alive'],
    breaks: [],
    troubles: ['kills', 'copies', 'stops'],
  },
  { name: 'open-not-dead', rule: '4', off: ['open-not-dead'], breaks: [], troubles: ['kills', 'copies', 'stops'] },
  { name: 'prefetch-leaves-out-own', rule: '4 PREFETCH', off: ['prefetch-leaves-out-own'], breaks: [] },
  { name: 'reap-always', rule: '4 REAP (engine)', patches: [REAP_ALWAYS], breaks: [] },
  {
    name: 'arrivals-at-the-grant',
    rule: '4 TRY',
    breaks: ['INV-04'],
    patches: [
      {
        file: 'protocol/transitions.ts',
        find: 'return first === null ? lock.arrivals : first - 1;',
        replace: 'return first === null ? lock.arrivals : lock.arrivals;',
      },
    ],
    troubles: ['lossy'],
  },
  {
    name: 'stale-prefetch',
    rule: '4 PREFETCH, again when older than a lease',
    breaks: [],
    patches: [
      {
        file: QUEUE,
        find: 'if (known && this.#host.clock.nowMS() - known.readAt < this.#host.leaseDurationMS) return known;',
        replace: 'if (known) return known;',
      },
    ],
  },
  {
    name: 'vacate-refused-is-released',
    rule: '4 VACATE',
    breaks: ['INV-05'],
    patches: [{ file: 'protocol/transitions.ts', find: "? { kind: 'refused' }", replace: "? { kind: 'vacated' }" }],
  },
  {
    name: 'born-unknown-is-the-same',
    rule: '5.6',
    breaks: ['INV-04'],
    patches: [
      {
        file: QUEUE,
        find: 'if (ticket.born === born || ticket',
        replace: 'if (ticket.born === null || ticket.born === born || ticket',
      },
    ],
    troubles: ['operator'],
  },
  {
    name: 'callers-not-frozen',
    rule: '3',
    breaks: ['INV-02'],
    patches: [
      {
        file: 'engine/ticket.ts',
        find: 'callers: this.waiters.length',
        replace: "callers: Math.max(1, this.waiters.filter(({ phase }) => phase === 'waiting').length)",
      },
    ],
    troubles: ['lossy', 'leaves'],
  },
  {
    name: 'skew-beyond-the-option',
    rule: '4 REAP',
    breaks: ['INV-01'],
    troubles: ['clocks', 'stops'],
    change: (scenario) => ({
      ...scenario,
      processes: scenario.processes.map((plan) => ({ ...plan, options: { ...plan.options, clockSkewMS: 0 } })),
    }),
  },
  {
    name: 'door-serves-again',
    rule: '5.1',
    breaks: ['INV-01'],
    patches: [{ file: QUEUE, find: 'if (grant.firstToken <= this.handledToken) return;', replace: '' }],
  },
  {
    name: 'door-by-ticket',
    rule: '5.1 never compare grants by ticket',
    breaks: ['INV-05'],
    patches: [
      {
        file: QUEUE,
        find: 'if (grant.firstToken <= this.handledToken) return;',
        replace:
          'if (grant.firstToken <= this.handledToken) return; const once = ((this as any).once ??= new Set()); const t = grant.tickets.map((x) => x.n).join(); if (once.has(t)) return; once.add(t);',
      },
    ],
  },
  {
    name: 'nobody-there-is-not-passed-on',
    rule: '5.1 passed on at once',
    breaks: ['INV-05', 'INV-08'],
    patches: [
      {
        file: QUEUE,
        find: 'this.#replaceRun();\n    const run',
        replace:
          'if (!grant.tickets.some(({ n }) => this.#tickets.get(n)?.open)) return;\n    this.#replaceRun();\n    const run',
      },
    ],
  },
  {
    name: 'passed-on-with-its-ticket',
    rule: '5.1 its ticket deleted first',
    breaks: ['INV-08'],
    patches: [{ file: QUEUE, find: 'if (served.length > 0) this.#delete(session, served);', replace: '' }],
  },
  {
    name: 'not-served-never-again',
    rule: '5.1 arrives again',
    breaks: ['INV-05'],
    patches: [{ file: QUEUE, find: 'for (const ticket of gone) this.#arriveAnew(ticket);', replace: '' }],
  },
  {
    name: 'release-before-deletion',
    rule: '5.2',
    troubles: ['slow'],
    breaks: ['INV-05'],
    patches: [
      { file: QUEUE, find: 'await Promise.all(this.#deletions);\n      const { arrivals', replace: 'const { arrivals' },
    ],
  },
  {
    name: 'release-during-arrival',
    rule: '5.2',
    breaks: ['INV-05'],
    patches: [
      {
        file: QUEUE,
        find: "run.phase = 'finished';\n      this.#work();\n      return false;",
        replace:
          "run.phase = 'finished';\n      void this.#release(run).catch(() => {}).then(() => this.#work());\n      return false;",
      },
      { file: QUEUE, find: "if (run?.phase === 'finished') return this.#release(run);", replace: '' },
      {
        file: QUEUE,
        find: "if (session === null || this.#run?.phase === 'finished' ||",
        replace: 'if (session === null ||',
      },
      { file: QUEUE, find: "if (session.gone || this.#run?.phase === 'finished' ||", replace: 'if (session.gone ||' },
    ],
  },
  {
    name: 'no-second-deletion',
    rule: '5.2 A6',
    troubles: ['slow'],
    breaks: ['INV-08'],
    patches: [{ file: QUEUE, find: 'if (resent) this.#host.deleteTicketLater(session, n);', replace: '{}' }],
  },
  {
    name: 'dead-keep-their-tickets',
    rule: '5.2, 4 REAP',
    breaks: ['INV-05'],
    patches: [
      {
        file: REAPER,
        find: 'await untilAcknowledged(this.#host.attempts, lifetime, () => store.deleteTicketsOf({ session }));',
        replace: '',
      },
    ],
  },
  {
    name: 'dead-keep-their-locks',
    rule: '4 REAP',
    breaks: ['INV-05'],
    patches: [{ file: REAPER, find: 'await this.#takeOver(session, key, grant, lifetime);', replace: ';' }],
  },
  {
    name: 'deadline-from-the-answer',
    rule: '5.3',
    troubles: ['slow', 'outages'],
    breaks: ['INV-01'],
    patches: [
      { file: SESSION, find: 'else this.#extend(startedAt);', replace: 'else this.#extend(this.#clock.nowMS());' },
    ],
  },
  {
    name: 'deadline-without-margin',
    rule: '5.3',
    troubles: ['drift', 'outages'],
    breaks: ['INV-01'],
    patches: [
      {
        file: 'protocol/lease.ts',
        find: 'return renewalStartedAt + leaseMS - marginMS;',
        replace: 'return renewalStartedAt + leaseMS;',
      },
    ],
  },
  {
    name: 'deadline-not-checked-at-grant',
    rule: '5.3 checked where a promise settles',
    troubles: ['stops'],
    breaks: ['INV-01'],
    patches: [{ file: QUEUE, find: '|| !session.check()) return;', replace: ') return;' }],
  },
  {
    name: 'late-renewal-revives',
    rule: '5.3',
    troubles: ['stops', 'slow'],
    breaks: ['INV-01'],
    patches: [{ file: SESSION, find: 'if (!this.check()) return;\n    if (answer', replace: 'if (answer' }],
  },
  {
    name: 'no-deadline',
    rule: '5.3',
    troubles: ['outages'],
    breaks: ['INV-01'],
    patches: [
      { file: 'protocol/lease.ts', find: 'return renewalStartedAt + leaseMS - marginMS;', replace: 'return Infinity;' },
    ],
  },
  {
    name: 'own-session-not-buried',
    rule: '5.4 it REAPs its own old session',
    troubles: ['stops'],
    breaks: ['INV-05'],
    patches: [{ file: ENGINE, find: 'void this.#buryOwn(session);', replace: '' }],
  },
  {
    name: 'waiters-do-not-start-over',
    rule: '5.4',
    breaks: ['INV-05'],
    patches: [{ file: QUEUE, find: 'this.#waitAgain([...waiting]);', replace: '' }],
  },
  {
    name: 'no-audit',
    rule: '5.5',
    troubles: ['feed', 'leaves'],
    breaks: ['INV-05', 'INV-08'],
    patches: [{ file: ENGINE, find: 'for (const [key, grant] of grants) this.#receive(key, grant);', replace: '' }],
  },
  {
    name: 'audit-judges-newer-holds',
    rule: '5.5 a hold older than the read',
    breaks: ['history'],
    patches: [{ file: ENGINE, find: ' && run.order < readOrder;', replace: ';' }],
  },
  {
    name: 'audit-does-not-judge',
    rule: '5.5',
    troubles: ['operator'],
    breaks: ['INV-06'],
    patches: [{ file: ENGINE, find: 'if (judged && grants', replace: 'if (false && grants' }],
  },
  {
    name: 'no-patrol',
    rule: '5.6',
    breaks: ['INV-05'],
    patches: [{ file: PATROL, find: 'if (this.#running || this.#stopped) return;', replace: 'return;' }],
  },
  {
    name: 'patrol-does-not-deliver',
    rule: '5.6',
    troubles: ['feed'],
    breaks: ['INV-05'],
    patches: [{ file: QUEUE, find: 'if (seen?.lock.grant) this.#noteGrant(seen.lock.grant);', replace: '' }],
  },
  {
    name: 'patrol-does-not-reap',
    rule: '5.6',
    breaks: ['INV-05'],
    patches: [
      { file: PATROL, find: 'return this.#reaper.reap(id, verdict.unchangedBeats, own);', replace: 'return 1;' },
    ],
  },
  {
    name: 'patrol-does-not-reap-the-absent',
    rule: '5.6',
    breaks: ['INV-05'],
    patches: [
      {
        file: PATROL,
        find: 'if (state === undefined) return this.#reaper.reap(id, undefined, own);',
        replace: 'if (state === undefined) return this.#host.patrolIntervalMS;',
      },
    ],
  },
  {
    name: 'no-reaping-by-beats',
    rule: '4 REAP, 5.6',
    troubles: ['kills'],
    breaks: ['INV-05'],
    patches: [{ file: 'protocol/lease.ts', find: 'if (lapsedInMS < 0 && stoodStillInMS <= 0)', replace: 'if (false)' }],
  },
  {
    name: 'no-rescue',
    rule: '5.6 A5',
    troubles: ['operator'],
    breaks: ['INV-05'],
    patches: [{ file: PATROL, find: 'await this.#reaper.rescue(queue.key, session);', replace: ';' }],
  },
  {
    name: 'no-second-mark',
    rule: '5.6 recreated',
    troubles: ['operator'],
    breaks: ['INV-04'],
    patches: [{ file: QUEUE, find: 'this.#unmarked.add(ticket);', replace: '' }],
  },
  {
    name: 'patrol-timer-not-early',
    rule: '5.6 its timer also fires',
    troubles: ['kills'],
    breaks: ['INV-05'],
    patches: [
      {
        file: PATROL,
        find: 'if (checkInMS > 0) return this.#scheduleIn(Math.max(checkInMS, SOONEST_MS));',
        replace: 'if (checkInMS > 0) return;',
      },
    ],
  },
  {
    name: 'patrol-one-round',
    rule: '5.6 A10',
    troubles: ['kills', 'feed'],
    breaks: ['INV-05'],
    patches: [
      { file: PATROL, find: 'const ROUNDS_MAX = 16;', replace: 'const ROUNDS_MAX = 1;' },
      { file: PATROL, find: 'this.#scheduleIn(SOONEST_MS);', replace: '' },
    ],
  },
  {
    name: 'no-stream',
    rule: '5.7',
    troubles: ['drift'],
    breaks: ['INV-05'],
    patches: [
      { file: ENGINE, find: 'onFact: ({ key, grant }) => this.#receive(key, grant),', replace: 'onFact: () => {},' },
    ],
  },
  {
    name: 'no-patrol-after-a-gap',
    rule: '5.7',
    troubles: ['gaps'],
    breaks: ['INV-05'],
    patches: [
      {
        file: ENGINE,
        find: "this.#emit('stream:opened', { session: session.id });\n        this.#patrol.all();",
        replace: "this.#emit('stream:opened', { session: session.id });",
      },
    ],
  },
  {
    name: 'no-audit-before-the-end',
    rule: '5.8, 5.5',
    troubles: ['feed', 'leaves', 'slow'],
    breaks: ['INV-08'],
    patches: [
      {
        file: ENGINE,
        find: "await this.#audit();\n      if (this.#idle && this.#phase === 'open') return this.#endSession();",
        replace: "if (this.#idle && this.#phase === 'open') return this.#endSession();",
      },
    ],
  },
  {
    name: 'no-audit-after-leaving',
    rule: '5.5',
    troubles: ['leaves', 'feed'],
    breaks: ['INV-08', 'INV-05'],
    patches: [
      { file: QUEUE, find: 'void Promise.all(this.#deletions).then(() => this.#host.auditSoon());', replace: '' },
    ],
  },
  {
    name: 'deletions-are-not-sent-again',
    rule: '5.9',
    troubles: ['lossy', 'leaves'],
    breaks: ['INV-08'],
    patches: [{ file: DELETER, find: '() => false,\n', replace: '() => true,\n' }],
  },
  {
    name: 'patrol-answers-retired-queues',
    rule: 'found here',
    breaks: ['INV-06'],
    troubles: ['lossy'],
    patches: [{ file: PATROL, find: 'if (this.#host.queue(queue.key) !== queue) continue;', replace: '' }],
  },
];
