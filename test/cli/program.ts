/**
 * The built command line as a real process: started as its users start it, watched, signalled and killed. What it prints is kept; no process
 * outlives its test. The tests of `test/cli` call it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterEach } from 'vitest';
import { eventually } from '../support/eventually.js';

export const PROGRAM: string = fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));
/** Short, so that what waits for a lease does not wait long. */
export const LEASE: readonly string[] = ['--lease', '1s', '--clock-skew', '0.3s'];
const END_LIMIT_MS = 15_000;

/** How it ended, and what it had printed by then. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const running = new Set<Program>();

afterEach(async () => {
  await Promise.all([...running].map((program) => program.kill()));
});

/** One process of `dlocks`. */
export class Program {
  stdout = '';
  stderr = '';
  readonly #child: ChildProcess;
  #code: number | undefined;

  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string | undefined>> = {},
    input: 'ignore' | 'pipe' = 'ignore',
  ) {
    const { DLOCKS_URI: _, MONGODB_URI: __, NO_COLOR: ___, ...inherited } = process.env;
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      env: { ...inherited, ...env },
      stdio: [input, 'pipe', 'pipe'],
    });
    this.#child = child;
    child.stdout?.setEncoding('utf8').on('data', (text) => {
      this.stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.stderr += text;
    });
    // By its exit, and not by the end of its channels: what it leaves behind may hold those.
    child.once('exit', (code, signal) => {
      this.#code = code ?? 128 + constants.signals[signal as NodeJS.Signals];
      running.delete(this);
    });
    running.add(this);
  }

  get pid(): number {
    return Number(this.#child.pid);
  }

  get hasEnded(): boolean {
    return this.#code !== undefined;
  }

  /** Resolves when it has ended by itself. */
  async ended(limitMS = END_LIMIT_MS): Promise<Ended> {
    await eventually(() => this.hasEnded, limitMS).catch(() => {
      throw new Error(`It still runs after ${limitMS} ms.\n${this.stdout}\n${this.stderr}`);
    });
    // The channels may have a last piece on its way.
    await eventually(() => this.#child.stdout?.readableEnded && this.#child.stderr?.readableEnded, 500).catch(() => {});
    return { code: Number(this.#code), stdout: this.stdout, stderr: this.stderr };
  }

  /** Resolves when it has printed this on standard output. */
  async prints(text: string | RegExp): Promise<void> {
    await this.#has(() => this.stdout, text);
  }

  /** Resolves when it has printed this on standard error. */
  async tells(text: string | RegExp): Promise<void> {
    await this.#has(() => this.stderr, text);
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await eventually(() => this.hasEnded);
  }

  async #has(read: () => string, text: string | RegExp): Promise<void> {
    const isThere = (): boolean => (typeof text === 'string' ? read().includes(text) : text.test(read()));
    await eventually(() => isThere() || this.hasEnded, END_LIMIT_MS).catch(() => {});
    if (!isThere()) throw new Error(`It did not print ${text}.\n${this.stdout}\n${this.stderr}`);
  }
}

/** Runs it to its end. */
export function dlocks(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): Promise<Ended> {
  return new Program(args, env).ended();
}

/** JSON documents, one a line. */
export function documents(text: string): Record<string, unknown>[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line));
}

/** Whether a process runs; one that has ended and that nobody asked about does not. */
export function isAlive(pid: number): boolean {
  return !['', 'Z', 'X'].includes(stateOf(pid));
}

/** The process of this name that a process has started. */
export function childOf(pid: number, name: string): number | undefined {
  const pids = readdirSync('/proc').map(Number).filter(Number.isInteger);
  return pids.find(
    (child) => statusOf(child).includes(`\nPPid:\t${pid}\n`) && statusOf(child).startsWith(`Name:\t${name}\n`),
  );
}

function statusOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/status`, 'latin1');
  } catch {
    return '';
  }
}

/** The letter that the system has for the state of a process; empty where there is none. */
export function stateOf(pid: number): string {
  try {
    return /\) (\w) /.exec(readFileSync(`/proc/${pid}/stat`, 'latin1'))?.[1] ?? '';
  } catch {
    return '';
  }
}
