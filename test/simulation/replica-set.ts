/**
 * The simulated replica set: documents, an oplog, a commit point that follows behind, elections that roll back what was
 * not committed, and a wall clock that steps. It knows documents and positions only; what the protocol's commands do
 * with them is in `commands.ts`. Majority reads and streams see what is committed, conditions see what is applied.
 */
import type { Chance } from './chance.js';
import type { World } from './world.js';

export interface LockDoc {
  readonly kind: 'lock';
  readonly id: string;
  readonly grant: string | null;
  readonly fence: number;
  readonly arrivals: number;
  readonly firstArrival: string | null;
  readonly born: number;
  /** Server time; null while granted. */
  readonly vacantAt: number | null;
  /** The note of the last forced release; absent where there was none. */
  readonly forced?: string;
  /** By which span it was held last; absent where nobody follows that. */
  readonly trace?: string;
}

export interface TicketDoc {
  readonly kind: 'ticket';
  readonly id: string;
  readonly key: string;
  /** The logical clock. */
  readonly at: number;
  readonly session: string;
  readonly n: number;
  readonly callers: number;
}

export interface SessionDoc {
  readonly kind: 'session';
  readonly id: string;
  readonly state: 'alive' | 'dead';
  readonly until: number;
  readonly leaseMS: number;
  readonly beats: number;
  readonly host?: string;
  readonly pid?: number;
  readonly label?: string;
}

export type Doc = LockDoc | TicketDoc | SessionDoc;

/** What a majority read sees. */
export type Snapshot = ReadonlyMap<string, Doc>;

/** Who wrote: for checks and traces. */
export interface Author {
  readonly process: string;
  readonly command: string;
  /** Which ticket an arrival mark is of. */
  readonly detail?: string;
  /** Whether it is a copy of what was sent once. */
  readonly copy?: boolean;
}

export interface OplogEntry {
  readonly position: number;
  readonly id: string;
  readonly before: Doc | null;
  readonly after: Doc | null;
  readonly author: Author;
}

/** What a command reads when it starts, and keeps to its end (`$$NOW`, `$$CLUSTER_TIME`). */
export interface Variables {
  readonly nowMS: number;
  readonly clusterTime: number;
}

export interface ReplicaSetSettings {
  /** How long from a write to its majority commit. */
  readonly commitMS: readonly [number, number];
  /** How long a command is on the server between two of its steps. */
  readonly stepMS: readonly [number, number];
}

/** Is told of every write as it is applied, and again when it is committed. */
export interface ReplicaSetListener {
  onApplied(entry: OplogEntry): void;
  onCommitted(entry: OplogEntry): void;
}

/** What became of a command: its reply, or that a change of primary interrupted it. */
export type Outcome<T> = { readonly kind: 'done'; readonly reply: T } | { readonly kind: 'interrupted' };

/** A command as it runs on the server: every `yield` is a place where other commands run. */
export type Program<T> = Generator<undefined, T, undefined>;

/** A primary whose commit point is behind: what majority reads see of it, and up to where. */
interface Lag {
  readonly seen: Snapshot;
  readonly position: number;
}

/** A read that waits until it can be answered from late enough. */
interface WaitingRead {
  readonly after: number;
  readonly start: (seen: Snapshot) => void;
}

interface Acknowledgement {
  readonly position: number;
  readonly settle: (committed: boolean) => void;
}

const EPOCH_MS = 1_700_000_000_000;
/** How many committed writes are remembered, to take some of them back from what a lagging primary shows. */
const RECENT_MAX = 100;

export class ReplicaSet {
  readonly applied = new Map<string, Doc>();
  readonly committed = new Map<string, Doc>();
  readonly #world: World;
  readonly #chance: Chance;
  readonly #settings: ReplicaSetSettings;
  readonly #listeners: ReplicaSetListener[] = [];
  readonly #uncommitted: OplogEntry[] = [];
  /** The last committed writes. */
  readonly #recent: OplogEntry[] = [];
  #lag: Lag | null = null;
  #waitingReads: WaitingRead[] = [];
  #acknowledgements: Acknowledgement[] = [];
  #position = 0;
  #committedPosition = 0;
  #commitDueAt = 0;
  #clusterTime = EPOCH_MS * 1_000;
  #wallOffsetMS = 0;
  #term = 1;
  #copying = false;

  constructor(world: World, chance: Chance, settings: ReplicaSetSettings) {
    this.#world = world;
    this.#chance = chance;
    this.#settings = settings;
  }

  listen(listener: ReplicaSetListener): void {
    this.#listeners.push(listener);
  }

  get term(): number {
    return this.#term;
  }

  /** Seconds and increment in one number, as first tokens are made of. */
  get clusterTime(): number {
    return this.#clusterTime;
  }

  get committedPosition(): number {
    return this.#committedPosition;
  }

  /** Up to where majority reads see now. */
  get visiblePosition(): number {
    return this.#lag?.position ?? this.#committedPosition;
  }

  get wallMS(): number {
    return EPOCH_MS + this.#world.nowMS + this.#wallOffsetMS;
  }

  /** The wall clock of whoever is primary now is off by this much. */
  setWallOffset(offsetMS: number): void {
    this.#wallOffsetMS = offsetMS;
  }

