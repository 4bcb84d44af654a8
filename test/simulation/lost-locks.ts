/**
 * What clients promise that pass on lost locks only when these are unlocked (`releaseLostLocks`): a lock is not passed
 * on, nor its session ended, while the caller that held it has not released it, as long as the lease has not lapsed by
 * the server's clock. The observer tells it what happens.
 */
import { lastToken, parseGrant } from '#core/protocol/grant.js';
import { sessionId } from './commands.js';
import { newNote } from './forces.js';
import type { Doc, OplogEntry } from './replica-set.js';

/** The time of a run: that of the world, and that of the server. */
export interface RunTime {
  readonly nowMS: number;
  readonly serverMS: number;
}

/** A hold as the observer records it. */
interface HoldRecord {
  readonly name: string;
  readonly key: string;
  readonly token: number;
  readonly hold: { readonly session: { readonly id: string } };
  readonly call: { readonly process: { readonly name: string } };
  /** Whether somebody else than its holder has ended it. */
  readonly exempt: boolean;
  /** One for each release that its caller has sent. */
  readonly releases: readonly unknown[];
}

/** A hold that was lost, and that its caller has not released yet. */
interface Kept {
  readonly record: HoldRecord;
  readonly lostAtMS: number;
  readonly leaseMS: number;
}

export class LostLocks {
  /** By the names of their processes. */
  readonly #leasesMS: ReadonlyMap<string, number>;
  readonly #kept = new Map<HoldRecord, Kept>();
  readonly #abandoned = new Set<string>();
  /** How many holds were kept, as far as was seen here. */
  keptCount = 0;

  /** With the leases of the processes that promise it. */
  constructor(leasesMS: ReadonlyMap<string, number>) {
    this.#leasesMS = leasesMS;
  }

  /** A hold is reported lost whose grant stands. */
  lost(record: HoldRecord, nowMS: number): void {
    const leaseMS = this.#leasesMS.get(record.call.process.name);
    if (leaseMS === undefined || record.releases.length > 0) return;
    this.#kept.set(record, { record, lostAtMS: nowMS, leaseMS });
    this.keptCount += 1;
  }

  /** Its caller releases it. */
  unlocked(record: HoldRecord): void {
    this.#kept.delete(record);
  }

  /** Whether a session is that of a hold that was not released yet. */
  keeps(session: string): boolean {
    return [...this.#kept.keys()].some(({ hold }) => hold.session.id === session);
  }

  /** A client has closed: what its holders have not released by now is left to lapse, and its session with it. */
  closed(process: string): void {
    for (const { call, hold } of this.#kept.keys()) {
      if (call.process.name === process) this.#abandoned.add(hold.session.id);
    }
  }

  /** Whether a session is left to lapse. */
  isAbandoned(session: string): boolean {
    return this.#abandoned.has(session);
  }

  /** A write is applied. `sessionOf` gives what is stored of a session. */
  written(entry: OplogEntry, time: RunTime, sessionOf: (id: string) => Doc | undefined): string | null {
    const { id, before, after, author } = entry;
    if (author.command === 'OPERATOR' || newNote(before, after) !== null) return null;
    for (const { record, lostAtMS, leaseMS } of this.#kept.values()) {
      // By then the client need not wait any more, whatever the server says.
      if (record.exempt || time.nowMS - lostAtMS >= leaseMS) continue;
      const { session } = record.hold;
      const isPassedOn = id === record.key && grantOf(before, record) !== null && grantOf(after, record) === null;
      const isEnded = id === sessionId(session.id) && !(after?.kind === 'session' && after.state === 'alive');
      const stored = isEnded ? before : sessionOf(sessionId(session.id));
      const isLeased = stored?.kind === 'session' && stored.state === 'alive' && stored.until > time.serverMS;
      if ((!isPassedOn && !isEnded) || !isLeased) continue;
      const what = isPassedOn ? 'it is passed on' : 'its session is ended';
      return `${record.name} lost ${record.key}, and ${what} by ${author.command} before it is released`;
    }
    return null;
  }
}

/** The stored grant that a hold is one of; null: the document has no such grant. */
function grantOf(doc: Doc | null, { hold, token }: HoldRecord): string | null {
  const text = doc?.kind === 'lock' ? doc.grant : null;
  const grant = parseGrant(text);
  const isIt = grant?.session === hold.session.id && grant.firstToken <= token && token <= lastToken(grant);
  return isIt ? text : null;
}
