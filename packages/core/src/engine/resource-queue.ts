/**
 * The queue of one resource in this process: callers that wait, the tickets sent for them, and the run that is held.
 * It does one thing at a time with the lock document (an arrival, or a release, never both: rule 2), and every grant,
 * whoever reports it, comes through one door, `receive`. It is called by the engine, the patrol and its own holds.
 */
import type { Clock } from '../base/clock.js';
import { type LockLostError, LockNewerVersionError, LockOutcomeUnknownError } from '../errors.js';
import type { LostLockRelease } from '../options.js';
import type { AwaitedLock, LockStore } from '../ports.js';
import type { LockState } from '../protocol/documents.js';
import { parseForced } from '../protocol/forced.js';
import { formatGrant, type Grant, lastToken, parseGrant, ticketId } from '../protocol/grant.js';
import { traceparentBefore } from '../protocol/trace.js';
import { arrivalsAtGrant, chunk, HEAD_LIMIT, handoffTo, headRun, vacateOutcome } from '../protocol/transitions.js';
import { type AttemptContext, isHopeless, mayBeApplied, mayPass, SessionGone, untilAcknowledged } from './attempt.js';
import { Hold, type HoldOwner, type LossFacts } from './hold.js';
import { Positions } from './positions.js';
import type { AcquireRequest } from './request.js';
import { HeldRun, type Slot, type Successors } from './run.js';
import type { Session } from './session.js';
import { Ticket } from './ticket.js';
import type { Waiter } from './waiter.js';

/** How many tickets one ARRIVE may write; what is over goes with the next. */
const ARRIVE_TICKETS_MAX = 100;
/** How many tickets that are being deleted a PREFETCH leaves out; one that it finds is granted, and passed on at once. */
const LEFT_OUT_MAX = 1_000;
/** For how long after it was passed on to others a lock is taken for held: who comes again so soon goes straight to the queue. */
const PASSED_ON_MS = 20;

const NO_TICKETS: Map<number, Ticket> = new Map();
const NONE_UNMARKED: Set<Ticket> = new Set();
const NO_DELETIONS: Set<Promise<void>> = new Set();
const NONE_DELETED: Set<string> = new Set();

/** A lost grant that is left to its holder, though it may stand all the same. */
interface KeptGrant {
  /** Until when; its holder may end before. */
  until: number;
}

/** What is kept of a queue in which nothing happens any more. */
export interface QueueMemory {
  /** The last token that came through the door. */
  readonly handledToken: number;
  /** When the last run of this session ended here, in the client's order of reads; 0: none has. */
  readonly endedOrder: number;
  readonly kept: KeptGrant | null;
  readonly holder: Grant | null;
  readonly born: number | null;
  /** When it was last passed on to others; -Infinity: not that we know. */
  readonly passedOnAt: number;
}

/** What happened, for events and logs. */
export interface QueueReport {
  waiting(request: AcquireRequest): void;
  /** How many callers are before this one and itself, and how long they are expected to take; null: nothing is known. */
  position(waiter: Waiter, position: number, estimatedWaitMS: number | null): void;
  /** With by which span the lock was held before; null: nobody said so. */
  granted(hold: Hold, waiter: Waiter, previousTraceparent: string | null): void;
  released(hold: Hold): void;
  lost(hold: Hold, error: LockLostError): void;
  /** A release was not acknowledged in time: nobody knows yet whether it was applied. */
  unreleased(hold: Hold, error: unknown): void;
  failed(error: unknown, request?: AcquireRequest): void;
}

/** What comes with a report of a grant. */
interface GrantReport {
  /** `arrivals` when the queue behind it was empty, where it is known that it was. */
  readonly emptyAt?: number | undefined;
  /** By which span the lock was held last, as stored. */
  readonly trace?: string | undefined;
  /** When the read that reports it was sent, in the client's order of reads; absent: no read reports it. */
  readonly readOrder?: number;
}

/** What the queue needs of the client it belongs to. */
export interface QueueHost {
  readonly clock: Clock;
  readonly store: LockStore;
  readonly attempts: AttemptContext;
  readonly report: QueueReport;
  readonly runMaxCount: number;
  readonly leaseDurationMS: number;
  readonly releaseLostLocks: LostLockRelease;
  /** The session that is alive now; null: there is none. */
  readonly session: Session | null;
  /** That session, or a new one. Rejects where none can be had. */
  openSession(): Promise<Session>;
  /** Has the stream open before a ticket is sent. Rejects where it cannot be. */
  openFeed(session: Session): Promise<void>;
  /** The next instant in the order of this client's reads and grants. */
  nextOrder(): number;
  /** Deletes tickets of this session; resolves when acknowledged, or the session is gone. Never rejects. */
  deleteTickets(session: Session, numbers: readonly number[]): Promise<void>;
  /** The same where their callers have left: no release may grant them from the lock document either. */
  leaveQueue(session: Session, key: string, numbers: readonly number[]): Promise<void>;
  /** Someone else holds it: look who, at once. */
  patrolSoon(key: string): void;
  /** An arrival may have been granted although nobody waits for it any more, or a hold not stand any more. */
  auditSoon(): void;
  /** Whether anybody wants to know positions: then they are looked up at once, and the lock is watched. */
  readonly positionsWanted: boolean;
  /** Somebody wants to see the lock move. */
  watchSoon(): void;
  /** Waits before another try for a session. */
  backOff(triesCount: number): Promise<void>;
  /** There is nothing left here. */
  retire(queue: ResourceQueue): void;
}

