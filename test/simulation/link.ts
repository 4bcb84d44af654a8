/**
 * The network between one process and the replica set: delay, loss of requests and of replies, late copies, and outages.
 * It carries whole commands and knows nothing of what they do. Called by `store.ts` and, for outages, by `feed.ts`.
 */
import type { Chance } from './chance.js';
import type { Outcome, Program, ReplicaSet, Snapshot } from './replica-set.js';
import type { SimProcess } from './sim-process.js';
import type { World } from './world.js';

/** What an outage does to what is sent during it. */
export type OutageKind =
  /** No primary is found: surely not applied. */
  | 'refuse'
  /** It vanishes. */
  | 'drop'
  /** It arrives when the outage is over. */
  | 'hold'
  /** It arrives and is applied, but no reply comes back. */
  | 'deaf'
  /** It reaches a primary that was deposed and does not know: it answers reads as of then, and commits nothing. */
  | 'stale';

export interface Outage {
  readonly kind: OutageKind;
  readonly fromMS: number;
  readonly toMS: number;
}

export interface LinkSettings {
  readonly delayMS: readonly [number, number];
  /** How often a delay is of another order. */
  readonly slowRate: number;
  readonly slowMS: readonly [number, number];
  readonly loseRequestRate: number;
  readonly loseReplyRate: number;
  /** How often a loss is never noticed, instead of being an error some time later. */
  readonly silentRate: number;
  readonly errorMS: readonly [number, number];
  /** How often a write arrives once more, and how much later. */
  readonly copyRate: number;
  readonly copyMS: readonly [number, number];
}

/** The errors a store may reject with; given, because a mutated engine has classes of its own. */
export interface LinkErrors {
  unavailable(): Error;
  outcomeUnknown(): Error;
}

export interface Command<T> {
  readonly name: string;
  /** A linearizable read sees what is applied, and is answered when a majority has that. */
  readonly kind: 'read' | 'write' | 'linearizable';
  readonly request: unknown;
  /** Given what a majority read of it sees. */
  readonly program: (seen: Snapshot) => Program<T>;
  /** Whether nobody sends it again before it fails: then the silence ends when the driver notices that its peer is gone. */
  readonly patient?: boolean;
}

/** After how long the driver notices that its peer is silent. */
export const SILENT_PEER_MS = 40_000;

export class Link {
  readonly #world: World;
  readonly #chance: Chance;
  readonly #set: ReplicaSet;
  readonly #process: SimProcess;
  readonly #settings: LinkSettings;
  readonly #outages: readonly Outage[];
  readonly #errors: LinkErrors;
  /** Told whenever something goes wrong on the way. */
  readonly #disturb: () => void;
  /** Whether a read is answered from no earlier than what this process has been told. */
  readonly #readsWait: boolean;
  readonly #pasts = new Map<Outage, Snapshot>();
  sentCount = 0;
  /** Nothing gets lost any more. */
  calm = false;

  constructor(given: {
    world: World;
    chance: Chance;
    set: ReplicaSet;
    process: SimProcess;
    settings: LinkSettings;
    outages: readonly Outage[];
    errors: LinkErrors;
    disturb: () => void;
    readsWait?: boolean;
  }) {
    this.#world = given.world;
    this.#chance = given.chance;
    this.#set = given.set;
    this.#process = given.process;
    this.#settings = given.settings;
    this.#outages = given.outages;
    this.#errors = given.errors;
    this.#disturb = given.disturb;
    this.#readsWait = given.readsWait ?? true;
    for (const outage of given.outages) this.#world.at(outage.fromMS, () => this.#past(outage));
  }

  get outage(): Outage | null {
    const { nowMS } = this.#world;
    return this.#outages.find(({ fromMS, toMS }) => fromMS <= nowMS && nowMS < toMS) ?? null;
  }

