/**
 * What forced releases did in one run: which runs were ended by hand and by whose write, who asked for it, and what each
 * was told. The observer keeps one and reports what it finds wrong, in words; it knows nothing of holds.
 */
import { type ForcedNote, parseForced } from '#core/protocol/forced.js';
import { type Grant, lastToken, parseGrant, ticketId } from '#core/protocol/grant.js';
import type { Author, LockDoc, OplogEntry } from './replica-set.js';
import type { SimProcess } from './sim-process.js';

/** A call of `forceRelease`. */
export interface ForceRequest {
  readonly process: SimProcess;
  readonly key: string;
  readonly fencingToken: number;
  readonly reason: string;
  readonly by: string;
}

/** What it ended with; null: it has not. */
type ForceAnswer = boolean | { readonly code: string };

export interface ForceCall extends ForceRequest {
  answer: ForceAnswer | null;
}

/** A run that was ended by hand. */
export interface ForcedRun {
  readonly key: string;
  readonly grant: Grant;
  /** The stored note. */
  readonly note: string;
  readonly author: Author;
}

export class Forces {
  readonly calls: ForceCall[] = [];
  readonly ended: ForcedRun[] = [];

  asked(request: ForceRequest): ForceCall {
    const call: ForceCall = { ...request, answer: null };
    this.calls.push(call);
    return call;
  }

  /** The run that ended with this write, if it is one by force, and what is wrong with it. */
  noted({ id: key, before, after, author }: OplogEntry): { run: ForcedRun | null; wrong: string | null } {
    const note = newNote(before, after);
    if (note === null) return { run: null, wrong: null };
    const grant = parseGrant((before as LockDoc | null)?.grant);
    if (grant === null) return { run: null, wrong: `${key} was vacant, and has the note ${note}` };
    const run = { key, grant, note, author };
    this.ended.push(run);
    return { run, wrong: this.#wrongWith(run, (after as LockDoc).grant) };
  }

  /** Only the run that was named is ended, and what follows is not of its own tickets. */
  #wrongWith({ key, grant, note, author }: ForcedRun, after: string | null): string | null {
    const wanted = this.calls.some((call) => call.key === key && has(grant, call) && says(note, grant, call));
    if (!wanted)
      return `${author.process} ends ${formatted(grant)} of ${key}, with the note ${note} that nobody asked for`;
    const next = parseGrant(after);
    const shared =
      next?.session === grant.session && next.tickets.some(({ n }) => grant.tickets.some((own) => own.n === n));
    return shared ? `${after} of ${key} follows ${formatted(grant)}, whose callers were to lose their place` : null;
  }

  /** The run of this key and token that was ended by hand. */
  find(key: string, session: string, fencingToken: number): ForcedRun | null {
    return (
      this.ended.find((run) => run.key === key && run.grant.session === session && has(run.grant, { fencingToken })) ??
      null
    );
  }

  /** Whether a run of this key that was ended by hand has this ticket. */
  names(key: string, ticket: string): boolean {
    return this.ended.some(({ key: of, grant }) => {
      return of === key && grant.tickets.some(({ n }) => ticketId(grant.session, n) === ticket);
    });
  }

  /** What the caller is told must be so: `lock` is the document as it is committed now; null where nobody can blame the caller. */
  answered(call: ForceCall, answer: ForceAnswer, lock: LockDoc | null): string | null {
    const { process, reason, key, fencingToken } = call;
    const others = this.calls.filter((other) => other !== call && other.key === key && other.answer === true);
    call.answer = answer;
    const what =
      answer === true
        ? this.#wrongToldTrue(call, others)
        : answer === false
          ? this.#wrongToldFalse(call, lock)
          : wrongToldCode(answer);
    return what && `${process.name} (${reason}) is told that it ${what}: token ${fencingToken} of ${key}`;
  }

  #wrongToldTrue(call: ForceCall, others: readonly ForceCall[]): string | null {
    const run = this.#of(call);
    if (run === null || !says(run.note, run.grant, call)) return 'ended what it did not end';
    const another = others.find((other) => has(run.grant, other));
    return another === undefined ? null : `ended what ${another.process.name} is told that it ended`;
  }

  #wrongToldFalse(call: ForceCall, lock: LockDoc | null): string | null {
    if (stands(lock, call.fencingToken)) return 'does not stand, and it does';
    const run = this.#of(call);
    return this.#isOwn(run, call) && lock?.forced === run?.note ? 'did not end what it did' : null;
  }

  /** In the end: each has an answer, and who was told that nothing was done has done nothing. A late copy is nobody's doing. */
  checkEnd(call: ForceCall): string | null {
    const { answer, key, process, fencingToken } = call;
    if (process.state === 'dead') return null;
    if (answer === null) return `forced release of token ${fencingToken} of ${key} by ${process.name} never settles`;
    if (typeof answer === 'boolean' || answer.code !== 'LOCK_UNAVAILABLE') return null;
    const own = this.#isOwn(this.#of(call), call);
    return own
      ? `${process.name} (${call.reason}) is told ${answer.code}, and has ended token ${fencingToken} of ${key}`
      : null;
  }

  /** Whether it was this call and no other that ended it: those that are alike cannot be told apart. */
  #isOwn(run: ForcedRun | null, call: ForceCall): boolean {
    const { key, reason, by, process } = call;
    const alike = this.calls.some((other) => {
      return other !== call && other.key === key && other.reason === reason && other.by === by;
    });
    if (run === null || alike || run.author.copy || run.author.process !== process.name) return false;
    return says(run.note, run.grant, call);
  }

  #of({ key, fencingToken }: ForceCall): ForcedRun | null {
    return this.ended.find((run) => run.key === key && has(run.grant, { fencingToken })) ?? null;
  }
}

/** The note that a write puts there; null: none, or the one that was there. */
export function newNote(before: OplogEntry['before'], after: OplogEntry['after']): string | null {
  const was = before?.kind === 'lock' ? before.forced : undefined;
  const now = after?.kind === 'lock' ? after.forced : undefined;
  return now === undefined || now === was ? null : now;
}

function has({ firstToken, ...grant }: Grant, { fencingToken }: { readonly fencingToken: number }): boolean {
  return firstToken <= fencingToken && fencingToken <= lastToken({ firstToken, ...grant });
}

/** Nothing was done, or its client was closed before that could be known; all else would be a fault. */
function wrongToldCode({ code }: { readonly code: string }): string | null {
  const codes = ['LOCK_UNAVAILABLE', 'LOCK_CLOSED'];
  return codes.includes(code) ? null : `failed with ${code}`;
}

function stands(lock: LockDoc | null, fencingToken: number): boolean {
  const grant = parseGrant(lock?.grant);
  return grant !== null && has(grant, { fencingToken });
}

/** Whether a stored note says of a run what this call would have it say. */
function says(note: string, { session, firstToken }: Grant, { reason, by }: ForceRequest): boolean {
  const told = parseForced(note);
  return told !== null && isSame(told, { session, fencingToken: firstToken, reason, by });
}

/** Whether two notes tell the same. */
export function isSame(a: ForcedNote, b: ForcedNote): boolean {
  return a.session === b.session && a.fencingToken === b.fencingToken && a.reason === b.reason && a.by === b.by;
}

function formatted({ session, firstToken }: Grant): string {
  return `the run ${session}/${firstToken}`;
}
