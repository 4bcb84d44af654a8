/**
 * The command that runs under the lock, as a process: its start, the signals that it is given, its end, and its end by force. It knows nothing of
 * locks. `exec` calls it.
 *
 * Without a terminal the command has a session and process group of its own, so that all it started can be ended with it. On a terminal it stays
 * in ours: it could not read from the terminal otherwise, and the terminal's Ctrl-C reaches it by itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { isEnding } from '../signals.js';
import { Guard } from './guard.js';

const LOOK_EVERY_MS = 20;
/** A killed process may stay for as long as nobody asks how it ended. */
const KILLED_LIMIT_MS = 1_000;
/** What a terminal sends to every process of the foreground by itself. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH'];

/** How the command ended: by itself, by a signal, or not started at all. */
export type ChildEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'not-started'; readonly error: NodeJS.ErrnoException };

/** What is run, and what it finds in its environment beside ours. */
export interface ChildRequest {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** From TERM to KILL, in milliseconds. */
  readonly killAfterMS: number;
}

/** A command that was started. */
export class Child {
  /** How it ended; never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #process: ChildProcess;
  readonly #ownsGroup: boolean;
  readonly #killAfterMS: number;
  readonly #guard: Guard | undefined;

  /** Starts it, with our own standard input, output and error. */
  constructor({ command: [program = '', ...args], env, killAfterMS }: ChildRequest) {
    this.#ownsGroup = process.platform !== 'win32' && ![0, 1, 2].some((channel) => isatty(channel));
    this.#killAfterMS = killAfterMS;
    this.#process = spawn(program, args, {
      stdio: 'inherit',
      env: { ...process.env, ...env },
      detached: this.#ownsGroup,
      windowsHide: true,
    });
    this.#guard = this.#target === undefined ? undefined : new Guard(this.#target, killAfterMS);
    this.ended = this.#untilEnded();
  }

  /** Gives it a signal that we were given: what asks for an end to its whole group, as a terminal would, all else to itself. */
  pass(signal: NodeJS.Signals): void {
    if (FROM_TERMINAL.includes(signal) && !this.#ownsGroup && isForeground()) return;
    this.#send(signal, isEnding(signal) ? this.#target : this.#process.pid);
  }

  /** Ends it and its group: TERM, and KILL after the grace for what is left. Resolves when none of it is left. Never rejects. */
  async end(): Promise<void> {
    this.#send('SIGTERM', this.#target);
    // A process that is stopped would not hear the first.
    this.#send('SIGCONT', this.#target);
    const isGone = await this.#isGoneWithin(this.#killAfterMS);
    if (isGone) return;
    this.#send('SIGKILL', this.#target);
    await this.ended;
    await this.#isGoneWithin(KILLED_LIMIT_MS);
  }

  /** Whom `kill` is to reach: the group, as a negative number, or the process. */
  get #target(): number | undefined {
    const { pid } = this.#process;
    return pid !== undefined && this.#ownsGroup ? -pid : pid;
  }

  #untilEnded(): Promise<ChildEnd> {
    return new Promise((resolve) => {
      const end = (how: ChildEnd): void => {
        this.#guard?.dismiss();
        resolve(how);
      };
      this.#process.once('error', (error) => {
        // Also what cannot be sent to it.
        if (this.#process.pid === undefined) end({ kind: 'not-started', error });
      });
      this.#process.once('exit', (code, signal) => {
        end(signal === null ? { kind: 'exited', code: code ?? 0 } : { kind: 'killed', signal });
      });
    });
  }

  #send(signal: NodeJS.Signals, target: number | undefined): boolean {
    if (target === undefined || (target > 0 && this.#hasEnded)) return false;
    try {
      process.kill(target, signal);
      return true;
    } catch {
      return false;
    }
  }

  get #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  async #isGoneWithin(limitMS: number): Promise<boolean> {
    const endAt = performance.now() + limitMS;
    while (!this.#isGone()) {
      if (performance.now() >= endAt) return false;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    return true;
  }

  #isGone(): boolean {
    const { pid } = this.#process;
    if (pid === undefined) return true;
    if (!this.#hasEnded) return false;
    if (!this.#ownsGroup) return true;
    try {
      process.kill(-pid, 0);
      return false;
    } catch {
      return true;
    }
  }
}

/** Whether we are what the terminal sends Ctrl-C to. Where the system does not say, yes: a command that hears it twice is worse. */
function isForeground(): boolean {
  try {
    const stat = readFileSync('/proc/self/stat', 'latin1');
    const [, , group, , , foreground] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return group === foreground;
  } catch {
    return true;
  }
}
