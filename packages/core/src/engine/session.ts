/**
 * The session: one lease for everything this client holds and awaits, renewed by one heartbeat. It knows its local
 * deadline and says, once, when it can no longer be relied on. It knows nothing of locks; the engine makes a new one
 * under a new id when it is needed again.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { LockStore, SessionDraft } from '../ports.js';
import type { SessionState } from '../protocol/documents.js';
import { localDeadline } from '../protocol/lease.js';
import { type AttemptContext, isHopeless, Lifespan, type Lifetime, SessionGone, untilAcknowledged } from './attempt.js';

/** How a session moves: opening → alive → lost | ended. */
export type SessionPhase = 'opening' | 'alive' | 'lost' | 'ended';

export interface SessionSettings {
  readonly leaseDurationMS: number;
  readonly heartbeatIntervalMS: number;
  readonly deadlineMarginMS: number;
}

export interface SessionListener {
  /** It can no longer be relied on; called once, before anything else learns of it. */
  onLost(session: Session, why: string): void;
  /** A heartbeat is due: the audit rides on it. */
  onHeartbeat(session: Session): void;
  /** A heartbeat was acknowledged, so long after it was due, and so long after it was sent; for events. */
  onRenewed(session: Session, took: { readonly delayMS: number; readonly roundTripMS: number }): void;
}

/** Renewals that may be on their way at once: one a heartbeat, for as long as one lease lasts. */
const RENEWALS_MAX = 3;
/** The deadline is looked at in slices of the lease, so that time spent in suspend is noticed soon after. */
const DEADLINE_SLICES = 10;

export class Session implements Lifetime {
  readonly id: string;
  /**
   * Whether a grant may name it even after everything of it is gone: a VACATE grants the first arrival it finds noted,
   * whether or not that has left, and a copy of a TRY may be late. Nobody would be there to pass it on.
   */
  mayBeNamed = false;
  /** When an arrival was last sent again: a copy that comes late may write a ticket in which no caller waits. null: none was. */
  resentAt: number | null = null;
  #phase: SessionPhase = 'opening';
  #deadlineAt = Number.POSITIVE_INFINITY;
  #ticketsCount = 0;
  #renewalsCount = 0;
  #heartbeat: Timer | null = null;
  #watch: Timer | null = null;
  readonly #life = new Lifespan();
  readonly #draft: SessionDraft;
  readonly #store: LockStore;
  readonly #settings: SessionSettings;
  readonly #context: AttemptContext;
  readonly #listener: SessionListener;

  constructor(
    draft: SessionDraft,
    ports: { readonly store: LockStore },
    settings: SessionSettings,
    context: AttemptContext,
    listener: SessionListener,
  ) {
    this.id = draft.session;
    this.#draft = draft;
    this.#store = ports.store;
    this.#settings = settings;
    this.#context = context;
    this.#listener = listener;
  }

  get phase(): SessionPhase {
    return this.#phase;
  }

  get gone(): boolean {
    return this.#life.gone;
  }

  /** Whether it can be relied on at this moment. Changes nothing: `lock.held` reads it. */
  get reliable(): boolean {
    return this.#phase === 'alive' && this.#clock.nowMS() < this.#deadlineAt;
  }

  /** How long until the local deadline as it is now; a renewal moves it on. */
  get leftMS(): number {
    return this.#deadlineAt - this.#clock.nowMS();
  }

