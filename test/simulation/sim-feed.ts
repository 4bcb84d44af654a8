/**
 * The simulated `ChangeFeed` of one process: facts of committed grants and the notes of forced releases, late, lost,
 * repeated, out of order, and with gaps, as the settings say.
 */
import type { ChangeFeed, FeedHandle, FeedListener, ForcedFact, GrantFact } from '#core/ports.js';
import { parseForced } from '#core/protocol/forced.js';
import type { Chance } from './chance.js';
import type { Link } from './link.js';
import type { OplogEntry, ReplicaSet } from './replica-set.js';
import type { SimProcess } from './sim-process.js';
import type { World } from './world.js';

export interface FeedSettings {
  readonly delayMS: readonly [number, number];
  readonly openMS: readonly [number, number];
  readonly loseRate: number;
  readonly repeatRate: number;
  readonly repeatMS: readonly [number, number];
  /** How often a fact is held back while later ones pass. */
  readonly overtakeRate: number;
  readonly overtakeMS: readonly [number, number];
  /** How often a write that leaves the grant alone is reported too, as a replacement is. */
  readonly replaceRate: number;
  /** How often a stream that broke starts anew instead of where it was. */
  readonly freshRate: number;
}

/** When the stream breaks, and for how long. */
export interface Gap {
  readonly fromMS: number;
  readonly toMS: number;
}

/** What one event tells a session. */
interface Event {
  readonly position: number;
  readonly fact: GrantFact | null;
  readonly forced: ForcedFact | null;
}

interface Stream {
  readonly session: string;
  readonly listener: FeedListener;
  state: 'opening' | 'open' | 'broken' | 'closed';
  position: number;
  lastAt: number;
}

export class SimFeed implements ChangeFeed {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #set: ReplicaSet;
  readonly #process: SimProcess;
  readonly #link: Link;
  readonly #settings: FeedSettings;
  readonly #onForced: ((fact: ForcedFact) => () => void) | null;
  /** Whether reads after an event are answered from no earlier than that event. */
  readonly #movesReadsOn: boolean;
  readonly #onGrantTold: () => void;
  readonly #streams = new Set<Stream>();
  readonly #history: OplogEntry[] = [];

  constructor(given: {
    world: World;
    chance: Chance;
    set: ReplicaSet;
    process: SimProcess;
    link: Link;
    settings: FeedSettings;
    gaps: readonly Gap[];
    /** Asked before a note is told; what it gives is called when it was. */
    onForced?: (fact: ForcedFact) => () => void;
    movesReadsOn?: boolean;
    /** Called when a grant was delivered. */
    onGrantTold?: () => void;
  }) {
    this.#world = given.world;
    this.#chance = given.chance;
    this.#set = given.set;
    this.#process = given.process;
    this.#link = given.link;
    this.#settings = given.settings;
    this.#onForced = given.onForced ?? null;
    this.#movesReadsOn = given.movesReadsOn ?? true;
    this.#onGrantTold = given.onGrantTold ?? (() => {});
    this.#set.listen({ onApplied: () => {}, onCommitted: (entry) => this.#onCommitted(entry) });
    for (const gap of given.gaps) this.#world.at(gap.fromMS, () => this.#break(gap.toMS));
  }

  /** How many streams are open, or being opened. */
  get streamsCount(): number {
    return this.#streams.size;
  }

  open({ session, listener }: { session: string; listener: FeedListener }): FeedHandle {
    const position = this.#process.seenPosition > 0 ? this.#process.seenPosition : this.#set.committedPosition;
    const stream: Stream = { session, listener, state: 'opening', position, lastAt: 0 };
    this.#streams.add(stream);
    this.#process.trace(`stream of ${session} opens from ${position}`);
    this.#openIn(stream, this.#chance.between(...this.#settings.openMS));
    return {
      close: () => {
        stream.state = 'closed';
        this.#streams.delete(stream);
        return Promise.resolve();
      },
    };
  }

  /** Nobody here asks to see queues move, and no grant depends on it. */
  watch(): FeedHandle {
    return { close: () => Promise.resolve() };
  }

