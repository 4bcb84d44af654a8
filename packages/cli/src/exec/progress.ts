/**
 * What is told of a wait, on standard error: who holds the lock, the place in the queue, how long it may take. On a terminal one line that is
 * redrawn; else a line whenever it changes; for programs JSON. It listens to the client's events, and looks who holds the lock when the wait begins
 * and whenever the queue has moved.
 */
import type { HolderView, LockClient } from 'mongo-distributed-locks';
import { formatDuration } from '../duration.js';
import { type Channel, notice, type Terminal } from '../terminal.js';
import { clip } from '../text.js';
import { lockName, someone } from '../view.js';

const REDRAW_EVERY_MS = 1_000;
const CLEAR = '\r\u001b[K';

/** Which lock is waited for, and how it is told. */
export interface ProgressRequest {
  readonly terminal: Terminal;
  readonly locks: LockClient;
  readonly pair: { readonly resource: string; readonly id: string };
  readonly json: boolean;
  readonly quiet: boolean;
}

/** The telling of one wait. */
export class Progress {
  readonly #request: ProgressRequest;
  readonly #startedAt: number = performance.now();
  #holder: HolderView | undefined;
  #isOver = false;
  #position: number | undefined;
  #estimatedWaitMS: number | undefined;
  #redraws: NodeJS.Timeout | undefined;
  #told = '';

  constructor(request: ProgressRequest) {
    this.#request = request;
    const { locks, quiet } = request;
    if (quiet) return;
    locks.on('waiting', () => void this.#look());
    locks.on('position', ({ position, estimatedWaitMS }) => {
      const hasMoved = position !== this.#position;
      this.#position = position;
      this.#estimatedWaitMS = estimatedWaitMS;
      if (hasMoved) void this.#look();
      else this.#tell();
    });
  }

  /** Whether anything was told. */
  get hasWaited(): boolean {
    return this.#told !== '';
  }

  /** The wait is over: the line that was redrawn is taken away. */
  stop(): void {
    const { locks } = this.#request;
    this.#isOver = true;
    for (const name of ['waiting', 'position'] as const) locks.off(name);
    if (this.#redraws === undefined) return;
    clearInterval(this.#redraws);
    this.#err.write(CLEAR);
  }

  get #err(): Channel {
    return this.#request.terminal.err;
  }

  /** The events have no more of the holder than its session before the first patrol. */
  async #look(): Promise<void> {
    const { locks, pair } = this.#request;
    const seen = await locks.inspect(pair).catch(() => null);
    if (this.#isOver) return;
    this.#holder = seen?.holder ?? undefined;
    this.#tell();
  }

  #tell(): void {
    const { json, terminal } = this.#request;
    if (json) this.#tellPrograms();
    else if (this.#err.isTTY) this.#keepDrawn();
    else if (this.#changed(this.#line())) notice(terminal, this.#line());
  }

  #changed(told: string): boolean {
    if (told === this.#told) return false;
    this.#told = told;
    return true;
  }

  #tellPrograms(): void {
    const { pair } = this.#request;
    const waitedMS = Math.round(performance.now() - this.#startedAt);
    const facts = { position: this.#position, estimatedWaitMS: this.#estimatedWaitMS, holder: this.#holder };
    if (this.#changed(JSON.stringify(facts))) this.#err.json({ event: 'waiting', ...pair, ...facts, waitedMS });
  }

  #keepDrawn(): void {
    this.#redraws ??= setInterval(() => this.#draw(), REDRAW_EVERY_MS);
    this.#draw();
  }

  #draw(): void {
    const line = `${this.#line()} · ${formatDuration(performance.now() - this.#startedAt)}`;
    this.#told = line;
    this.#err.write(`${CLEAR}${clip(`dlocks: ${line}`, this.#err.columns - 1)}`);
  }

  /** Without the time, so that it changes when there is news. */
  #line(): string {
    const { pair } = this.#request;
    const parts = [`waiting for ${lockName(pair)}`];
    if (this.#position !== undefined) parts.push(`position ${this.#position}`);
    if (this.#holder !== undefined) parts.push(`held by ${someone(this.#holder)}, token ${this.#holder.fencingToken}`);
    if (this.#estimatedWaitMS !== undefined && this.#err.isTTY)
      parts.push(`about ${formatDuration(this.#estimatedWaitMS)} left`);
    return parts.join(' · ');
  }
}
