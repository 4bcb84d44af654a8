/**
 * Where output goes: standard output and standard error with what is known of them (a terminal or not, colours or not, JSON or not), and the one
 * place that takes passwords out. Commands print by it and nothing else. It decides nothing about content.
 */
import { styleText } from 'node:util';
import { escapeMessage, safeJson, withoutCredentials } from './text.js';

type Style = Parameters<typeof styleText>[0];

/** What a terminal needs of a stream. */
export interface OutputStream {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
  write(text: string): boolean;
}

/** One of the two channels. */
export class Channel {
  readonly isTTY: boolean;
  readonly hasColours: boolean;
  readonly #stream: OutputStream;

  constructor(stream: OutputStream, env: NodeJS.ProcessEnv) {
    this.#stream = stream;
    this.isTTY = stream.isTTY === true;
    this.hasColours = this.isTTY && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
  }

  get columns(): number {
    return this.#stream.columns ?? 80;
  }

  get rows(): number {
    return this.#stream.rows ?? 24;
  }

  /** Writes text whose control characters are our own. */
  write(text: string): void {
    this.#stream.write(withoutCredentials(text));
  }

  line(text = ''): void {
    this.write(`${text}\n`);
  }

  /** One JSON document, on one line. */
  json(value: unknown): void {
    this.line(safeJson(value));
  }

  /** Styled where there are colours, else as it is. */
  style(style: Style, text: string): string {
    return this.hasColours ? styleText(style, text, { validateStream: false }) : text;
  }
}

/** Both channels, and whether programs read them. */
export interface Terminal {
  readonly out: Channel;
  readonly err: Channel;
}

/** The process's own. */
export function processTerminal(): Terminal {
  return { out: new Channel(process.stdout, process.env), err: new Channel(process.stderr, process.env) };
}

/** A notice on standard error: for people a line that begins with the program's name, for programs a JSON document. */
export function notice({ err }: Terminal, message: string, { json = false, ...facts }: NoticeOptions = {}): void {
  if (json) err.json({ message: withoutCredentials(message), ...facts });
  else err.line(`dlocks: ${escapeMessage(message)}`);
}

/** How a notice is printed, and what its JSON form carries beside the message. */
export interface NoticeOptions {
  readonly json?: boolean | undefined;
  readonly [fact: string]: unknown;
}
