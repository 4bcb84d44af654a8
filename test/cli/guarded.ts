/**
 * Commands that `dlocks exec` must end before the next holder begins, and the command of the next holder, which looks
 * whether they have ended. Called by the tests of lost locks and of the guard.
 */
import type { Pair, TestDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import type { Program } from './program.js';
import type { Scripts } from './scripts.js';

/** KILL comes 2 % of it before others can have the lock: long enough for a machine with other things to do. */
const LEASE: readonly string[] = ['--lease', '5s', '--clock-skew', '0.3s'];

/** Writes its process id, and works until it is killed. */
export const STUBBORN = 'trap "" TERM; echo $$ >>"$OUT/pids"; while :; do sleep 0.02; done';
/** Writes its process id, and that it was asked to end. */
export const POLITE =
  'trap \'echo TERM >>"$OUT/got"; exit 0\' TERM; echo $$ >>"$OUT/pids"; while :; do sleep 0.02; done';
/** Writes its process id, and works until there is a file. */
export const UNTIL_FILE = 'echo $$ >>"$OUT/pids"; until [ -e "$OUT/end" ]; do sleep 0.02; done; echo done';

/** Prints the state of the first process whose id was written. */
const LOOK = 'cut -d " " -f 3 "/proc/$(head -n 1 "$OUT/pids")/stat" 2>/dev/null; echo next';
/** What that prints where it has ended: of a process that has ended and was not asked about, the state is Z. */
export const HAS_ENDED = /^(Z\n)?next\n$/;

interface Started {
  readonly uri?: string;
  readonly options?: readonly string[];
}

/** One lock, and what runs under it. */
export class Guarded {
  readonly pair: Pair = { resource: 'backup', id: 'shop' };
  readonly #database: TestDatabase;
  readonly #scripts: Scripts;

  constructor(database: TestDatabase, scripts: Scripts) {
    this.#database = database;
    this.#scripts = scripts;
  }

  exec(script: string, { uri = this.#database.uri, options = [] }: Started = {}): Program {
    const lockArgs = [String(this.pair.resource), String(this.pair.id)];
    return this.#scripts.exec(uri, lockArgs, script, [...LEASE, ...options]);
  }

  /** The next in the queue, which looks whether the one before it has ended. */
  async next(): Promise<Program> {
    const next = this.exec(LOOK);
    await this.#database.untilWaiting(this.pair, 1);
    return next;
  }

  async forceRelease(): Promise<void> {
    const { locks } = await this.#database.connected();
    const { holder } = await locks.inspect(this.pair);
    await locks.forceRelease({ ...this.pair, fencingToken: Number(holder?.fencingToken), reason: 'test' });
  }

  /** Resolves when the lease was renewed so often more: three times in a lease. */
  async renewals(count: number): Promise<void> {
    const before = await this.#beats();
    await eventually(async () => (await this.#beats()) >= before + count, 15_000);
  }

  async #beats(): Promise<number> {
    const sessions = this.#database.db.collection<{ _id: string; beats: number }>('dlocks.sessions');
    const session = await sessions.findOne({ _id: (await this.#database.holder(this.pair)) ?? '' });
    return Number(session?.beats);
  }
}
