/**
 * The reaper: declares dead what is dead, and passes on what the dead held. Every step may be done by several processes
 * at once and again from the start; only the server's own answer convicts. Called by the patrol, and by the engine for
 * its own lost session.
 */
import type { LockStore } from '../ports.js';
import { formatGrant } from '../protocol/grant.js';
import { isConvicted } from '../protocol/lease.js';
import { grantAfter, HEAD_LIMIT, handoffTo, headRun, vacateOutcome } from '../protocol/transitions.js';
import { type AttemptContext, Lifespan, type Lifetime, pause, SessionGone, untilAcknowledged } from './attempt.js';

export interface ReaperHost {
  readonly store: LockStore;
  readonly attempts: AttemptContext;
  readonly leaseDurationMS: number;
  readonly clockSkewMS: number;
  readonly runMaxCount: number;
  /** Whether somebody here waits for it: such locks are passed on first. */
  awaits(key: string): boolean;
  /** A grant that this process wrote: it may be one of its own. */
  onGranted(key: string, grant: string): void;
  onReaped(session: string, locksCount: number): void;
}

/** A session that may be dead. */
export interface Suspect {
  readonly session: string;
  /** Given when these beats stood still for one lease of that session. */
  readonly unchangedBeats?: number;
  /** Its lease as last read, where its document is gone. */
  readonly knownLeaseMS?: number;
}

/** How often a take-over reads again because others kept arriving; the next patrol goes on. */
const TAKE_OVER_TRIES_MAX = 8;
/** How many locks of one dead session are passed on side by side. */
const TAKE_OVERS_AT_ONCE = 16;

const NONE_KEPT: ReadonlySet<string> = new Set();

export class Reaper {
  readonly #host: ReaperHost;
  /** Of other sessions, under way. */
  readonly #burials = new Map<string, Promise<void>>();

  constructor(host: ReaperHost) {
    this.#host = host;
  }

  /** REAP and what follows. Resolves with how long to wait before asking again; 0: it is dead and buried. */
  async reap({ session, unchangedBeats, knownLeaseMS = 0 }: Suspect, lifetime: Lifetime): Promise<number> {
    const { store, clockSkewMS, leaseDurationMS } = this.#host;
    const leaseMS = Math.max(leaseDurationMS, knownLeaseMS);
    const request = { session, clockSkewMS, leaseMS, ...(unchangedBeats !== undefined && { unchangedBeats }) };
    const answer = await untilAcknowledged(this.#host.attempts, lifetime, () => store.reapSession(request));
    if (!isConvicted(answer)) return Math.max(1, answer.remainingMS);
    return (await this.#buriedInTime(session, lifetime)) ? 0 : Number.POSITIVE_INFINITY;
  }

  /**
   * An open transaction of the dead may hold a take-over back for a minute, and the patrol has others to look after: then
   * the burial goes on beside it.
   */
  async #buriedInTime(session: string, lifetime: Lifetime): Promise<boolean> {
    const limit = new Lifespan();
    let isDone = false;
    const burial = this.#burials.get(session) ?? this.#startBurial(session, lifetime);
    const end = (): void => {
      isDone = true;
      limit.end();
    };
    burial.then(end, end);
    await pause(this.#host.attempts, limit, this.#host.attempts.attemptTimeoutMS);
    if (isDone) await burial;
    else burial.catch((error) => this.#report(error));
    return isDone;
  }

  #startBurial(session: string, lifetime: Lifetime): Promise<void> {
    const burial = this.bury(session, lifetime)
      .then((locksCount) => this.#host.onReaped(session, locksCount))
      .finally(() => this.#burials.delete(session));
    burial.catch(() => {});
    this.#burials.set(session, burial);
    return burial;
  }

  #report(error: unknown): void {
    if (!(error instanceof SessionGone)) this.#host.attempts.onFailure(error);
  }

  /**
   * Deletes the tickets of a convicted session, or of our own lost one, and takes over every lock it holds but those of
   * `kept`. Resolves with how many that were.
   */
  async bury(session: string, lifetime: Lifetime, kept: ReadonlySet<string> = NONE_KEPT): Promise<number> {
    const { store } = this.#host;
    await untilAcknowledged(this.#host.attempts, lifetime, () => store.deleteTicketsOf({ session }));
    const named = await untilAcknowledged(this.#host.attempts, lifetime, () => store.readGrantsOf({ session }));
    const grants = named.filter(({ key }) => !kept.has(key));
    const waiting = grants.filter(({ key }) => this.#host.awaits(key));
    const others = grants.filter(({ key }) => !this.#host.awaits(key));
    const queue = [...waiting, ...others].values();
    const passOn = async (): Promise<void> => {
      for (const { key, grant } of queue) await this.#takeOver(session, key, grant, lifetime);
    };
    await Promise.all(Array.from({ length: TAKE_OVERS_AT_ONCE }, passOn));
    return grants.length;
  }

  async #takeOver(session: string, key: string, grant: string, lifetime: Lifetime): Promise<void> {
    try {
      for (let tries = 0; tries < TAKE_OVER_TRIES_MAX; tries += 1) {
        const send = (): Promise<boolean> => this.#passOn(session, key, grant);
        const done = await untilAcknowledged(this.#host.attempts, lifetime, send);
        if (done) return;
      }
    } catch (error) {
      // A document that another tool has spoilt keeps nobody from the other locks of the dead.
      if (error instanceof SessionGone) throw error;
      this.#host.attempts.onFailure(error);
    }
  }

  /** PREFETCH, then HANDOFF or VACATE on that exact grant. false: somebody arrived meanwhile. */
  async #passOn(session: string, key: string, grant: string): Promise<boolean> {
    const { store, runMaxCount } = this.#host;
    const withoutSessions = [session];
    const view = await store.readQueue({ key, withoutTickets: [], withoutSessions, limit: HEAD_LIMIT });
    if (view.lock?.grant !== grant) return true;
    const run = headRun(view.head, runMaxCount);
    if (run !== null) {
      const { next, fence } = handoffTo(grant, view.lock.fence, run);
      if (await store.handoff({ key, grant, next, fence })) this.#host.onGranted(key, next);
      return true;
    }
    const reply = await store.vacate({ key, grant, arrivals: view.lock.arrivals, withoutSessions });
    const outcome = vacateOutcome(grant, reply);
    if (outcome.kind === 'granted') this.#host.onGranted(key, outcome.grant);
    return outcome.kind !== 'refused';
  }

  /** RESCUE: a vacant (or absent) lock with somebody in its queue goes to the head, whoever that is. */
  async rescue(key: string, lifetime: Lifetime): Promise<void> {
    const { store, runMaxCount } = this.#host;
    await untilAcknowledged(this.#host.attempts, lifetime, async () => {
      const view = await store.readQueue({ key, withoutTickets: [], withoutSessions: [], limit: HEAD_LIMIT });
      const run = headRun(view.head, runMaxCount);
      if (run === null || (view.lock !== null && view.lock.grant !== null)) return;
      const rescued = await store.rescue({ key, fence: view.lock?.fence ?? null, ...run });
      if (rescued && view.lock !== null) this.#host.onGranted(key, formatGrant(grantAfter(view.lock.fence, run)));
    });
  }
}
