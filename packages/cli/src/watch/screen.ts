/**
 * A whole terminal that is redrawn: the other screen, so that what stood there comes back, and no line longer than the terminal. `watch` draws on
 * it; it knows nothing of locks.
 */
import type { Channel } from '../terminal.js';
import { clip } from '../text.js';

const OPEN = '\u001b[?1049h\u001b[?25l';
const CLOSE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const END_OF_LINE = '\u001b[K';
const END_OF_SCREEN = '\u001b[J';

/** From its making to `close` the terminal is ours. */
export class Screen {
  readonly #channel: Channel;
  readonly #onExit = (): void => this.#channel.write(CLOSE);
  #isOpen = true;

  constructor(channel: Channel) {
    this.#channel = channel;
    channel.write(OPEN);
    // However the process ends, short of being killed, the terminal must be usable.
    process.once('exit', this.#onExit);
  }

  get rows(): number {
    return this.#channel.rows;
  }

  /** Shows these lines and nothing else, as many as there is room for. */
  draw(lines: readonly string[]): void {
    if (!this.#isOpen) return;
    const shown = lines.slice(0, this.rows).map((line) => clip(line, this.#channel.columns));
    this.#channel.write(`${HOME}${shown.map((line) => line + END_OF_LINE).join('\r\n')}${END_OF_SCREEN}`);
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    process.off('exit', this.#onExit);
    this.#channel.write(CLOSE);
  }
}