  /** As `reliable`, and loses the session where its deadline has passed: asked wherever a grant is about to be served. */
  check(): boolean {
    if (this.#phase === 'alive' && this.#clock.nowMS() >= this.#deadlineAt)
      this.lose('its lease could not be renewed in time');
    return this.#phase === 'alive';
  }

  onGone(callback: () => void): () => void {
    return this.#life.onGone(callback);
  }

  /** The next ticket number; never given twice. */
  nextTicket(): number {
    this.#ticketsCount += 1;
    return this.#ticketsCount;
  }

  /**
   * Writes it, before its first TRY or ARRIVE. Sent again under the same id where the outcome is unknown. Rejects with
   * `LOCK_UNAVAILABLE` or what sending again cannot help, or `SessionGone`.
   */
  async open(): Promise<void> {
    let startedAt = 0;
    const send = (): Promise<SessionState> => {
      startedAt = this.#clock.nowMS();
      return this.#store.openSession(this.#draft);
    };
    // The driver's own limit for finding a primary decides here, not ours.
    const patient = { ...this.#context, attemptTimeoutMS: Number.POSITIVE_INFINITY };
    const answer = await untilAcknowledged(patient, this, send, isHopeless);
    this.#phase = 'alive';
    if (answer.state !== 'alive') this.lose('it was declared dead before it began');
    this.#extend(startedAt);
    if (!this.check()) throw new SessionGone();
    this.#watchDeadline();
    this.#scheduleHeartbeat();
  }

  /** No more heartbeats: from here on its deadline stands, and with it the limit of whatever is waited for. */
  stopRenewing(): void {
    this.#heartbeat?.cancel();
  }

  /** Nothing of it is left: stops the heartbeat. The document is deleted by the caller. */
  end(): void {
    this.#leave('ended');
  }

  /** It can no longer be relied on. */
  lose(why: string): void {
    if (this.gone) return;
    const wasAlive = this.#phase === 'alive';
    this.#leave('lost');
    if (wasAlive) this.#listener.onLost(this, why);
  }

  get #clock(): Clock {
    return this.#context.clock;
  }

  #leave(phase: 'lost' | 'ended'): void {
    this.#phase = phase;
    this.#heartbeat?.cancel();
    this.#watch?.cancel();
    this.#life.end();
  }

  /** A renewal never shortens the lease, and one acknowledged after the deadline revives nothing. */
  #extend(startedAt: number): void {
    const { leaseDurationMS, deadlineMarginMS } = this.#settings;
    const deadlineAt = localDeadline(startedAt, leaseDurationMS, deadlineMarginMS);
    if (this.#deadlineAt === Number.POSITIVE_INFINITY || deadlineAt > this.#deadlineAt) this.#deadlineAt = deadlineAt;
  }

  #watchDeadline(): void {
    if (!this.check()) return;
    const leftMS = this.#deadlineAt - this.#clock.nowMS();
    const sliceMS = this.#settings.leaseDurationMS / DEADLINE_SLICES;
    this.#watch = this.#clock.setTimer(() => this.#watchDeadline(), Math.min(leftMS, sliceMS));
  }

  #scheduleHeartbeat(): void {
    const dueAt = this.#clock.nowMS() + this.#settings.heartbeatIntervalMS;
    this.#heartbeat = this.#clock.setTimer(() => {
      if (!this.check()) return;
      this.#scheduleHeartbeat();
      void this.#renew(dueAt);
      this.#listener.onHeartbeat(this);
    }, this.#settings.heartbeatIntervalMS);
  }

  async #renew(dueAt: number): Promise<void> {
    if (this.#renewalsCount >= RENEWALS_MAX) return;
    this.#renewalsCount += 1;
    try {
      // A refusal too may pass, as for a user who is made anew: it is sent again until the local deadline.
      await untilAcknowledged(
        this.#context,
        this,
        () => this.#renewOnce(dueAt),
        () => false,
      );
    } catch (error) {
      if (!(error instanceof SessionGone)) this.#context.onFailure(error);
    } finally {
      this.#renewalsCount -= 1;
    }
  }

  async #renewOnce(dueAt: number): Promise<void> {
    const startedAt = this.#clock.nowMS();
    const answer = await this.#store.renewSession({ session: this.id, leaseMS: this.#settings.leaseDurationMS });
    if (!this.check()) return;
    if (answer === null) return this.lose('it was declared dead, or removed, by another process');
    this.#extend(startedAt);
    const nowMS = this.#clock.nowMS();
    this.#listener.onRenewed(this, { delayMS: nowMS - dueAt, roundTripMS: nowMS - startedAt });
  }
}
