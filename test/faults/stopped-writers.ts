/**
 * Holders in a real process that is stopped in the middle of a write, each with a successor that waits for its lock, and
 * what both have written in the end. The tests of fenced transactions say where they stop and when they go on.
 */
import type { Lock, LockSettings } from 'mongo-distributed-locks';
import type { Contender } from '../support/child-process.js';
import type { Pair, TestClient, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { pagesOf } from './children/late-writer.js';
import type { WriteGate, WriteHow, Written } from './children/messages.js';

/** Short, so that a pause need not be long. */
const SETTINGS = {
  leaseDurationMS: 1_500,
  patrolIntervalMS: 300,
  clockSkewMS: 300,
  idleMS: 60_000,
} satisfies LockSettings;

/** A holder that is stopped at the gate. One that `believes` does not notice that it was. */
export interface Writer {
  readonly how: WriteHow;
  readonly gate: WriteGate;
  readonly believes?: true;
}

/** What came of one. */
export interface Ending extends Written {
  /** Who has written what its lock guards, in order: the `late` one, the `next` one. */
  readonly by: readonly string[];
}

interface Case extends Writer {
  readonly caller: string;
  readonly pair: Pair & { readonly resource: string; readonly id: string };
  next: Promise<Lock>;
  written: () => Promise<Written>;
}

export class StoppedWriters {
  readonly #child: Contender;
  readonly #database: TestDatabase;
  #cases: Case[] = [];
  #successors: TestClient | undefined;

  constructor({ child, database }: { readonly child: Contender; readonly database: TestDatabase }) {
    this.#child = child;
    this.#database = database;
  }

  /** Each holds its lock, has a successor that waits, and is at its gate. */
  async arrange(writers: readonly Writer[]): Promise<void> {
    this.#successors = await this.#database.connected(SETTINGS);
    await pagesOf(this.#database.observer).deleteMany({});
    this.#cases = [];
    for (const writer of writers) this.#cases.push(await this.#begin(writer, this.#successors));
    const atGate = (): string[] => this.#child.told('at the gate').map(({ caller }) => caller);
    await eventually(() => this.#cases.every(({ caller }) => atGate().includes(caller)));
  }

  async #begin(writer: Writer, successors: TestClient): Promise<Case> {
    const { how, gate, believes } = writer;
    const caller = `${how}, ${gate}${believes ? ', believing' : ''}, ${this.#child.facts.length}`;
    const pair = { resource: 'page', id: caller };
    await pagesOf(this.#database.observer).insertOne({ _id: caller, by: [] });
    const { uri } = this.#database;
    // A client for each: one that believes has a clock of its own.
    await this.#child.ask('open', { client: caller, uri, settings: SETTINGS, ...(believes && { believes }) });
    await this.#child.ask('lock', { client: caller, callers: [caller], pair });
    await this.#child.granted(caller);
    const next = successors.locks.lock(pair);
    await this.#database.untilWaiting(pair, 1);
    const written = this.#child.expect('write', { client: caller, caller, how, gate });
    return { ...writer, caller, pair, next, written };
  }

  suspend(): void {
    this.#child.suspend();
  }

  /** Every successor gets its lock, writes in the same manner, and unlocks. */
  async takeOver(): Promise<void> {
    await Promise.all(
      this.#cases.map(async ({ next, how, caller }) => {
        const lock = await next;
        await this.#write(lock, how, caller);
        await lock.unlock();
      }),
    );
  }

  async #write(lock: Lock, how: WriteHow, _id: string): Promise<void> {
    if (this.#successors === undefined) throw new Error('Nothing was arranged');
    const pages = pagesOf(this.#successors.mongo);
    const update = { $push: { by: 'next' } };
    const pair = lock.fence({ _id }, update);
    if (how === 'transaction') await lock.withTransaction((session) => pages.updateOne({ _id }, update, { session }));
    else await pages.updateOne(how === 'fence' ? pair.filter : { _id }, how === 'fence' ? pair.update : update);
  }

  /** The process runs again, and every writer goes on from its gate. */
  async goOn(): Promise<void> {
    this.#child.continue();
    await Promise.all(this.#cases.map(({ caller }) => this.#child.ask('goOn', { caller })));
  }

  /** What came of each, in the order in which they were given. */
  async endings(): Promise<Ending[]> {
    const pages = pagesOf(this.#database.observer);
    const written = await Promise.all(this.#cases.map(({ written }) => written()));
    const found = new Map((await pages.find().toArray()).map(({ _id, by }) => [_id, by]));
    return this.#cases.map(({ caller }, index) => {
      const by = [...(found.get(caller) ?? []), ...(found.get(`${caller}, late`) ?? [])];
      const ending = written[index] as Written;
      return { ...ending, by: by.map((who) => (who === caller ? 'late' : who)) };
    });
  }

  /** Nothing of them is left in the process. */
  async close(): Promise<void> {
    await Promise.all(this.#cases.splice(0).map(({ caller }) => this.#child.ask('close', { client: caller })));
  }
}
