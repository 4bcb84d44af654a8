/**
 * The observer of one run: it keeps what was seen of calls, holds and stored grants, and asks the predicates of
 * `protocol/invariants.ts` after every step. It changes nothing. The first thing broken ends the run.
 */
import type { Hold } from '#core/engine/hold.js';
import type { ArrivingTicket, ForcedFact } from '#core/ports.js';
import { parseForced } from '#core/protocol/forced.js';
import { type Grant, lastToken, parseGrant } from '#core/protocol/grant.js';
import {
  boundedEverything,
  type CallFacts,
  fencingMonotonic,
  firstComeFirstServed,
  type HoldFacts,
  holderFirstToKnow,
  honestOutcome,
  type InvariantId,
  lossIsSignalled,
  mutualExclusion,
  neverRevives,
  noBarging,
  nothingLeftBehind,
  progress,
  releaseIdempotent,
  type StallCause,
} from '#core/protocol/invariants.js';
import { sessionId } from './commands.js';
import { type ForceCall, type ForcedRun, type ForceRequest, Forces, isSame, newNote } from './forces.js';
import type { LostLocks } from './lost-locks.js';
import type { OplogEntry, ReplicaSet } from './replica-set.js';
import type { CallPlan } from './scenario.js';
import type { SimProcess } from './sim-process.js';
import type { Traces } from './traces.js';
import type { World } from './world.js';

/** What broke: an invariant, or what every history must show (each call settles once, each loss is reported once). */
export interface Violation {
  readonly invariant: InvariantId | 'history';
  readonly what: string;
  readonly atMS: number;
}

export type CallEnd = 'granted' | 'refused' | 'left';

/** A call as seen from outside. */
export class CallRecord implements CallFacts {
  readonly plan: CallPlan;
  readonly process: SimProcess;
  readonly calledAt: number;
  arrivedAt: number | null = null;
  exempt = false;
  sessionLost = false;
  announced = false;
  /** The session and first ticket of the ARRIVE that it was first sent with. */
  arrival: { readonly session: string; readonly id: string } | null = null;
  /** The tickets it was sent with, as their labels tell; a ticket shows the first of its callers only. */
  readonly tickets = new Set<string>();
  /** The last ticket of a run of it that was ended by hand before its turn: only a later one gives it a place again. */
  displaced: { readonly session: string; readonly n: number } | null = null;
  end: CallEnd | null = null;
  hold: HoldRecord | null = null;

  constructor(plan: CallPlan, process: SimProcess, calledAt: number) {
    this.plan = plan;
    this.process = process;
    this.calledAt = calledAt;
  }

  get name(): string {
    return this.plan.name;
  }

  get key(): string {
    return this.plan.key;
  }

  get waiting(): boolean {
    return this.end === null && this.process.state !== 'dead';
  }
}

/** A hold as seen from outside. */
export class HoldRecord implements HoldFacts {
  readonly call: CallRecord;
  readonly hold: Hold;
  readonly releases: (boolean | null)[] = [];
  readonly signal: AbortSignal;
  /** When it was first seen not to believe itself valid although nobody released it. */
  doubtedAt: number | null = null;
  lostCount = 0;
  releasedCount = 0;
  /** Whether it was ever seen not to believe itself valid. */
  doubted = false;
  /** When its lock document was deleted by hand; null: it was not. */
  deletedAt: number | null = null;
  /** When its run was ended by hand; null: it was not. */
  forcedAt: number | null = null;
  /** Whether the document of its session was deleted by hand, and told of a longer lease than others have. */
  uncovered = false;

  constructor(call: CallRecord, hold: Hold) {
    this.call = call;
    this.hold = hold;
    this.signal = hold.signal;
  }

  get name(): string {
    return `${this.call.name} of ${this.call.process.name}`;
  }

  get key(): string {
    return this.call.key;
  }

  get token(): number {
    return this.hold.fencingToken;
  }

  get exempt(): boolean {
    return this.endedAt !== null || this.uncovered;
  }

  /** When it was ended by somebody else than its holder; null: it was not. */
  get endedAt(): number | null {
    return this.forcedAt ?? this.deletedAt;
  }

  get held(): boolean {
    return this.call.process.state !== 'dead' && this.hold.held;
  }

  get aborted(): boolean {
    return this.signal.aborted;
  }

