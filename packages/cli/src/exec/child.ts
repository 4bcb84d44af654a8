/**
 * The command that runs under the lock, as a process: its start, the signals that it is given, its end, and its end by
 * force. It knows of the lock only for how long that can be relied on. `exec` calls it.
 *
 * Without a terminal the command has a session and process group of its own. On a terminal it stays in ours: it could
 * not read from the terminal otherwise, and the terminal's Ctrl-C reaches it by itself. `target.ts` ends either.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isatty } from 'node:tty';
import { isEnding } from '../signals.js';
import { Guard } from './guard.js';
import { type Instant, instantIn, killInstant, msUntil } from './instant.js';
import { Target } from './target.js';

const LOOK_EVERY_MS = 20;
/** A killed process stays until its system call returns, which nothing may interrupt. */
const KILLED_LIMIT_MS = 1_000;
/** What a terminal sends to every process of the foreground by itself. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT', 'SIGWINCH'];

/** How the command ended: by itself, by a signal, or not started at all. */
export type ChildEnd =
  | { readonly kind: 'exited'; readonly code: number }
  | { readonly kind: 'killed'; readonly signal: NodeJS.Signals }
  | { readonly kind: 'not-started'; readonly error: NodeJS.ErrnoException };

/** What is run, what it finds in its environment beside ours, and how it is ended. */
export interface ChildRequest {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** From TERM to KILL, in milliseconds. */
  readonly killAfterMS: number;
  /** How long the lock can be relied on, as known now. */
  readonly reliableForMS: number;
  /** How long after that its guard waits for us to end it. */
  readonly patienceMS: number;
}

/** A command that was started. */
export class Child {
  /** How it ended; never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #process: ChildProcess;
  /** null: it was not started. */
  readonly #target: Target | null;
  readonly #killAfterMS: number;
  /** Started before the command. */
  readonly #guard: Guard = new Guard();
  #deadlineAt: Instant;
  #isEnding = false;

  /** Starts it, with our own standard input, output and error. */
  constructor({ command: [program = '', ...args], env, killAfterMS, reliableForMS, patienceMS }: ChildRequest) {
    const ownsGroup = process.platform !== 'win32' && ![0, 1, 2].some((channel) => isatty(channel));
    this.#killAfterMS = killAfterMS;
    this.#deadlineAt = instantIn(reliableForMS);
    const times = { deadlineAt: this.#deadlineAt, killAfterMS, patienceMS };
    this.#guard.order({ parent: process.pid, ownsGroup, ...times });
    this.#process = spawn(program, args, {
      stdio: 'inherit',
      env: { ...process.env, ...env },
      detached: ownsGroup,
      windowsHide: true,
    });
    const { pid } = this.#process;
    if (pid !== undefined) this.#guard.order({ pid });
    this.#target = pid === undefined ? null : new Target({ pid, ownsGroup });
    this.ended = this.#untilEnded();
  }

  /** The lock can be relied on for so long from now on. */
  prolong(reliableForMS: number): void {
    this.#deadlineAt = instantIn(reliableForMS);
    this.#guard.order({ deadlineAt: this.#deadlineAt });
  }

  /**
   * Gives it a signal that we were given: what asks for an end to its group, as a terminal would, all else to itself.
   */
  pass(signal: NodeJS.Signals): void {
    const ownsGroup = this.#target?.facts.ownsGroup === true;
    if (FROM_TERMINAL.includes(signal) && !ownsGroup && isForeground()) return;
    if (isEnding(signal) && ownsGroup) this.#target?.send(signal);
    else this.#sendToItself(signal);
  }

  /**
   * Ends it and all it has started: TERM, and KILL after the grace. Resolves when none of it is left. Never rejects.
   */
  async end(): Promise<void> {
    this.#isEnding = true;
    const killAt = killInstant({ deadlineAt: this.#deadlineAt, killAfterMS: this.#killAfterMS });
    this.#guard.order({ killAt });
    if (msUntil(killAt) > 0) this.#askToEnd();
    const isGone = await this.#isGoneBy(killAt);
    if (!isGone) {
      this.#target?.send('SIGKILL');
      await this.ended;
      await this.#isGoneBy(instantIn(KILLED_LIMIT_MS));
    }
    this.#guard.dismiss();
  }

  #askToEnd(): void {
    this.#target?.send('SIGTERM');
    // A process that is stopped would not get the first.
    this.#target?.send('SIGCONT');
  }

  #untilEnded(): Promise<ChildEnd> {
    return new Promise((resolve) => {
      const end = (how: ChildEnd): void => {
        // While it is being ended, processes that it has started may be left.
        if (!this.#isEnding) this.#guard.dismiss();
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

  #sendToItself(signal: NodeJS.Signals): void {
    try {
      this.#process.kill(signal);
    } catch {
      // Windows does not have it.
    }
  }

  async #isGoneBy(instant: Instant): Promise<boolean> {
    while (!this.#isGone()) {
      const leftMS = msUntil(instant);
      if (leftMS <= 0) return false;
      await new Promise((resolve) => setTimeout(resolve, Math.min(leftMS, LOOK_EVERY_MS)));
    }
    return true;
  }

  #isGone(): boolean {
    if (this.#target === null) return true;
    const hasEnded = this.#process.exitCode !== null || this.#process.signalCode !== null;
    return hasEnded && this.#target.isGone;
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
