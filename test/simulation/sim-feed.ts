/**
 * The simulated `ChangeFeed` of one process: facts of committed grants, late, lost, repeated, out of order, and with
 * gaps, as the settings say.
 */
import type { ChangeFeed, FeedHandle, FeedListener, GrantFact } from '#core/ports.js';
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
  }) {
    this.#world = given.world;
    this.#chance = given.chance;
    this.#set = given.set;
    this.#process = given.process;
    this.#link = given.link;
    this.#settings = given.settings;
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

  #report(stream: Stream, { position, before, after }: OplogEntry): void {
    stream.position = position;
    if (after?.kind !== 'lock' || after.grant === null || !after.grant.startsWith(`${stream.session}/`)) return;
    const { loseRate, repeatRate, repeatMS, overtakeRate, overtakeMS, replaceRate, delayMS } = this.#settings;
    const changed = before?.kind !== 'lock' || before.grant !== after.grant;
    if (!changed && !this.#chance.hit(replaceRate)) return;
    const fact: GrantFact = { key: after.id, grant: after.grant };
    const outage = this.#link.outage;
    if (this.#chance.hit(loseRate) || (outage !== null && outage.kind !== 'hold')) return;
    const sentAt = Math.max(outage?.toMS ?? 0, this.#world.nowMS) + this.#chance.between(...delayMS);
    if (this.#chance.hit(overtakeRate)) {
      this.#tell(stream, fact, sentAt + this.#chance.between(...overtakeMS));
      return;
    }
    stream.lastAt = Math.max(stream.lastAt, sentAt);
    this.#tell(stream, fact, stream.lastAt);
    if (this.#chance.hit(repeatRate)) this.#tell(stream, fact, stream.lastAt + this.#chance.between(...repeatMS));
  }

  #tell(stream: Stream, fact: GrantFact, atMS: number): void {
    this.#deliver(stream, atMS, `fact ${fact.key} ${fact.grant}`, () => stream.listener.onFact(fact));
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