  get running(): boolean {
    return this.call.process.state === 'running';
  }

  /** Whether the caller has done with it. */
  get over(): boolean {
    return this.call.process.state === 'dead' || this.hold.phase !== 'held';
  }
}

/** The longest times of all processes of a run. */
export interface Times {
  readonly leaseMS: number;
  readonly clockSkewMS: number;
  readonly heartbeatMS: number;
  readonly patrolIntervalMS: number;
  readonly slackMS: number;
  /** Whether nothing goes wrong but what the operator does. */
  readonly onlyTheOperator: boolean;
  /** Whether no fact is ever lost. */
  readonly streamIsGood: boolean;
  /** Whether every answer comes within a small part of a lease, unless something is seen to go wrong. */
  readonly answersAreQuick: boolean;
}

interface LostFacts {
  readonly token: number;
  readonly key: string;
  readonly process: SimProcess;
  /** Whether its client was closed. */
  readonly closed: boolean;
}

interface KeyRecord {
  storedToken: number;
  servedToken: number;
  movedAt: number;
}

/** How many of its callers a ticket shows. */
const LABELS_MAX = 16;
/** How late a signal may be: the timers of a process are late by some milliseconds. */
const SIGNAL_TOLERANCE_MS = 10;

export class Observer {
  readonly calls: CallRecord[] = [];
  readonly holds: HoldRecord[] = [];
  readonly forces = new Forces();
  readonly traces: Traces;
  readonly lostLocks: LostLocks;
  violation: Violation | null = null;
  /** When something last went wrong from outside: progress is owed from then on. */
  disturbedAt = 0;
  readonly #world: World;
  readonly #set: ReplicaSet;
  readonly #times: Times;
  readonly #keys = new Map<string, KeyRecord>();

  /** The stored tickets, and since when they are. */
  readonly #tickets = new Map<string, { readonly key: string; readonly at: number }>();
  /** The runs that the stream of each process has said to be ended by hand. */
  readonly #told = new Map<SimProcess, Set<ForcedRun>>();
  /** Since when a stored ticket of a living session was seen with no caller that waits in it. */
  readonly #strayedAt = new Map<string, number>();
  /** Tickets that were deleted once. A copy of their arrival may have made them anew. */
  readonly #deletedTickets = new Set<string>();
  readonly #lost = new Set<string>();
  readonly #opened = new Set<string>();
  /** Since when tickets and grants are stored, and sessions dead or gone. */
  readonly #writtenAt = new Map<string, number>();
  readonly #overAt = new Map<string, number>();
  /** Tickets and grants written by late copies of commands, which exist here only. */
  readonly #writtenByCopy = new Set<string>();
  /** When each session last began to read what it holds. */
  readonly #auditedAt = new Map<string, number>();
  /** Stored grants whose document was deleted by hand. */
  readonly #deletedGrants = new Set<string>();
  readonly #closings: { readonly process: SimProcess; doneAt: number }[] = [];
  /** Sessions whose document was deleted by hand, and with it how long they must be waited for. */
  readonly #uncovered = new Set<string>();
  /** The current session of each process, as its events say. */
  readonly sessions = new Map<SimProcess, string>();
  #openHolds: HoldRecord[] = [];