  #loses(rate: number): boolean {
    return !this.calm && this.#chance.hit(rate);
  }

  delayMS(): number {
    const { delayMS, slowRate, slowMS } = this.#settings;
    return this.#chance.between(...(this.#chance.hit(slowRate) ? slowMS : delayMS));
  }

  send<T>(command: Command<T>): Promise<T> {
    this.sentCount += 1;
    const number = this.sentCount;
    this.#process.trace(`-> #${number} ${command.name} ${JSON.stringify(command.request)}`);
    return new Promise((resolve, reject) => {
      const answer = (outcome: Outcome<T>): void => this.#reply(command, number, outcome, resolve, reject);
      const fail = (error: Error): void => this.#failLater({ command, number, error, reject });
      const { copyRate, copyMS, loseRequestRate } = this.#settings;
      const outage = this.outage;
      if (command.kind === 'write' && this.#chance.hit(copyRate)) {
        this.#world.in(this.#chance.between(...copyMS), () => {
          this.#disturb();
          this.#process.trace(`   copy of #${number} ${command.name} reaches the server`);
          this.#set.run(this.#set.asCopy(command.program(this.#set.committed)), 'write', () => {});
        });
      }
      if (outage?.kind === 'refuse') return fail(this.#errors.unavailable());
      if (outage?.kind === 'drop' || this.#loses(loseRequestRate)) return fail(this.#errors.outcomeUnknown());
      const arrivesAt = (outage?.kind === 'hold' ? outage.toMS : this.#world.nowMS) + this.delayMS();
      if (outage?.kind === 'hold') this.#disturb();
      const after = this.#readsWait ? this.#process.seenPosition : 0;
      this.#world.at(arrivesAt, () => {
        if (this.outage?.kind === 'stale') this.#executeInThePast(command, number, answer);
        else this.#execute(command, { what: `#${number}`, after }, answer);
      });
    });
  }

  #execute<T>(
    command: Command<T>,
    { what, after }: { readonly what: string; readonly after: number },
    answer: (outcome: Outcome<T>) => void,
  ): void {
    this.#process.trace(`   ${what} ${command.name} reaches the server`);
    if (command.kind === 'linearizable') this.#set.run(command.program(this.#set.applied), 'write', answer);
    else if (command.kind === 'write') this.#set.run(command.program(this.#set.committed), 'write', answer);
    else this.#set.whenVisible(after, (seen) => this.#set.run(command.program(seen), 'read', answer));
  }

  /** A deposed primary answers reads; what is written there is never committed. */
  #executeInThePast<T>(command: Command<T>, number: number, answer: (outcome: Outcome<T>) => void): void {
    this.#process.trace(`   #${number} ${command.name} reaches a deposed primary`);
    this.#disturb();
    if (command.kind !== 'read') answer({ kind: 'interrupted' });
    else this.#set.run(command.program(this.#past(this.outage as Outage)), 'read', answer);
  }

  /** What was committed when the outage began. */
  #past(outage: Outage): Snapshot {
    const known = this.#pasts.get(outage);
    if (known !== undefined) return known;
    const snapshot = new Map(this.#set.committed);
    this.#pasts.set(outage, snapshot);
    return snapshot;
  }

  #reply<T>(
    command: Command<T>,
    number: number,
    outcome: Outcome<T>,
    resolve: (reply: T) => void,
    reject: (error: Error) => void,
  ): void {
    const { loseReplyRate } = this.#settings;
    const outage = this.outage;
    const uncommitted = outage?.kind === 'stale' && command.kind !== 'read';
    const lost = uncommitted || outage?.kind === 'deaf' || outage?.kind === 'drop' || this.#loses(loseReplyRate);
    if (outcome.kind === 'interrupted' || lost) {
      this.#failLater({ command, number, error: this.#errors.outcomeUnknown(), reject });
      return;
    }
    const { committedPosition, visiblePosition } = this.#set;
    const position = command.kind === 'read' ? visiblePosition : committedPosition;
    const arrivesAt = (outage?.kind === 'hold' ? outage.toMS : this.#world.nowMS) + this.delayMS();
    this.#world.at(arrivesAt, () => {
      this.#process.deliver(`<- #${number} ${command.name}`, () => {
        this.#process.trace(`<- #${number} ${command.name} ${show(outcome.reply)}`);
        this.#process.seenPosition = Math.max(this.#process.seenPosition, position);
        resolve(outcome.reply);
      });
    });
  }

  #failLater({
    command,
    number,
    error,
    reject,
  }: {
    command: Pick<Command<unknown>, 'patient' | 'kind'>;
    number: number;
    error: Error;
    reject: (error: Error) => void;
  }): void {
    this.#disturb();
    const silent =
      (error as { code?: string }).code !== 'LOCK_UNAVAILABLE' && this.#chance.hit(this.#settings.silentRate);
    if (silent) this.#process.trace(`   #${number} is lost`);
    if (silent && !command.patient) return;
    const afterMS = silent ? SILENT_PEER_MS : this.#chance.between(...this.#settings.errorMS);
    this.#world.in(afterMS, () => {
      this.#process.deliver(`<- #${number} fails`, () => {
        // What only reads has changed nothing.
        const failure = command.kind === 'write' ? error : this.#errors.unavailable();
        this.#process.trace(`<- #${number} fails: ${failure.message}`);
        reject(failure);
      });
    });
  }
}

function show(value: unknown): string {
  return (
    JSON.stringify(value, (_, item) => {
      if (item instanceof Map) return Object.fromEntries(item);
      return item instanceof Set ? [...item] : item;
    }) ?? 'ok'
  );
}