  #openIn(stream: Stream, delayMS: number): void {
    this.#world.in(delayMS, () => {
      if (stream.state === 'closed') return;
      const { outage } = this.#link;
      if (outage !== null) {
        this.#openIn(stream, outage.toMS - this.#world.nowMS + 1);
        return;
      }
      stream.state = 'open';
      this.#deliver(stream, this.#world.nowMS, 'stream opened', () => stream.listener.onOpened());
      for (const entry of this.#history) if (entry.position > stream.position) this.#report(stream, entry);
    });
  }

  #break(untilMS: number): void {
    for (const stream of this.#streams) {
      if (stream.state !== 'open') continue;
      stream.state = 'broken';
      this.#deliver(stream, this.#world.nowMS, 'stream broke', () => stream.listener.onInterrupted('cut'));
      this.#world.at(untilMS, () => {
        if (stream.state !== 'broken') return;
        stream.state = 'opening';
        if (this.#chance.hit(this.#settings.freshRate)) stream.position = this.#set.committedPosition;
        this.#openIn(stream, this.#chance.between(...this.#settings.openMS));
      });
    }
  }

  #onCommitted(entry: OplogEntry): void {
    if (entry.before?.kind !== 'lock' && entry.after?.kind !== 'lock') return;
    this.#history.push(entry);
    for (const stream of this.#streams) if (stream.state === 'open') this.#report(stream, entry);
  }

  #report(stream: Stream, entry: OplogEntry): void {
    stream.position = entry.position;
    const event = this.#eventOf(stream.session, entry);
    if (event === null) return;
    const { loseRate, repeatRate, repeatMS, overtakeRate, overtakeMS, delayMS } = this.#settings;
    const outage = this.#link.outage;
    if (this.#chance.hit(loseRate) || (outage !== null && outage.kind !== 'hold')) return;
    const sentAt = Math.max(outage?.toMS ?? 0, this.#world.nowMS) + this.#chance.between(...delayMS);
    if (this.#chance.hit(overtakeRate)) {
      this.#tell(stream, event, sentAt + this.#chance.between(...overtakeMS));
      return;
    }
    stream.lastAt = Math.max(stream.lastAt, sentAt);
    this.#tell(stream, event, stream.lastAt);
    if (this.#chance.hit(repeatRate)) this.#tell(stream, event, stream.lastAt + this.#chance.between(...repeatMS));
  }

  /** What of a write is told to that session: what it changed, or, where it comes as a replacement, all that names it. */
  #eventOf(session: string, { position, before, after }: OplogEntry): Event | null {
    if (after?.kind !== 'lock') return null;
    const was = before?.kind === 'lock' ? before : null;
    const grant = after.grant?.startsWith(`${session}/`) ? after.grant : null;
    const note = after.forced?.startsWith(`${session}/`) ? parseForced(after.forced) : null;
    const isNewGrant = grant !== null && was?.grant !== grant;
    const isNewNote = note !== null && was?.forced !== after.forced;
    const hasOld = (grant !== null && !isNewGrant) || (note !== null && !isNewNote);
    const replaced = hasOld && this.#chance.hit(this.#settings.replaceRate);
    // What a write leaves as it is, only a replacement tells.
    const trace = after.trace !== undefined && (replaced || was?.trace !== after.trace) && { trace: after.trace };
    const fact = grant !== null && (isNewGrant || replaced) ? { key: after.id, grant, ...trace } : null;
    const forced = note !== null && (isNewNote || replaced) ? { key: after.id, note } : null;
    return fact === null && forced === null ? null : { position, fact, forced };
  }

  /** The note first: what followed a run that was ended by hand may be a run of the same session. */
  #tell(stream: Stream, { position, fact, forced }: Event, atMS: number): void {
    const what = [
      ...(forced === null ? [] : [`note ${forced.key} ${JSON.stringify(forced.note)}`]),
      ...(fact === null ? [] : [`fact ${fact.key} ${fact.grant}`]),
    ];
    this.#deliver(stream, atMS, what.join(', '), () => {
      if (this.#movesReadsOn) this.#process.seenPosition = Math.max(this.#process.seenPosition, position);
      if (forced !== null) this.#tellForced(stream, forced);
      if (fact === null || stream.state === 'closed') return;
      stream.listener.onFact(fact);
      this.#onGrantTold();
    });
  }

  #tellForced(stream: Stream, fact: ForcedFact): void {
    const told = this.#onForced?.(fact);
    stream.listener.onForced?.(fact);
    told?.();
  }

  #deliver(stream: Stream, atMS: number, what: string, call: () => void): void {
    this.#world.at(atMS, () => {
      this.#process.deliver(what, () => {
        if (stream.state === 'closed') return;
        this.#process.trace(what);
        call();
      });
    });
  }
}