export class ResourceQueue implements HoldOwner {
  readonly key: string;
  /** The last token that came through the door. */
  handledToken: number;
  readonly #host: QueueHost;
  #pending: Waiter[] = [];
  // Made when first needed: most locks are held without anybody waiting, and there may be many thousands.
  #tickets: Map<number, Ticket> = NO_TICKETS;
  #unmarked: Set<Ticket> = NONE_UNMARKED;
  #run: HeldRun | null = null;
  #working = false;
  /** Ends the worker's wait for the stream. */
  #interrupt: (() => void) | null = null;
  #born: number | null;
  #endedOrder: number;
  #kept: KeptGrant | null;
  #holder: Grant | null;
  #passedOnAt: number;
  #deletions: Set<Promise<void>> = NO_DELETIONS;
  /** `_id`s of tickets that nobody waits for, until their deletion is acknowledged. */
  #beingDeleted: Set<string> = NONE_DELETED;
  /** Whether somebody left since the audit that comes was prepared; whether one comes at all. */
  #auditAsked = false;
  #auditComes = false;
  #sessionTriesCount = 0;
  #positions: Positions | null = null;
  /** A caller of this lock, whose own values are in the reports of failures. */
  #subject: AcquireRequest | undefined;

  constructor(key: string, memory: QueueMemory | undefined, host: QueueHost) {
    this.key = key;
    this.handledToken = memory?.handledToken ?? 0;
    this.#born = memory?.born ?? null;
    this.#endedOrder = memory?.endedOrder ?? 0;
    this.#kept = memory?.kept ?? null;
    this.#passedOnAt = memory?.passedOnAt ?? Number.NEGATIVE_INFINITY;
    this.#host = host;
    // Whoever held it then may be long gone.
    this.#holder = this.#passedOnLately ? (memory?.holder ?? null) : null;
  }

  get #attempts(): AttemptContext {
    return { ...this.#host.attempts, onFailure: (error) => this.#host.report.failed(error, this.#subject) };
  }