  variables(): Variables {
    return { nowMS: this.wallMS, clusterTime: this.#clusterTime };
  }

  /** Applies a write to one document. */
  write(id: string, after: Doc | null, author: Author): void {
    const before = this.applied.get(id) ?? null;
    if (after === null) this.applied.delete(id);
    else this.applied.set(id, after);
    this.#tick();
    this.#position += 1;
    const entry = {
      position: this.#position,
      id,
      before,
      after,
      author: this.#copying ? { ...author, copy: true } : author,
    };
    this.#uncommitted.push(entry);
    for (const listener of this.#listeners) listener.onApplied(entry);
    this.#scheduleCommit(entry.position);
  }

  /** The same program, whose writes are known to be those of a copy. */
  *asCopy<T>(program: Program<T>): Program<T> {
    for (;;) {
      this.#copying = true;
      const next = program.next();
      this.#copying = false;
      if (next.done) return next.value;
      yield;
    }
  }

  /** Runs a command to its end; `done` hears of it when what it wrote, or saw, is committed. */
  run<T>(program: Program<T>, kind: 'read' | 'write', done: (outcome: Outcome<T>) => void): void {
    const term = this.#term;
    const step = (): void => {
      if (this.#term !== term) {
        done({ kind: 'interrupted' });
        return;
      }
      const next = program.next();
      if (!next.done) this.#world.in(this.#chance.between(...this.#settings.stepMS), step);
      else if (kind === 'read') done({ kind: 'done', reply: next.value });
      else this.#acknowledge(next.value, done);
    };
    step();
  }

  #acknowledge<T>(reply: T, done: (outcome: Outcome<T>) => void): void {
    this.#whenCommitted(this.#position, (kept) => done(kept ? { kind: 'done', reply } : { kind: 'interrupted' }));
  }

  /** Starts a majority read: at once, or when what is visible has reached `after` (`afterClusterTime`). */
  whenVisible(after: number, start: (seen: Snapshot) => void): void {
    if (this.#lag === null) start(this.committed);
    else if (after <= this.#lag.position) start(this.#lag.seen);
    else this.#waitingReads.push({ after, start });
  }

  /** A new primary: some of what was not committed is rolled back, and running commands are interrupted. */
  elect(): void {
    this.#depose();
    this.#catchUp();
    this.#commit(this.#position);
  }

  /**
   * Majority reads answer from before the last committed writes, and nothing more is committed, for a while: as on a new primary
   * whose commit point is behind until it has committed an entry of its own term.
   */
  lag({ writesCount, forMS }: { readonly writesCount: number; readonly forMS: number }): void {
    this.#depose();
    this.#catchUp();
    const seen = new Map(this.committed);
    const hidden = this.#recent.slice(this.#recent.length - Math.min(writesCount, this.#recent.length));
    for (const { id, before } of [...hidden].reverse()) {
      if (before === null) seen.delete(id);
      else seen.set(id, before);
    }
    const lag = { seen, position: (hidden[0]?.position ?? this.#committedPosition + 1) - 1 };
    const kept = this.#position;
    this.#lag = lag;
    this.#commitDueAt = Math.max(this.#commitDueAt, this.#world.nowMS + forMS);
    this.#world.in(forMS, () => {
      if (this.#lag !== lag) return;
      this.#catchUp();
      this.#commit(kept);
    });
  }

  #catchUp(): void {
    this.#lag = null;
    const waiting = this.#waitingReads;
    this.#waitingReads = [];
    for (const { start } of waiting) start(this.committed);
  }

  #depose(): void {
    this.#term += 1;
    const kept = this.#chance.whole(0, this.#uncommitted.length);
    const lost = this.#uncommitted.splice(kept);
    for (const { id, before } of lost.reverse()) {
      if (before === null) this.applied.delete(id);
      else this.applied.set(id, before);
    }
    const interrupted = this.#acknowledgements;
    this.#acknowledgements = [];
    // Even a write that survives is not acknowledged: its connection is gone.
    for (const { settle } of interrupted) settle(false);
  }

  #tick(): void {
    const second = Math.floor(this.wallMS / 1_000);
    this.#clusterTime = Math.max(second * 1_000_000, this.#clusterTime) + 1;
  }

  #whenCommitted(position: number, settle: (committed: boolean) => void): void {
    if (position <= this.#committedPosition) settle(true);
    else this.#acknowledgements.push({ position, settle });
  }

  #scheduleCommit(position: number): void {
    const term = this.#term;
    const delayMS = this.#chance.between(...this.#settings.commitMS);
    this.#commitDueAt = Math.max(this.#commitDueAt, this.#world.nowMS + delayMS);
    this.#world.at(this.#commitDueAt, () => {
      if (this.#term === term) this.#commit(position);
    });
  }

  #commit(position: number): void {
    while (this.#uncommitted[0] !== undefined && this.#uncommitted[0].position <= position) {
      const entry = this.#uncommitted.shift() as OplogEntry;
      if (entry.after === null) this.committed.delete(entry.id);
      else this.committed.set(entry.id, entry.after);
      this.#committedPosition = entry.position;
      this.#recent.push(entry);
      if (this.#recent.length > RECENT_MAX) this.#recent.shift();
      for (const listener of this.#listeners) listener.onCommitted(entry);
    }
    if (this.#uncommitted.length === 0) this.#committedPosition = this.#position;
    const due = this.#acknowledgements.filter((waiting) => waiting.position <= this.#committedPosition);
    this.#acknowledgements = this.#acknowledgements.filter((waiting) => waiting.position > this.#committedPosition);
    for (const { settle } of due) settle(true);
  }
}
