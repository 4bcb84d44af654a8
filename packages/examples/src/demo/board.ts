/**
 * Shows the demo while it runs: on a terminal a table that is redrawn in place, elsewhere a line whenever something has
 * changed. It shows what it is given and decides nothing.
 */
import { nowMS } from './clock.js';
import type { Contender } from './contenders.js';
import type { CallRecord } from './history.js';
import { EMPTY_VIEW, type Place, type QueueView } from './queue-view.js';

const LOG_LINES = 7;
const PLAIN_INTERVAL_MS = 500;
const ESC = '\u001b[';

/** Where the facts of the table come from. */
export interface BoardSource {
  readonly contenders: readonly Contender[];
  readonly records: readonly CallRecord[];
}

export class Board {
  readonly #source: () => BoardSource;
  readonly #live = process.stdout.isTTY === true;
  readonly #startedAt = nowMS();
  #view: QueueView = EMPTY_VIEW;
  #phase = '';
  #log: string[] = [];
  #linesCount = 0;
  #plainState = '';
  #plainAt = 0;

  constructor(source: () => BoardSource) {
    this.#source = source;
    if (this.#live) process.stdout.write(`${ESC}?25l`);
  }

  /** What happens from now on. */
  phase(title: string): void {
    this.#phase = title;
    if (this.#live) this.#draw();
    else console.log(`\n${this.#time()}  ${title}`);
  }

  /** Something worth a line. */
  say(line: string): void {
    const entry = `${this.#time()}  ${line}`;
    this.#log = [...this.#log, ...entry.split('\n')].slice(-LOG_LINES);
    if (this.#live) this.#draw();
    else console.log(entry);
  }

  /** The queue as it was just read. */
  show(view: QueueView): void {
    this.#view = view;
    if (this.#live) this.#draw();
    else this.#showPlain();
  }

  /** Leaves the last table on the terminal, and the cursor below it. */
  close(): void {
    if (this.#live) process.stdout.write(`${ESC}?25h`);
  }

  #time(): string {
    return `${((nowMS() - this.#startedAt) / 1_000).toFixed(1).padStart(5)} s`;
  }

  #showPlain(): void {
    const { holder, queue } = this.#view;
    const state = `holder ${holder === null ? '-' : shown(holder)}   queue ${queue.map(shown).join(' → ') || '-'}`;
    if (state === this.#plainState || nowMS() - this.#plainAt < PLAIN_INTERVAL_MS) return;
    this.#plainState = state;
    this.#plainAt = nowMS();
    console.log(`${this.#time()}  ${state}`);
  }

  /** Over the last table; lines are cut to the width, so that their number is known. */
  #draw(): void {
    const width = process.stdout.columns ?? 80;
    const height = process.stdout.rows ?? 24;
    const lines = this.#table()
      .slice(0, height - 1)
      .map((line) => line.slice(0, width - 1));
    const up = this.#linesCount > 0 ? `${ESC}${this.#linesCount}A` : '';
    process.stdout.write(`${up}${ESC}0J${lines.join('\n')}\n`);
    this.#linesCount = lines.length;
  }

  #table(): string[] {
    const { holder, queue } = this.#view;
    const held = holder === null ? 'nobody' : `${shown(holder)}   fencing token ${holder.token}`;
    return [
      `one lock, several processes ${this.#time()}`,
      `now     ${this.#phase}`,
      `holder  ${held}`,
      `queue   ${queue.map(shown).join(' → ') || 'empty'}`,
      '',
      `${'process'.padEnd(10)}${'pid'.padStart(8)}  ${'state'.padEnd(10)}${'waiting'.padStart(8)}${'grants'.padStart(8)}`,
      ...this.#source().contenders.map((contender) => this.#row(contender)),
      '',
      ...this.#log,
    ];
  }

  #row({ name, pid, state }: Contender): string {
    const records = this.#source().records.filter(({ process }) => process === name);
    const waitingCount = records.filter(({ outcome }) => outcome === 'waiting').length;
    const grantsCount = records.filter(({ token }) => token !== undefined).length;
    const holds = records.some(({ outcome }) => outcome === 'holding');
    const doing = state !== 'alive' ? state : holds ? 'HOLDS' : waitingCount > 0 ? 'waits' : 'idle';
    const counts = `${String(waitingCount).padStart(8)}${String(grantsCount).padStart(8)}`;
    return `${name.padEnd(10)}${String(pid).padStart(8)}  ${doing.padEnd(10)}${counts}`;
  }
}

function shown({ process, callersCount }: Place): string {
  return callersCount === 1 ? process : `${process} ×${callersCount}`;
}