  constructor(
    world: World,
    set: ReplicaSet,
    times: Times,
    about: { readonly traces: Traces; readonly lostLocks: LostLocks },
  ) {
    this.traces = about.traces;
    this.lostLocks = about.lostLocks;
    this.#world = world;
    this.#set = set;
    this.#times = times;
    set.listen({ onApplied: (entry) => this.#onApplied(entry), onCommitted: (entry) => this.#onCommitted(entry) });
  }

  /** Something from outside goes wrong now. */
  disturb(): void {
    this.disturbedAt = this.#world.nowMS;
  }

  // --- what processes do ------------------------------------------------------------------------------------------

  called(plan: CallPlan, process: SimProcess): CallRecord {
    const call = new CallRecord(plan, process, this.#world.nowMS);
    this.calls.push(call);
    return call;
  }

  announced(name: string): void {
    const call = this.calls.find((other) => other.name === name);
    if (call !== undefined) call.announced = true;
  }

  /** An ARRIVE is sent: it carries the calls that were announced since the last. */
  arriving(
    process: SimProcess,
    request: { readonly key: string; readonly session: string; readonly tickets: readonly ArrivingTicket[] },
  ): void {
    const { key, session, tickets } = request;
    const id = `${session}/${tickets[0]?.n ?? 0}`;
    for (const call of this.calls) {
      if (call.process !== process || call.key !== key || !call.announced) continue;
      const ticket = tickets.find(({ labels }) => labels?.includes(call.name));
      if (ticket !== undefined) call.tickets.add(`${session}/${ticket.n}`);
      if (call.arrival === null && mayTakePlace(call, session, ticket)) call.arrival = { session, id };
    }
  }

  /** A session is about to read what it holds. */
  auditing(session: string): void {
    this.#auditedAt.set(session, this.#world.nowMS);
  }

  granted(call: CallRecord, hold: Hold): HoldRecord {
    const record = new HoldRecord(call, hold);
    this.#expect('history', call.end === null ? null : `${call.name} settles again`);
    this.#expect('INV-03', firstComeFirstServed(call, this.calls));
    call.end = 'granted';
    call.hold = record;
    if ([...this.#deletedGrants].some((deleted) => coversOn(deleted, record))) record.deletedAt = this.#world.nowMS;
    record.uncovered = this.#uncovered.has(hold.session.id);
    // A report of the grant may come after the write that ended it.
    const forced = this.forces.find(call.key, hold.session.id, record.token);
    if (forced !== null) {
      record.forcedAt = this.#world.nowMS;
      const knew = this.#told.get(call.process)?.has(forced) ?? false;
      this.#expect('INV-06', knew ? `${record.name} is served a run that its stream has said to be ended` : null);
    }
    this.holds.push(record);
    this.#openHolds.push(record);
    const key = this.#key(call.key);
    this.#expect('INV-06', record.held ? null : `${record.name} is told that it holds ${record.key}, and does not`);
    if (!record.exempt) {
      this.#expect(
        'INV-01',
        mutualExclusion(
          record,
          this.#openHolds.filter((other) => !other.exempt),
        ),
      );
      this.#expect('INV-02', fencingMonotonic(call.key, { before: key.servedToken, now: record.token }));
      key.servedToken = Math.max(key.servedToken, record.token);
    }
    key.movedAt = this.#world.nowMS;
    return record;
  }

  ended(call: CallRecord, end: 'refused' | 'left', code: string): void {
    this.#expect('history', call.end === null ? null : `${call.name} settles again`);
    call.end = end;
    this.#expect('INV-09', honestOutcome(call, { code, sessionLost: call.sessionLost }));
  }

  releasing(record: HoldRecord): (answer: boolean) => void {
    const at = record.releases.push(null) - 1;
    this.lostLocks.unlocked(record);
    this.#key(record.key).movedAt = this.#world.nowMS;
    return (answer) => {
      record.releases[at] = answer;
      this.#key(record.key).movedAt = this.#world.nowMS;
      const answers = record.releases.map((each) => each === true);
      this.#expect('INV-07', releaseIdempotent(record, answers));
      if (answer) this.#expect('INV-09', this.#releasedInVain(record));
    };
  }

  /** Whoever is told that it released has passed the lock on: in memory, or by a write that stands. */
  #releasedInVain(record: HoldRecord): string | null {
    const doc = this.#set.applied.get(record.key);
    const grant = doc?.kind === 'lock' ? parseGrant(doc.grant) : null;
    const stands = grant !== null && grant.session === record.hold.session.id && lastToken(grant) === record.token;
    return stands ? `${record.name} is told that it released token ${record.token}, and its grant stands` : null;
  }

  /** A hold is reported lost. Where its session lives and its grant stands, something must have been closed. */
  lostEvent({ token, key, process, closed }: LostFacts): void {
    const record = this.holds.find((other) => other.key === key && other.token === token);
    if (record === undefined) return;
    record.lostCount += 1;
    this.#key(key).movedAt = this.#world.nowMS;
    this.#expect('history', record.lostCount === 1 ? null : `${record.name} is reported lost again`);
    const doc = this.#set.applied.get(key);
    const stands = doc?.kind === 'lock' && doc.grant !== null && covers(doc.grant, record);
    const baseless = stands && !closed && this.sessions.has(process);
    if (stands) this.lostLocks.lost(record, this.#world.nowMS);
    this.#expect('history', baseless ? `${record.name} is reported lost although its grant stands` : null);
    this.#expect('history', this.#lostByNobody(record));
  }

  /** Whoever a loss is laid to has ended that run. */
  #lostByNobody(record: HoldRecord): string | null {
    const { forced } = record.hold.lostError ?? {};
    if (forced === undefined) return null;
    const run = this.forces.find(record.key, record.hold.session.id, record.token);
    const { session } = record.hold;
    const note = parseForced(run?.note);
    const wrong = note === null || !isSame(note, { session: session.id, ...forced });
    return wrong
      ? `${record.name} is lost by ${forced.by} (${forced.reason}), and ${run?.note ?? 'nobody'} ended its run`
      : null;
  }

  /** A hold begins: what it is told of the one before is true. */
  grantedEvent(served: Parameters<Traces['served']>[0]): void {
    this.#expect('history', this.traces.served(served));
  }

  releasedEvent(token: number, key: string): void {
    const record = this.holds.find((other) => other.key === key && other.token === token);
    if (record !== undefined) record.releasedCount += 1;
  }

  /** A session whose first answer came when its lease, or its client, was over was never used: what is stored of it lapses. */
  wasUsable(session: string): boolean {
    return this.#opened.has(session);
  }

  sessionOpened(process: SimProcess, session: string): void {
    this.#opened.add(session);
    this.sessions.set(process, session);
  }

  sessionGone(process: SimProcess, how: 'lost' | 'ended'): void {
    const closes = this.#closings.some((closing) => closing.process === process);
    if (how === 'lost') this.#lost.add(this.sessions.get(process) ?? '');
    if (!closes) this.#expect('history', how === 'lost' ? this.#lostForNothing(process) : this.#endedTooSoon(process));
    this.sessions.delete(process);
    for (const call of this.calls) if (call.process === process && call.end === null) this.#loseSession(call);
  }

  /** A session that is renewed in time is kept: nothing has gone wrong for longer than a lease, and yet it is lost. */
  #lostForNothing(process: SimProcess): string | null {
    const { leaseMS, slackMS, answersAreQuick } = this.#times;
    const calmMS = this.#world.nowMS - this.disturbedAt;
    const excused = !answersAreQuick || process.state !== 'running' || calmMS <= leaseMS + slackMS;
    return excused ? null : `${process.name} loses its session although nothing has gone wrong for ${calmMS} ms`;
  }

  /** Whoever waits keeps the session, and with it the place in the queue. */
  #endedTooSoon(process: SimProcess): string | null {
    const waits = this.calls.find((call) => call.process === process && call.waiting);
    return waits === undefined ? null : `${process.name} ends its session while ${waits.name} waits`;
  }

  /** A client is told to close; the result is called when it says that it has. */
  closing(process: SimProcess): () => void {
    const closing = { process, doneAt: Number.POSITIVE_INFINITY };
    this.#closings.push(closing);
    return () => {
      closing.doneAt = this.#world.nowMS;
      this.lostLocks.closed(process.name);
    };
  }

  unhandled(reason: unknown): void {
    this.#expect('history', `unhandled rejection: ${reason instanceof Error ? reason.stack : String(reason)}`);
  }

  bounded(name: string, count: number, limit: number): void {
    this.#expect('INV-11', boundedEverything(name, count, limit));
  }

  // --- what the operator does -------------------------------------------------------------------------------------

  deletedByHand(key: string, grant: string | null): void {
    if (grant !== null) this.#deletedGrants.add(`${key} ${grant}`);
    for (const record of this.holds)
      if (grant !== null && record.key === key && covers(grant, record)) record.deletedAt = this.#world.nowMS;
    for (const call of this.calls) if (call.key === key) this.#excuse(call, grant);
    this.disturb();
  }

  /**
   * Order is promised again from the next read of the queue on. Where only the lock document is gone, and nothing else goes
   * wrong, that is the next patrol of whoever waits, and arrivals keep their places, but for those that it had granted.
   */
  #excuse(call: CallRecord, grant: string | null): void {
    const keepsItsPlace = call.arrivedAt !== null && grant !== null && !grant.startsWith(`${call.arrival?.session}/`);
    if (!keepsItsPlace || !this.#times.onlyTheOperator) call.exempt = true;
    else call.arrivedAt = this.#world.nowMS + this.#times.patrolIntervalMS + this.#times.slackMS;
  }

  /** The holds of this session are from now on those that INV-01 does not cover. */
  uncover(session: string): void {
    this.#uncovered.add(session);
    for (const record of this.holds) if (record.hold.session.id === session) record.uncovered = true;
  }

  // --- what is ended by force ---------------------------------------------------------------------------------------

  /** A process asks for it; the result is called with the answer. */
  forcing(request: ForceRequest): (answer: boolean | { readonly code: string }) => void {
    const call = this.forces.asked(request);
    return (answer) => {
      const lock = this.#set.committed.get(call.key);
      const known = lock?.kind === 'lock' ? lock : null;
      this.#expect('INV-09', this.forces.answered(call, answer, known));
      if (answer === true) this.#expect('INV-06', this.#goesOnAfter(call));
    };
  }

  /** Whoever ends a run of its own process has ended it there, too. */
  #goesOnAfter({ process, key, fencingToken }: ForceCall): string | null {
    const record = this.#openHolds.find(({ call, hold, key: of }) => {
      const run = this.forces.find(of, hold.session.id, hold.fencingToken);
      return call.process === process && of === key && run !== null && coversToken(run, fencingToken);
    });
    return record?.held ? `${record.name} goes on although its own process has ended its run` : null;
  }

  /** A stream is about to tell a note; the result is called when it has. */
  telling(process: SimProcess, { key, note }: ForcedFact): () => void {
    const concerned = this.#openHolds.filter((record) => {
      const { hold, call } = record;
      const run = this.forces.find(key, hold.session.id, record.token);
      const isIt = run?.grant.session === note.session && run.grant.firstToken === note.fencingToken;
      return call.process === process && record.key === key && hold.phase === 'held' && isIt;
    });
    return () => {
      const run = this.forces.find(key, note.session, note.fencingToken);
      if (run !== null) this.#told.set(process, (this.#told.get(process) ?? new Set()).add(run));
      for (const { hold, name } of concerned) {
        const { forced } = hold.lostError ?? {};
        const told = forced !== undefined && isSame(note, { session: note.session, ...forced });
        this.#expect('INV-06', told ? null : `${name} was told by its stream who has ended it, and does not say so`);
      }
    };
  }

  /** From here on its holds may be wrong, and its callers that were not served have no place any more. */
  #endByForce(run: ForcedRun): void {
    const { key, grant } = run;
    for (const record of this.holds) {
      if (record.key !== key || record.hold.session.id !== grant.session) continue;
      if (coversToken(run, record.token)) record.forcedAt = this.#world.nowMS;
    }
    for (const call of this.calls)
      if (call.key === key && call.end === null && isIn(grant, call)) displace(call, grant);
  }

  // --- what is stored ---------------------------------------------------------------------------------------------

  #onApplied(entry: OplogEntry): void {
    const { id, before, after, author } = entry;
    const time = { nowMS: this.#world.nowMS, serverMS: this.#set.wallMS };
    this.#expect(
      'history',
      this.lostLocks.written(entry, time, (session) => this.#set.applied.get(session)),
    );
    const grant = before?.kind === 'lock' ? before.grant : null;
    const next = after?.kind === 'lock' ? after.grant : null;
    if (grant === null || grant === next || author.command === 'OPERATOR') return;
    if (newNote(before, after) !== null) return;
    for (const record of this.#openHolds) {
      if (record.key !== id || record.exempt || !covers(grant, record)) continue;
      this.#expect('INV-06', holderFirstToKnow(record));
    }
  }

  #onCommitted(entry: OplogEntry): void {
    const { before, after, id } = entry;
    if (after?.kind === 'lock' || before?.kind === 'lock') this.#onLock(entry);
    this.#noteWritten(entry);
    if (after?.kind === 'ticket' && before === null) this.#tickets.set(id, { key: after.key, at: this.#world.nowMS });
    if (before?.kind === 'ticket' && after === null) {
      this.#tickets.delete(id);
      this.#strayedAt.delete(id);
      this.#deletedTickets.add(id);
    }
    const ended = after === null || (after.kind === 'session' && after.state === 'dead');
    if (ended && id.startsWith('session:')) {
      for (const call of this.calls) {
        if (call.arrival !== null && id === sessionId(call.arrival.session)) this.#loseSession(call);
      }
    }
  }

  #noteWritten({ before, after, id, author }: OplogEntry): void {
    const grant = before?.kind === 'lock' ? before.grant : null;
    const next = after?.kind === 'lock' ? after.grant : null;
    if (author.copy && next !== grant && next !== null) this.#writtenByCopy.add(next);
    if (author.copy && before === null) this.#writtenByCopy.add(id);
    if (after?.kind === 'ticket' && before === null) this.#writtenAt.set(id, this.#world.nowMS);
    if (next !== null && next !== grant) this.#writtenAt.set(next, this.#world.nowMS);
    const ended = after === null || (after.kind === 'session' && after.state === 'dead');
    if (!ended || !id.startsWith('session:')) return;
    const session = id.slice('session:'.length);
    if (!this.#overAt.has(session)) this.#overAt.set(session, this.#world.nowMS);
  }

  /**
   * Whether a ticket or a grant was written after its session had ended; or its client was closed, and could not write
   * that end, or pass on what a lost session held, in the time that closing has.
   */
  isExcused(named: string): boolean {
    if (this.#writtenByCopy.has(named)) return true;
    const [session = ''] = named.split('/');
    const overAt = this.#overAt.get(session) ?? Number.POSITIVE_INFINITY;
    // A session that ends looks once more what it holds; what names it after that look it cannot know.
    const isOver = overAt < Number.POSITIVE_INFINITY;
    const lastLookAt = isOver ? Math.min(overAt, this.#auditedAt.get(session) ?? overAt) : overAt;
    const late = (this.#writtenAt.get(named) ?? 0) > lastLookAt;
    const closed = this.#closings.find(({ process }) => session.startsWith(`${process.name}s`));
    return late || (closed !== undefined && (closed.doneAt < overAt || this.#lost.has(session)));
  }

  #onLock(entry: OplogEntry): void {
    const { id: key, before, after, author } = entry;
    if (author.command === 'OPERATOR') return;
    const { run, wrong } = this.forces.noted(entry);
    this.#expect('history', wrong);
    if (run !== null) this.#endByForce(run);
    const grant = before?.kind === 'lock' ? before.grant : null;
    const next = after?.kind === 'lock' ? after.grant : null;
    const record = this.#key(key);
    if (next !== null && next !== grant) {
      // A grant to the dead moves nothing: k of them at the head may cost no more than one.
      if (this.#isOfTheLiving(next)) record.movedAt = this.#world.nowMS;
      const parsed = parseGrant(next);
      this.#expect('history', parsed === null ? `malformed grant ${next}` : null);
      const tokens = { before: record.storedToken, now: parsed?.firstToken ?? 0 };
      this.#expect('INV-02', fencingMonotonic(key, tokens));
      this.#expect('history', parsed === null ? null : this.#passedBack(key, parsed));
      record.storedToken = parsed === null ? 0 : lastToken(parsed);
    }
    if (next === null && grant !== null) record.movedAt = this.#world.nowMS;
    const taken = grant === null && next !== null && (author.command === 'TRY' || author.command === 'ARRIVE');
    if (taken) {
      const by = `${author.command} of ${author.process} (${next})`;
      this.#expect('INV-04', noBarging({ key, by, takenAt: this.#world.nowMS }, this.calls));
    }
    if (author.command === 'ARRIVE') this.#arrived(author.detail ?? '');
  }

  /** Whose run was ended by hand has no place in the queue any more, but with a new ticket. */
  #passedBack(key: string, { session, tickets }: Grant): string | null {
    const ids = tickets.map(({ n }) => `${session}/${n}`);
    const id = ids.find((each) => {
      return this.forces.names(key, each) && this.#tickets.has(each) && !this.#deletedTickets.has(each);
    });
    return id === undefined ? null : `${key} is granted to ${id} again, whose run was ended by hand`;
  }

  #arrived(id: string): void {
    for (const call of this.calls) {
      if (call.arrival?.id !== id || call.arrivedAt !== null) continue;
      call.arrivedAt = this.#world.nowMS;
      const session = this.#set.committed.get(sessionId(call.arrival.session));
      if (session?.kind !== 'session' || session.state === 'dead') this.#loseSession(call);
    }
  }

  #loseSession(call: CallRecord): void {
    call.sessionLost = true;
    call.exempt = true;
  }

  // --- after every step -------------------------------------------------------------------------------------------

  /** What must hold at every instant, whatever just happened. */
  afterStep(): void {
    for (const record of this.#openHolds) {
      if (!record.over) this.#checkHold(record);
      else if (record.hold.phase === 'lost') this.#expect('INV-06', lossIsSignalled(record, 0, -1));
    }
    this.#openHolds = this.#openHolds.filter((record) => !record.over);
  }

  #checkHold(record: HoldRecord): void {
    const { nowMS } = this.#world;
    this.#expect('INV-06', neverRevives(record, record.doubted));
    record.doubted ||= !record.held;
    if (record.held || !record.running) record.doubtedAt = null;
    else record.doubtedAt ??= nowMS;
    const lateMS = record.doubtedAt === null ? 0 : nowMS - record.doubtedAt;
    this.#expect('INV-06', lossIsSignalled(record, lateMS, SIGNAL_TOLERANCE_MS));
    const { endedAt } = record;
    if (endedAt === null || !record.held || !record.running) return;
    const { heartbeatMS, slackMS } = this.#times;
    const owed = nowMS - Math.max(endedAt, this.disturbedAt) > heartbeatMS + slackMS;
    this.#expect('INV-06', owed ? `${record.name} holds ${record.key} long after it was ended by hand` : null);
  }

  /** INV-05, looked at every now and then: it is about how long nothing happens. */
  checkProgress(): void {
    for (const [key, { movedAt }] of this.#keys) {
      if (this.holds.some((record) => record.key === key && !record.over && record.forcedAt === null)) continue;
      const waitingSince = this.#waitingSince(key);
      if (waitingSince === null) continue;
      const since = Math.max(movedAt, this.disturbedAt, waitingSince);
      const cause = this.#causeOf(key);
      const stall = { key, cause, forMS: this.#world.nowMS - since };
      const { leaseMS, clockSkewMS, slackMS } = this.#times;
      const lookIntervalMS = this.#lookIntervalMS(key, cause);
      this.#expect('INV-05', progress(stall, { leaseMS, clockSkewMS, lookIntervalMS, slackMS }));
    }
  }

  /** How often whoever must notice looks. Where nothing happens to the stream, it tells whoever waits at once. */
  #lookIntervalMS(key: string, cause: StallCause): number {
    const { heartbeatMS, patrolIntervalMS, streamIsGood } = this.#times;
    const doc = this.#set.committed.get(key);
    const holder = doc?.kind === 'lock' && doc.grant !== null ? this.#processOf(doc.grant) : null;
    if (cause === 'holder-dead' || holder === null) return patrolIntervalMS;
    const waits = this.calls.some((call) => call.key === key && call.process === holder && call.waiting);
    if (!waits) return Math.max(heartbeatMS, patrolIntervalMS);
    return streamIsGood ? 0 : patrolIntervalMS;
  }

  /** Since when a ticket is stored of a session that is its process's own, with a call that waits; null: there is none. */
  #waitingSince(key: string): number | null {
    const since: number[] = [];
    for (const [process, session] of this.sessions) {
      const waits = this.calls.some((call) => call.key === key && call.process === process && call.waiting);
      if (!waits || process.state !== 'running') continue;
      for (const [id, ticket] of this.#tickets)
        if (ticket.key === key && id.startsWith(`${session}/`)) since.push(ticket.at);
    }
    return since.length === 0 ? null : Math.min(...since);
  }

  /** INV-08 while a session lives: looked at every now and then, as progress is. */
  checkStrays(): void {
    const { leaseMS, slackMS } = this.#times;
    for (const [id, { key }] of this.#tickets) {
      const process = this.#processOf(id);
      const waits = this.calls.some((call) => call.process === process && call.key === key && call.waiting);
      if (process === null || waits || this.#writtenByCopy.has(id)) {
        this.#strayedAt.delete(id);
        continue;
      }
      const since = Math.max(this.#strayedAt.get(id) ?? this.#world.nowMS, this.disturbedAt);
      this.#strayedAt.set(id, since);
      const owed = this.#world.nowMS - since > leaseMS + slackMS;
      this.#expect(
        'INV-08',
        owed ? `ticket ${id} of ${key} is there for more than a lease, and no caller waits` : null,
      );
    }
  }

  #causeOf(key: string): StallCause {
    const doc = this.#set.committed.get(key);
    if (doc?.kind !== 'lock' || doc.grant === null) return 'missed';
    const [session = ''] = doc.grant.split('/');
    // A client that closes waits for its holders, for as long as others wait for the dead.
    return this.#isOfTheLiving(doc.grant) && !this.lostLocks.keeps(session) ? 'missed' : 'holder-dead';
  }

  #isOfTheLiving(grant: string): boolean {
    return this.#processOf(grant) !== null;
  }

  /** The running process whose current session a grant or a ticket names. */
  #processOf(grant: string): SimProcess | null {
    for (const [process, session] of this.sessions) {
      if (grant.startsWith(`${session}/`) && process.state === 'running') return process;
    }
    return null;
  }

  /** When all is over: what must have happened by then, and must not be there any more. */
  checkEnd(left: Parameters<typeof nothingLeftBehind>[0]): void {
    for (const call of this.calls) {
      this.#expect('INV-05', call.waiting ? `${call.name} of ${call.process.name} never settles` : null);
    }
    for (const record of this.holds) {
      if (record.call.process.state === 'dead') continue;
      const reports = record.lostCount + record.releasedCount;
      const released = record.releases.some((answer) => answer === true);
      const wrong = reports > 1 || (released && record.releasedCount !== 1);
      const silent = reports === 0 && record.releases.length === 0;
      const what = `${record.name}: ${record.lostCount} lost, ${record.releasedCount} released, answers ${record.releases}`;
      this.#expect('history', wrong || silent ? what : null);
    }
    for (const { process, doneAt } of this.#closings) {
      const done = doneAt < Number.POSITIVE_INFINITY;
      this.#expect('INV-11', done || process.state === 'dead' ? null : `${process.name} never ends closing`);
    }
    for (const call of this.forces.calls) this.#expect('INV-09', this.forces.checkEnd(call));
    this.#expect('INV-08', nothingLeftBehind(left));
  }

  expect(invariant: Violation['invariant'], what: string | null): void {
    this.#expect(invariant, what);
  }

  #expect(invariant: Violation['invariant'], what: string | null): void {
    if (what !== null) this.violation ??= { invariant, what, atMS: this.#world.nowMS };
  }

  #key(key: string): KeyRecord {
    const known = this.#keys.get(key);
    if (known !== undefined) return known;
    const record = { storedToken: 0, servedToken: 0, movedAt: this.#world.nowMS };
    this.#keys.set(key, record);
    return record;
  }
}

