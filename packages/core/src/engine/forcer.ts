/**
 * The forced release: ends the run that an operator names by one of its tokens, and passes the lock on as a take-over
 * does, with the note of who did it and why in the same write. The engine calls it; the holder learns of it by its
 * stream, or by its next audit.
 */
import { LockOutcomeUnknownError } from '../errors.js';
import type { LockStore } from '../ports.js';
import type { LockState } from '../protocol/documents.js';
import { formatForced } from '../protocol/forced.js';
import { type Grant, lastToken, parseGrant, ticketId } from '../protocol/grant.js';
import { HEAD_LIMIT, handoffTo, headRun, vacateOutcome } from '../protocol/transitions.js';
import {
  type AttemptContext,
  AttemptTimeout,
  backoffMS,
  isHopeless,
  type Lifetime,
  mayPass,
  pause,
  SessionGone,
  untilAcknowledged,
} from './attempt.js';

/** Which run, and what is noted. */
export interface ForceRequest {
  readonly key: string;
  /** Any of the run's. */
  readonly fencingToken: number;
  readonly reason: string;
  readonly by: string;
}

export interface ForcerHost {
  readonly store: LockStore;
  readonly attempts: AttemptContext;
  readonly runMaxCount: number;
  /** Ends it where it is ours, and gives us what followed where that is. */
  onForced(key: string, note: string, next: string | null): void;
}

/** One call under way. */
interface Release {
  readonly key: string;
  readonly lifetime: Lifetime;
  /** Whether the outcome of a write is unknown: then it is read before anything is reported, however long that takes. */
  unsettled: boolean;
}

/** What stands to be ended. */
interface Standing {
  readonly lock: LockState;
  readonly text: string;
  readonly grant: Grant;
  /** The stored note. */
  readonly forced: string;
}

/** How often it looks again because somebody arrived, or an answer was lost. */
const TRIES_MAX = 50;

export class Forcer {
  readonly #host: ForcerHost;

  constructor(host: ForcerHost) {
    this.#host = host;
  }

  /** Whether the run was ended by this call; false: it did not stand any more. */
  async release(request: ForceRequest, lifetime: Lifetime): Promise<boolean> {
    const { attempts } = this.#host;
    const call = attempts.random.id();
    const release = { key: request.key, lifetime, unsettled: false };
    let note: string | null = null;
    for (let triesCount = 1; triesCount <= TRIES_MAX; triesCount += 1) {
      const { lock } = await this.#send(release, () => this.#readConfirmed(request.key));
      const standing = standingOf(lock, { ...request, call });
      if (standing === null) return this.#endedBefore(request.key, lock, note);
      note = standing.forced;
      if (await this.#end(standing, release)) return true;
      if (triesCount > 1) await pause(attempts, lifetime, backoffMS(attempts.random, triesCount));
    }
    throw new LockOutcomeUnknownError(
      'The lock could not be released by force: others kept arriving, or no answer came.',
    );
  }

  /** By an earlier try whose answer was lost, or by somebody else. */
  #endedBefore(key: string, lock: LockState | null, note: string | null): boolean {
    if (lock === null || note === null || lock.forced !== note) return false;
    this.#host.onForced(key, note, lock.grant);
    return true;
  }

  /** Its tickets first: else the lock would be passed back to them. false: look again. */
  async #end({ lock, text, grant, forced }: Standing, release: Release): Promise<boolean> {
    const { store, runMaxCount } = this.#host;
    const { key } = release;
    const own = grant.tickets.map(({ n }) => ticketId(grant.session, n));
    await this.#send(release, () => store.deleteTickets({ ids: own }));
    const view = await this.#send(release, () => this.#read(key, own));
    if (view.lock?.grant !== text) return false;
    const run = headRun(view.head, runMaxCount);
    if (run !== null) {
      const { next, fence } = handoffTo(text, lock.fence, run);
      const done = await this.#once(release, () => store.handoff({ key, grant: text, next, fence, forced }));
      if (done === true) this.#host.onForced(key, forced, next);
      return done === true;
    }
    const request = { key, grant: text, arrivals: view.lock.arrivals, withoutSessions: [], forced };
    const reply = await this.#once(release, () => store.vacate(request));
    const outcome = reply === undefined ? null : vacateOutcome(text, reply);
    if (outcome?.kind !== 'vacated' && outcome?.kind !== 'granted') return false;
    this.#host.onForced(key, forced, outcome.kind === 'granted' ? outcome.grant : null);
    return true;
  }

  /** The token may be known from elsewhere, and newer than what this client has seen: an older state must not deny it. */
  #readConfirmed(key: string): ReturnType<LockStore['readQueue']> {
    const request = { key, withoutTickets: [], withoutSessions: [], limit: 1, linearizable: true } as const;
    return this.#host.store.readQueue(request);
  }

  #read(key: string, withoutTickets: readonly string[]): ReturnType<LockStore['readQueue']> {
    return this.#host.store.readQueue({ key, withoutTickets, withoutSessions: [], limit: HEAD_LIMIT });
  }

  #send<T>({ lifetime, unsettled }: Release, send: () => Promise<T>): Promise<T> {
    return untilAcknowledged(this.#host.attempts, lifetime, send, unsettled ? undefined : isHopeless);
  }

  /** An unknown outcome (undefined) is resolved by reading, not by sending again: the second answer would not tell who ended it. */
  async #once<T>(release: Release, send: () => Promise<T>): Promise<T | undefined> {
    const { attempts } = this.#host;
    try {
      return await untilAcknowledged(attempts, release.lifetime, send, () => true);
    } catch (error) {
      const isOver = release.unsettled ? !mayPass(error) : isHopeless(error);
      if (isOver || error instanceof SessionGone) throw error;
      release.unsettled = true;
      if (!(error instanceof AttemptTimeout)) attempts.onFailure(error);
      return undefined;
    }
  }
}

function standingOf(
  lock: LockState | null,
  { fencingToken, reason, by, call }: ForceRequest & { readonly call: string },
): Standing | null {
  const text = lock?.grant;
  const grant = parseGrant(text);
  if (lock === null || typeof text !== 'string' || grant === null) return null;
  const { session, firstToken } = grant;
  if (fencingToken < firstToken || fencingToken > lastToken(grant)) return null;
  return { lock, text, grant, forced: formatForced({ session, fencingToken: firstToken, reason, by, call }) };
}