  /** What a queue of the same key that comes after this one should know. */
  get memory(): QueueMemory {
    const { handledToken } = this;
    const holder = this.#passedOnLately ? this.#holder : null;
    const ended = { endedOrder: this.#endedOrder, kept: this.#kept };
    return { handledToken, ...ended, holder, born: this.#born, passedOnAt: this.#passedOnAt };
  }

  /** Who holds the lock, as far as was read. */
  get holder(): Grant | null {
    return this.#run?.grant ?? this.#holder;
  }

  get run(): HeldRun | null {
    return this.#run;
  }

  /** Whether someone here waits for something that others do, or is about to: what is read for them is kept. */
  get awaiting(): boolean {
    for (const ticket of this.#tickets.values()) if (ticket.kind === 'arrive' && ticket.open) return true;
    return this.#pending.some((waiter) => waiter.mode === 'wait' && waiter.phase === 'waiting');
  }

  get idle(): boolean {
    return !this.#working && !this.#occupied && this.#deletions.size === 0;
  }

  /** Whether someone here has the lock or is before whoever comes now. */
  get #occupied(): boolean {
    return this.#run !== null || this.#tickets.size > 0 || this.#dropSettled() > 0;
  }

  enqueue(waiter: Waiter): void {
    if (waiter.mode === 'try' && this.#occupied) {
      waiter.refuse();
      return;
    }
    this.#subject = waiter.request;
    this.#pending.push(waiter);
    this.#work();
  }

  /** A waiter of this queue has left or was served elsewhere: its tickets may have nobody left. */
  forget(waiter: Waiter): void {
    let left = false;
    for (const place of waiter.places) {
      const ticket = this.#tickets.get(place.n);
      if (ticket !== place || ticket.open) continue;
      this.#close(ticket);
      left = true;
    }
    if (this.#dropSettled() === 0) this.#interrupt?.();
    if (left && waiter.phase === 'left') void this.#auditWhenDeleted();
    this.#retireIfIdle();
  }

  // --- the door ---------------------------------------------------------------------------------------------------

  /**
   * Every report of a grant to this session: a reply, a fact, the patrol, the audit. Drops what was handled; serves
   * what is awaited; passes on what is not.
   */
  receive(text: string, { emptyAt, trace, readOrder = 0 }: GrantReport = {}): void {
    const session = this.#host.session;
    const grant = parseGrant(text);
    if (session === null || grant === null || grant.session !== session.id || !session.check()) return;
    if (grant.firstToken <= this.handledToken && !this.#standsUnserved(readOrder)) return;
    this.handledToken = Math.max(this.handledToken, lastToken(grant));
    this.#replaceRun();
    const run = this.#startRun(session, text, grant, traceparentBefore(grant.firstToken, trace));
    if (emptyAt === undefined) void this.#prefetch(run);
    else run.successors = { arrivals: emptyAt, next: null, readAt: this.#host.clock.nowMS() };
    this.#serveNext(run);
  }

  /**
   * Whether a grant that was handled has to be released once more: a read that was sent after its run ended here still
   * finds it, and only this session can give it back.
   */
  #standsUnserved(readOrder: number): boolean {
    const isKept = this.#kept !== null && this.#host.clock.nowMS() < this.#kept.until;
    return this.#run === null && readOrder > this.#endedOrder && !isKept;
  }

  /** A newer grant tells that the one before stands no more: released by us, or lost. */
  #replaceRun(): void {
    const run = this.#run;
    if (run === null) return;
    if (run.phase === 'serving') this.loseRun('another grant has followed it');
    else this.#endRun(run, true);
  }

  #startRun(session: Session, text: string, grant: Grant, previousTraceparent: string | null): HeldRun {
    const slots: Slot[] = [];
    const served: number[] = [];
    let token = grant.firstToken;
    for (const { n, callers } of grant.tickets) {
      const ticket = this.#tickets.get(n);
      ticket?.waiters.forEach((waiter, index) => {
        if (waiter.phase !== 'waiting') return;
        waiter.enterRun();
        slots.push({ waiter, token: token + index });
      });
      if (ticket === undefined) served.push(n);
      token += callers;
    }
    const order = this.#host.nextOrder();
    const run = new HeldRun({ session, text, grant, slots, order, previousTraceparent });
    this.#run = run;
    if (served.length > 0) this.#delete(session, served);
    for (const ticket of [...this.#tickets.values()]) if (!ticket.open) this.#close(ticket);
    return run;
  }

  // --- serving ----------------------------------------------------------------------------------------------------

  /** The next caller of the run, in memory; where there is none, the run is to be released. */
  #serveNext(run: HeldRun): boolean {
    const slot = run.nextSlot();
    if (slot === null) {
      run.phase = 'finished';
      this.#work();
      return false;
    }
    const { request } = slot.waiter;
    const hold = new Hold(request, slot.token, this.#host.clock.nowMS(), run.session, this);
    const previous = run.serve(hold);
    slot.waiter.grant(hold);
    this.#host.report.granted(hold, slot.waiter, previous);
    return true;
  }

  async releaseHold(hold: Hold): Promise<boolean> {
    const run = this.#run;
    if (run === null || run.current !== hold) return false;
    run.current = null;
    if (run.session.check() && this.#serveNext(run)) {
      this.#host.report.released(hold);
      return true;
    }
    const released = await this.#untilReleased(run);
    if (released) this.#host.report.released(hold);
    else this.#host.report.unreleased(hold, releaseUnknown(hold));
    return released;
  }

  grantOf(hold: Hold): string | null {
    return this.#run?.current === hold ? this.#run.text : null;
  }

  doubt(): void {
    this.#host.auditSoon();
  }

  /** Whether somebody waits behind the run that is held, as far as is known here; asked by whoever would make room. */
  get contended(): boolean {
    const run = this.#run;
    return run !== null && (this.awaiting || run.unserved().length > 0 || run.isFollowed);
  }

  /** Waits no longer than until the local deadline as it is now: renewals move it on for as long as the process lives. */
  #untilReleased(run: HeldRun): Promise<boolean> {
    const limit = this.#host.clock.setTimer(() => run.giveUpWaiting(), run.session.leftMS);
    return run.untilReleased().finally(() => limit.cancel());
  }

  // --- losing -----------------------------------------------------------------------------------------------------

  /** The run that begins with this token was ended by somebody: reports of it come too late. */
  endedByHand(firstToken: number): void {
    if (firstToken <= this.handledToken) return;
    this.handledToken = firstToken;
    this.#endedOrder = this.#host.nextOrder();
  }

  /** The run stands no more although we did not release it. Those of it who were not served wait again. */
  loseRun(why: string, facts?: LossFacts): void {
    const run = this.#run;
    if (run === null) return;
    const hold = run.current;
    run.current = null;
    this.#waitAgain(run.unserved());
    this.#endRun(run, false);
    this.#lose(hold, why, facts);
    if (hold !== null && this.#host.releaseLostLocks === 'on-unlock') this.#keepUntilUnlocked(hold);
    this.#work();
  }

  /** Its grant may stand all the same: then it is given back when its holder has ended, at the latest a lease later. */
  #keepUntilUnlocked(hold: Hold): void {
    const kept = { until: this.#host.clock.nowMS() + this.#host.leaseDurationMS };
    this.#kept = kept;
    void hold.untilUnlocked().then(() => {
      kept.until = Number.NEGATIVE_INFINITY;
    });
  }

  /**
   * Everything starts over under a new session: holds are lost, waiting callers arrive again. Returns the hold that was
   * lost.
   */
  loseSession(why: string): Hold | null {
    const run = this.#run;
    const hold = run?.current ?? null;
    const waiting = new Set(run?.unserved() ?? []);
    for (const ticket of this.#tickets.values())
      for (const waiter of ticket.waiters) if (!waiter.settled) waiting.add(waiter);
    this.#tickets = NO_TICKETS;
    this.#unmarked = NONE_UNMARKED;
    this.#positions?.forget();
    if (run !== null) {
      run.current = null;
      this.#endRun(run, false);
    }
    this.#waitAgain([...waiting]);
    this.#lose(hold, why);
    this.#work();
    return hold;
  }

  /** The client closes: holds are lost first, then released, so that nobody relies on them while others get them. */
  close(reason: (request: AcquireRequest) => Error): void {
    for (const waiter of this.#allWaiters()) waiter.leave(reason(waiter.request));
    const run = this.#run;
    if (run === null || run.phase !== 'serving') return;
    const hold = run.current;
    if (hold !== null && this.#host.releaseLostLocks === 'on-unlock') void this.#finishUnlocked(run, hold);
    else this.#finish(run);
    this.#lose(hold, 'the client was closed', hold === null ? {} : { cause: reason(hold.request) });
    this.#work();
  }

  /** Its holder may use what the lock guards until it unlocks. */
  async #finishUnlocked(run: HeldRun, hold: Hold): Promise<void> {
    await hold.untilUnlocked();
    if (this.#run !== run) return;
    this.#finish(run);
    this.#work();
  }

  #finish(run: HeldRun): void {
    run.current = null;
    run.phase = 'finished';
  }

  #allWaiters(): Set<Waiter> {
    const waiters = new Set([...(this.#run?.unserved() ?? []), ...this.#pending]);
    for (const ticket of this.#tickets.values()) for (const waiter of ticket.waiters) waiters.add(waiter);
    return waiters;
  }

  #lose(hold: Hold | null, why: string, facts?: LossFacts): void {
    const error = hold?.lose(why, facts);
    if (hold && error) this.#host.report.lost(hold, error);
  }

  #endRun(run: HeldRun, released: boolean): void {
    run.end(released);
    if (this.#run !== run) return;
    this.#run = null;
    this.#endedOrder = this.#host.nextOrder();
  }

  /** Those that waited before keep their order among those that wait here. One that would only try was answered by nobody. */
  #waitAgain(waiters: readonly Waiter[]): void {
    for (const waiter of waiters) {
      waiter.leaveRun();
      if (waiter.mode === 'try') waiter.leave(outcomeUnknown(waiter.request));
    }
    const again = waiters.filter((waiter) => waiter.phase === 'waiting' && !this.#pending.includes(waiter));
    this.#pending = [...again, ...this.#pending].sort((a, b) => a.order - b.order);
  }

  // --- one thing at a time ----------------------------------------------------------------------------------------

  /** Starts the worker where it is not running. It begins after the current callers have all been heard. */
  #work(): void {
    this.#interrupt?.();
    if (this.#working) return;
    this.#working = true;
    void Promise.resolve().then(() => this.#workUntilIdle());
  }

  async #workUntilIdle(): Promise<void> {
    for (;;) {
      try {
        const step = this.#nextStep();
        if (step === null) break;
        await step;
      } catch (error) {
        // A lost session has put everything back already; anything else is a fault that must not stop the queue.
        if (!(error instanceof SessionGone)) this.#host.report.failed(error, this.#subject);
      }
    }
    this.#working = false;
    this.#retireIfIdle();
  }

  /**
   * One command at a time; a release goes before an arrival. null: nothing to do. Not a promise of that: whoever came
   * between the decision and the end of the worker would be heard by nobody.
   */
  #nextStep(): Promise<void> | null {
    const run = this.#run;
    if (run?.phase === 'finished') return this.#release(run);
    if (this.#unmarked.size > 0) return this.#markAgain();
    return this.#dropSettled() > 0 ? this.#arrive() : null;
  }

  #dropSettled(): number {
    const waits = (waiter: Waiter): boolean => waiter.phase === 'waiting';
    if (!this.#pending.every(waits)) this.#pending = this.#pending.filter(waits);
    return this.#pending.length;
  }

  /** Copies of just that size: these lists may live long. */
  #takePending(maxCount: number): Waiter[] {
    const taken = this.#pending.slice(0, maxCount);
    this.#pending = this.#pending.slice(maxCount);
    return taken;
  }

  #retireIfIdle(): void {
    if (this.idle) this.#host.retire(this);
  }

  // --- arriving ---------------------------------------------------------------------------------------------------

  async #arrive(): Promise<void> {
    const session = await this.#sessionToArriveIn();
    if (session === null || this.#run?.phase === 'finished' || this.#dropSettled() === 0) return;
    if (this.#mayBeFree) await this.#try(session);
    else await this.#arriveInQueue(session);
  }

  /** As far as is known here. One that would only try is always answered by the server. */
  get #mayBeFree(): boolean {
    if (this.#run !== null || this.#tickets.size > 0) return false;
    return !this.#passedOnLately || this.#pending.some(({ mode }) => mode === 'try');
  }

  get #passedOnLately(): boolean {
    return this.#host.clock.nowMS() - this.#passedOnAt < PASSED_ON_MS;
  }

  /** null: there is none, and who cannot wait for one has been told. */
  async #sessionToArriveIn(): Promise<Session | null> {
    const alive = this.#host.session;
    if (alive?.check()) return alive;
    try {
      const session = await this.#host.openSession();
      this.#sessionTriesCount = 0;
      return session;
    } catch (error) {
      if (!(error instanceof SessionGone)) this.#refuse(this.#pending, error);
      this.#sessionTriesCount += 1;
      if (this.#dropSettled() === 0) return null;
      if (!(error instanceof SessionGone)) this.#host.report.failed(error, this.#subject);
      await this.#host.backOff(this.#sessionTriesCount);
      return null;
    }
  }

  /** An error for those that were not sent yet where there is no primary, and for all where trying again cannot help. */
  #refuse(waiters: readonly Waiter[], error: unknown): void {
    for (const waiter of [...waiters]) {
      if (!mayPass(error) || (isHopeless(error) && !waiter.arrivalSent)) waiter.leave(error);
    }
  }

  async #try(session: Session): Promise<void> {
    const ticket = this.#openTicket(session, this.#takePending(this.#host.runMaxCount), 'try');
    let triesCount = 0;
    const send = (): Promise<LockState> => {
      triesCount += 1;
      if (triesCount > 1) session.mayBeNamed = true;
      return this.#host.store.tryGrant({ key: this.key, session: session.id, ticket: ticket.ref });
    };
    const fresh = ticket.waiters.every((waiter) => !waiter.arrivalSent);
    const giveUp = fresh ? isHopeless : (error: unknown) => !mayPass(error);
    // After one try that may have been applied, only an answer, or the end of the session, settles what became of it.
    let isUnknown = false;
    let reply: LockState;
    try {
      reply = await untilAcknowledged(this.#attempts, session, send, (error) => {
        if (!isUnknown && giveUp(error)) return true;
        isUnknown ||= mayBeApplied(error);
        return false;
      });
    } catch (error) {
      if (error instanceof SessionGone) throw error;
      this.#refuse(ticket.waiters, error);
      return this.#waitAgain(ticket.waiters);
    }
    this.#born = reply.born;
    this.#afterTry(session, ticket, reply);
  }

  /** Only a grant of this very ticket says that the queue was empty: nothing but a TRY grants its number. */
  #afterTry(session: Session, ticket: Ticket, reply: LockState): void {
    const grant = parseGrant(reply.grant);
    const won = grant?.session === session.id && grant.tickets.some(({ n }) => n === ticket.n);
    const emptyAt = won ? arrivalsAtGrant(reply) : undefined;
    if (grant?.session === session.id) this.receive(formatGrant(grant), { emptyAt, trace: reply.trace });
    const waiting = ticket.waiters.filter((waiter) => waiter.phase === 'waiting');
    if (grant === null) this.#refuse(waiting, unreadableGrant(this.key));
    if (grant !== null && grant.session !== session.id) this.#holder = grant;
    if (waiting.length === 0) return;
    // Also for callers that only try: nobody else may ever look whether the holder is alive.
    this.#host.patrolSoon(this.key);
    for (const waiter of waiting) if (waiter.mode === 'try') waiter.refuse();
    this.#waitAgain(waiting.filter((waiter) => waiter.phase === 'waiting'));
  }

  async #arriveInQueue(session: Session): Promise<void> {
    // Who was just served often comes again: all of a run that was served at once then have one ticket, or one TRY.
    if (this.#run !== null) await this.#host.clock.nextTurn();
    // Nobody was there to be interrupted meanwhile.
    if (this.#overtaken(session)) return;
    try {
      if (!(await this.#untilFeedOpen(session))) return;
    } catch (error) {
      if (error instanceof SessionGone) throw error;
      this.#refuse(this.#pending, error);
      return this.#host.backOff(1);
    }
    // Who had to wait may have left meanwhile: who came since is the first here, and tries, as the first always does.
    if (this.#mayBeFree) return;
    for (const waiter of this.#pending) if (waiter.mode === 'try') waiter.refuse();
    if (this.#overtaken(session)) return;
    const waiters = this.#takePending(this.#host.runMaxCount * ARRIVE_TICKETS_MAX);
    for (const waiter of waiters) this.#announce(waiter);
    const tickets = chunk(waiters, this.#host.runMaxCount).map((some) => this.#openTicket(session, some, 'arrive'));
    await this.#send(session, tickets);
  }

  /** What happened while something was waited for: nobody is to arrive any more, or something goes before. */
  #overtaken(session: Session): boolean {
    return session.gone || this.#run?.phase === 'finished' || this.#dropSettled() === 0;
  }

  /** false: something else may have to be done first. Nothing has been sent, so a release need not wait for it. */
  async #untilFeedOpen(session: Session): Promise<boolean> {
    const opening = this.#host.openFeed(session).then(() => true);
    const interrupted = new Promise<boolean>((resolve) => {
      this.#interrupt = () => resolve(false);
    });
    try {
      return await Promise.race([opening, interrupted]);
    } finally {
      this.#interrupt = null;
    }
  }

  #announce(waiter: Waiter): void {
    if (waiter.arrivalSent) return;
    waiter.arrivalSent = true;
    this.#host.report.waiting(waiter.request);
  }

  /** ARRIVE. Tickets that nobody waits for any more when it is acknowledged are deleted then, not before. */
  async #send(session: Session, tickets: readonly Ticket[]): Promise<void> {
    let triesCount = 0;
    session.mayBeNamed = true;
    const send = (): Promise<void> => {
      triesCount += 1;
      if (triesCount > 1) session.resentAt = this.#host.clock.nowMS();
      const arriving = tickets.map((ticket) => ticket.arriving);
      return this.#host.store.arrive({ key: this.key, session: session.id, tickets: arriving });
    };
    try {
      await untilAcknowledged(this.#attempts, session, send);
    } catch (error) {
      if (error instanceof SessionGone) throw error;
      for (const { waiters } of tickets) this.#refuse(waiters, error);
    }
    if (!session.gone) this.#arrived(session, tickets);
  }

  #arrived(session: Session, tickets: readonly Ticket[]): void {
    const order = this.#host.nextOrder();
    const closed = tickets.filter((ticket) => !this.#tickets.has(ticket.n));
    for (const ticket of tickets) ticket.arrivedOrder = order;
    if (this.#host.positionsWanted) this.#host.patrolSoon(this.key);
    if (closed.length === 0) return;
    this.#deleteTickets(session, closed);
    if (closed.some(hasLeft)) void this.#auditWhenDeleted();
  }

  /** The lock document was made anew since these arrived: its count lacks them. */
  async #markAgain(): Promise<void> {
    const session = this.#host.session;
    const tickets = [...this.#unmarked].filter((ticket) => this.#tickets.has(ticket.n));
    this.#unmarked = NONE_UNMARKED;
    if (session === null || tickets.length === 0) return;
    for (const ticket of tickets) ticket.arrivedOrder = null;
    await this.#send(session, tickets);
  }

  #openTicket(session: Session, waiters: readonly Waiter[], kind: 'try' | 'arrive'): Ticket {
    const ticket = new Ticket(session.nextTicket(), waiters, kind, this.#born);
    if (this.#tickets === NO_TICKETS) this.#tickets = new Map();
    this.#tickets.set(ticket.n, ticket);
    for (const waiter of waiters) waiter.places = [...waiter.places, ticket];
    return ticket;
  }

  #close(ticket: Ticket): void {
    this.#tickets.delete(ticket.n);
    this.#unmarked.delete(ticket);
    if (this.#tickets.size === 0) this.#tickets = NO_TICKETS;
    const session = this.#host.session;
    if (session !== null && ticket.kind === 'arrive' && ticket.arrivedOrder !== null) {
      this.#deleteTickets(session, [ticket]);
    }
  }

  #deleteTickets(session: Session, tickets: readonly Ticket[]): void {
    const left = tickets.filter(hasLeft).map(({ n }) => n);
    const served = tickets.filter((ticket) => !hasLeft(ticket)).map(({ n }) => n);
    if (left.length > 0) this.#await(this.#host.leaveQueue(session, this.key, left), { session, numbers: left });
    if (served.length > 0) this.#delete(session, served);
  }

  #delete(session: Session, numbers: readonly number[]): void {
    this.#await(this.#host.deleteTickets(session, numbers), { session, numbers });
  }

  #await(done: Promise<void>, { session, numbers }: { session: Session; numbers: readonly number[] }): void {
    const ids = numbers.map((n) => ticketId(session.id, n));
    if (this.#deletions.size === 0) {
      this.#deletions = new Set();
      this.#beingDeleted = new Set();
    }
    for (const id of ids) this.#beingDeleted.add(id);
    const deletion = done.finally(() => {
      this.#deletions.delete(deletion);
      for (const id of ids) this.#beingDeleted.delete(id);
      if (this.#deletions.size > 0) return;
      this.#deletions = NO_DELETIONS;
      this.#beingDeleted = NONE_DELETED;
      this.#retireIfIdle();
    });
    this.#deletions.add(deletion);
  }

  /** One audit for all that leave together, be they thousands. */
  async #auditWhenDeleted(): Promise<void> {
    this.#auditAsked = true;
    if (this.#auditComes) return;
    this.#auditComes = true;
    while (this.#auditAsked) {
      await null;
      this.#auditAsked = false;
      await Promise.all(this.#deletions);
      this.#host.auditSoon();
    }
    this.#auditComes = false;
  }

  // --- releasing --------------------------------------------------------------------------------------------------

  /** HANDOFF or VACATE, until the grant stands no more; what is only passed on has its ticket deleted before. */
  async #release(run: HeldRun): Promise<void> {
    while (this.#run === run) {
      if (run.deletesFirst) await Promise.all(this.#deletions);
      const { arrivals, next } = await this.#successorsOf(run);
      if (this.#run !== run) return;
      if (next === null) await this.#vacate(run, arrivals);
      else await this.#handOff(run, handoffTo(run.text, run.fence, next));
    }
  }

  async #handOff(run: HeldRun, { next, fence }: { next: string; fence: number }): Promise<void> {
    const { trace } = run;
    const request = { key: this.key, grant: run.text, next, fence, ...(trace !== undefined && { trace }) };
    const done = await this.#untilDone(run, () => this.#host.store.handoff(request));
    this.#released(run, done ? next : null, { trace });
    // Refused: by a first copy whose answer was lost, or because the grant was gone before. Only a read can tell.
    if (!done && next.startsWith(`${run.session.id}/`)) this.#host.auditSoon();
  }

  async #vacate(run: HeldRun, arrivals: number): Promise<void> {
    const { trace } = run;
    const noted = trace !== undefined && { trace };
    const request = { key: this.key, grant: run.text, arrivals, withoutSessions: [], ...noted };
    const reply = await this.#untilDone(run, () => this.#host.store.vacate(request));
    const outcome = vacateOutcome(run.text, reply);
    if (outcome.kind === 'refused') run.successors = null;
    else this.#released(run, outcome.kind === 'granted' ? outcome.grant : null, { trace });
  }

  /** The grant stands no more; what followed it may be ours again. */
  #released(run: HeldRun, next: string | null, report: GrantReport): void {
    if (this.#run !== run) return;
    this.#endRun(run, true);
    if (next === null) return;
    this.#noteGrant(next, report);
    if (!next.startsWith(`${run.session.id}/`)) this.#passedOnAt = this.#host.clock.nowMS();
  }

  /** A release has no error that ends it but the end of the session: nobody else could release. */
  #untilDone<T>(run: HeldRun, send: () => Promise<T>): Promise<T> {
    return untilAcknowledged(this.#attempts, run.session, send, (error) => {
      // A document that another tool has spoilt: those behind are told, as they would be by their own first try.
      if (run.phase === 'finished' && !mayPass(error)) this.#refuse(this.#pending, error);
      return false;
    });
  }

  /** What follows the run: as prefetched, or read now where that is missing, failed or older than a lease. */
  async #successorsOf(run: HeldRun): Promise<Successors> {
    const known = await Promise.resolve(run.successors).catch(() => null);
    if (known && this.#host.clock.nowMS() - known.readAt < this.#host.leaseDurationMS) return known;
    if (this.#run !== run) throw new SessionGone();
    return this.#prefetch(run);
  }

  #prefetch(run: HeldRun): Promise<Successors> {
    const reading = this.#untilDone(run, () => this.#readSuccessors(run));
    reading.catch(() => {});
    run.successors = reading;
    return reading;
  }

  async #readSuccessors(run: HeldRun): Promise<Successors> {
    const { grant, session } = run;
    const own = grant.tickets.map(({ n }) => ticketId(session.id, n));
    const view = await this.#host.store.readQueue({
      key: this.key,
      withoutTickets: [...own, ...[...this.#beingDeleted].slice(0, LEFT_OUT_MAX)],
      withoutSessions: [],
      limit: HEAD_LIMIT,
    });
    const next = headRun(view.head, this.#host.runMaxCount);
    run.isFollowed = next !== null;
    return { arrivals: view.lock?.arrivals ?? 0, next, readAt: this.#host.clock.nowMS() };
  }

  // --- what the patrol saw ----------------------------------------------------------------------------------------

  /** Whether that ticket of this session belongs to a caller here. */
  hasTicket(n: number): boolean {
    return this.#tickets.has(n);
  }

  /** The `_id`s of tickets that arrived before a read and are still awaited: the read must find them. */
  arrivedTickets(): Ticket[] {
    return [...this.#tickets.values()].filter(
      (ticket) => ticket.kind === 'arrive' && ticket.arrivedOrder !== null && ticket.open,
    );
  }

  /** A grant somebody else was told of, or we wrote: ours comes through the door. */
  #noteGrant(text: string, report: GrantReport): void {
    const grant = parseGrant(text);
    if (grant === null) return;
    if (grant.session === this.#host.session?.id) this.receive(text, report);
    else this.#holder = grant;
  }

  /** The lock document as the patrol read it after `readOrder`, and which of the tickets asked for it did not find. */
  review(seen: AwaitedLock | null, missing: readonly Ticket[], readOrder: number): void {
    const ended = parseForced(seen?.lock.forced);
    if (ended !== null && ended.session === this.#host.session?.id) this.endedByHand(ended.fencingToken);
    if (seen?.lock.grant) this.#noteGrant(seen.lock.grant, { trace: seen.lock.trace, readOrder });
    const gone = missing.filter(
      (ticket) => this.#tickets.has(ticket.n) && ticket.arrivedOrder !== null && ticket.arrivedOrder < readOrder,
    );
    for (const ticket of gone) this.#arriveAnew(ticket);
    if (seen !== null && this.#host.positionsWanted) this.#tellPositions(seen);
    // A mark on a vacant document would grant the marker; the head of its queue is rescued instead.
    if (seen !== null && seen.lock.grant !== null) this.#compareBorn(seen.lock.born, readOrder);
    this.#work();
  }

  /** Those of ours among the first tickets. Who is further behind hears of it later. */
  #tellPositions(seen: AwaitedLock): void {
    const { clock, report, session } = this.#host;
    this.#positions ??= new Positions({ clock, tell: (...standing) => report.position(...standing) });
    this.#host.watchSoon();
    this.#positions.read(seen, (ticket) => (ticket.session === session?.id ? this.#tickets.get(ticket.n) : undefined));
  }

  /** The watch tells up to which token the lock has been granted, and where the document was made anew. */
  moved(to: { readonly fence?: number; readonly born?: number }): void {
    if (!this.#host.positionsWanted || this.#positions === null) return;
    if (!this.#positions.moved(to)) this.#host.patrolSoon(this.key);
  }

  /** Its document is gone and it was not granted: its waiters take a new number; a grant to the old one still counts. */
  #arriveAnew(ticket: Ticket): void {
    ticket.arrivedOrder = null;
    const elsewhere = new Set(
      [...this.#tickets.values()].filter((other) => other.n > ticket.n).flatMap(({ waiters }) => waiters),
    );
    this.#waitAgain(ticket.waiters.filter((waiter) => waiter.phase === 'waiting' && !elsewhere.has(waiter)));
  }

  #compareBorn(born: number, readOrder: number): void {
    this.#born = born;
    for (const ticket of this.arrivedTickets()) {
      if (ticket.born === born || ticket.arrivedOrder === null || ticket.arrivedOrder >= readOrder) continue;
      ticket.born = born;
      if (this.#unmarked === NONE_UNMARKED) this.#unmarked = new Set();
      this.#unmarked.add(ticket);
    }
  }

  /** The documents of this key cannot be read: whoever waits is told. */
  refuseAll(error: unknown): void {
    for (const waiter of this.#allWaiters()) waiter.leave(error);
  }
}

function outcomeUnknown({ resource, id }: AcquireRequest): LockOutcomeUnknownError {
  return new LockOutcomeUnknownError(
    'The session was lost before the server answered whether the lock was granted. Nothing is held by this call.',
    { resource, id },
  );
}

/** Whether somebody left it; one that was served leaves nobody behind who did. */
function hasLeft({ waiters }: Ticket): boolean {
  return waiters.some((waiter) => waiter.phase === 'left');
}

function releaseUnknown({ resource, id }: Hold): LockOutcomeUnknownError {
  return new LockOutcomeUnknownError(
    'The release was not acknowledged before the session was lost, or in time. The lock is free for others once they have noticed that.',
    { resource, id },
  );
}

function unreadableGrant(key: string): LockNewerVersionError {
  return new LockNewerVersionError(
    `The lock document ${JSON.stringify(key)} has a grant that this version cannot read: it was written by a newer version or another tool.`,
  );
}