/** Whether a hold is one of a stored grant's. */
function covers(text: string, record: HoldRecord): boolean {
  const grant = parseGrant(text);
  return grant !== null && grant.firstToken <= record.token && record.token <= lastToken(grant);
}

/** The same for a key and a grant. */
function coversOn(text: string, record: HoldRecord): boolean {
  const [key, grant = ''] = text.split(' ');
  return key === record.key && covers(grant, record);
}

function coversToken({ grant }: ForcedRun, token: number): boolean {
  return grant.firstToken <= token && token <= lastToken(grant);
}

/** Whether a call is one of a run's, as far as labels tell; where they do not tell of all, whether it may be. */
function isIn({ session, tickets }: Grant, call: CallRecord): boolean {
  if (tickets.some(({ n }) => call.tickets.has(`${session}/${n}`))) return true;
  const isUnknown = call.arrival?.session === session && call.tickets.size === 0;
  return isUnknown && tickets.some(({ callers }) => callers > LABELS_MAX);
}

function displace(call: CallRecord, { session, tickets }: Grant): void {
  call.displaced = { session, n: Math.max(...tickets.map(({ n }) => n)) };
  call.arrival = null;
  call.arrivedAt = null;
}

/** One that has lost its place takes another with a ticket that tells its name, and no other. */
function mayTakePlace({ displaced }: CallRecord, session: string, ticket: ArrivingTicket | undefined): boolean {
  if (displaced === null) return true;
  return ticket !== undefined && (session !== displaced.session || ticket.n > displaced.n);
}
