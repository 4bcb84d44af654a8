/**
 * The recorded history of a run: what all processes told and what was done to them, in the order in which the harness
 * heard it; and the calls it amounts to, one record for each, in the form that `checkHistory` judges. It judges nothing
 * itself. What a process tells is in its own order; between processes only the instants count.
 */
import { type CallOutcome, type CallRecord, waitedUntil } from '../../../packages/examples/src/demo/history.js';
import type { Entry, Fact } from './facts.js';

/** A call as it was recorded, and what the checker needs besides. */
export type Call = { -readonly [K in keyof CallRecord]: CallRecord[K] } & {
  session?: string;
  /** The session it arrived under. */
  arrivalSession?: string;
  /** Whether the lock said of itself that it was held when the call returned. */
  held?: boolean;
  /** For how long the process had not run when it was told of the loss. */
  stalledMS?: number;
  /** How often the call settled, and its hold was told lost. Once is right, at most once is right. */
  settledCount: number;
  lostCount: number;
  /** Why it failed. */
  why?: string;
  /** Why its hold was lost, as it was told. */
  lostWhy?: string;
  /** Whether `unlock` said that it released the lock. */
  answer?: boolean;
  /** From when on a deletion by hand took its protection away. */
  unprotectedAt?: number;
};

/** A guarded write, as its process saw it. */
export interface Write {
  readonly caller: string;
  readonly key: string;
  readonly token: number;
  readonly element: string;
  outcome: 'writing' | 'wrote' | 'write refused' | 'write unknown';
}

export class History {
  readonly entries: Entry[] = [];
  /** Which process each lock session belongs to. */
  readonly processOf = new Map<string, string>();
  readonly #listeners = new Set<(entry: Entry) => void>();

  add(process: string, fact: Fact): void {
    const entry = { process, ...fact };
    this.entries.push(entry);
    if (fact.kind === 'session opened') this.processOf.set(fact.session, process);
    for (const listener of [...this.#listeners]) listener(entry);
  }

  /** Calls back at every fact; the result takes it back. */
  onFact(listener: (entry: Entry) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** As lines of JSON, as a file of it is. */
  toText(): string {
    return this.entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
  }
}

/** What the entries of a history amount to. */
export interface Folded {
  readonly calls: readonly Call[];
  readonly writes: readonly Write[];
}

/** One record for each call, and one for each guarded write. */
export function fold(entries: readonly Entry[]): Folded {
  const folder = new Folder();
  for (const entry of entries) folder.take(entry);
  return folder.end();
}

/** Calls of one process that have not ended. */
interface OpenCalls {
  readonly waiting: Set<Call>;
  readonly holding: Set<Call>;
}

class Folder {
  readonly #calls = new Map<string, Call>();
  readonly #writes = new Map<string, Write>();
  readonly #open = new Map<string, OpenCalls>();
  readonly #deadlines = new Map<string, number>();
  #endAt = 0;

  take(entry: Entry): void {
    const { process } = entry;
    this.#endAt = Math.max(this.#endAt, entry.at);
    if (entry.kind === 'called') this.#begin(entry);
    else if (entry.kind === 'killed') this.#kill(process, entry);
    else if (entry.kind === 'session lost') this.#startOver(process);
    else if (entry.kind === 'deadline') this.#extend(entry);
    else if ('element' in entry) this.#write(entry);
    else if ('caller' in entry) this.#note(entry, this.#calls.get(entry.caller));
  }

  end(): Folded {
    const calls = [...this.#calls.values()];
    for (const call of calls) {
      const deadlineAt = this.#deadlines.get(call.session ?? '');
      if (deadlineAt !== undefined && call.grantedAt !== undefined) call.deadlineAt = deadlineAt;
      // Its session was lost while it waited, whether or not it lived to hear of it: it had no place to keep.
      const placeUntil = this.#deadlines.get(call.arrivalSession ?? '') ?? Number.POSITIVE_INFINITY;
      if (Math.min(waitedUntil(call), this.#endAt) > placeUntil) delete call.arrivedAt;
    }
    return { calls, writes: [...this.#writes.values()] };
  }

  #of(process: string): OpenCalls {
    const known = this.#open.get(process) ?? { waiting: new Set(), holding: new Set() };
    this.#open.set(process, known);
    return known;
  }

  #begin({ process, caller, key, at: calledAt }: Extract<Entry, { kind: 'called' }>): void {
    const call: Call = { process, caller, key, calledAt, outcome: 'waiting', settledCount: 0, lostCount: 0 };
    this.#calls.set(caller, call);
    this.#of(process).waiting.add(call);
  }

  /** As the session does: a renewal shortens nothing, and one that is answered after the deadline revives nothing. */
  #extend({ session, until, at }: Extract<Entry, { kind: 'deadline' }>): void {
    const before = this.#deadlines.get(session);
    if (before === undefined || at < before) this.#deadlines.set(session, Math.max(until, before ?? 0));
  }

  #note(entry: Extract<Entry, { caller: string }>, call: Call | undefined): void {
    if (call === undefined) return;
    const { at } = entry;
    const open = this.#of(call.process);
    if (entry.kind === 'arrived' && call.outcome === 'waiting')
      Object.assign(call, { arrivedAt: at, arrivalSession: entry.session });
    if (entry.kind === 'granted') {
      const { token, session, held } = entry;
      settle(call, { grantedAt: at, token, session, held, outcome: 'holding' });
      open.waiting.delete(call);
      open.holding.add(call);
    }
    if (entry.kind === 'left') {
      const outcome: CallOutcome = entry.outcome === 'refused' ? 'aborted' : entry.outcome;
      settle(call, { leftAt: at, outcome, ...(entry.why !== undefined && { why: entry.why }) });
      open.waiting.delete(call);
    }
    if (entry.kind === 'lost') {
      const { stalledMS, why: lostWhy } = entry;
      Object.assign(call, { lostAt: call.lostAt ?? at, stalledMS, lostWhy, outcome: 'lost' });
      call.lostCount += 1;
    }
    if (entry.kind === 'released') call.answer = entry.answer;
    if (entry.kind === 'releasing') {
      call.releasedAt = at;
      if (call.outcome === 'holding') call.outcome = 'released';
      open.holding.delete(call);
    }
  }

  #write({ caller, key, token, element, kind }: Extract<Entry, { element: string }>): void {
    const write = this.#writes.get(caller);
    if (write === undefined) this.#writes.set(caller, { caller, key, token, element, outcome: kind });
    else write.outcome = kind;
  }

  /** Its session is gone: whoever of it waits has no place to keep. */
  #startOver(process: string): void {
    for (const call of this.#of(process).waiting) delete call.arrivedAt;
  }

  #kill(process: string, { sinceAt, goneAt }: Extract<Entry, { kind: 'killed' }>): void {
    const { waiting, holding } = this.#of(process);
    for (const call of waiting) Object.assign(call, { leftAt: sinceAt, outcome: 'killed' });
    for (const call of holding) Object.assign(call, { lostAt: call.lostAt ?? goneAt, outcome: 'killed' });
    this.#open.delete(process);
  }
}

function settle(call: Call, change: Partial<Call>): void {
  call.settledCount += 1;
  // A second settlement is a finding by itself; the first counts.
  if (call.settledCount === 1) Object.assign(call, change);
}
