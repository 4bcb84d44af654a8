/**
 * The signals that reach this process, and what they mean at the time: while a command waits, they end the wait; while `exec` runs its command,
 * they are passed on. One object for the process; `main.ts` makes it. It does not know what is ended.
 */
import { constants } from 'node:os';
import { CommandFailure, SIGNAL_BASE } from './exit-codes.js';

/** What asks for an end. */
const ENDING: readonly NodeJS.Signals[] = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'];

/** What a command under a lock is told, beside those. Left alone, the first would open Node's debugger here. */
const OTHERS: readonly NodeJS.Signals[] = ['SIGUSR1', 'SIGUSR2', 'SIGCONT', 'SIGWINCH'];

/** The exit code of a process that a signal ended, as shells have it. */
export function exitCodeOf(signal: NodeJS.Signals): number {
  return SIGNAL_BASE + constants.signals[signal];
}

/** Whether it asks for an end, and so goes to a whole process group. */
export function isEnding(signal: NodeJS.Signals): boolean {
  return ENDING.includes(signal);
}

/** A wait that a signal ended: the reason of `Signals.interrupted`. */
export class Interruption extends CommandFailure {
  readonly signal: NodeJS.Signals;

  constructor(signal: NodeJS.Signals) {
    super(`ended by ${signal}`, { exitCode: exitCodeOf(signal), code: 'INTERRUPTED' });
    this.signal = signal;
  }
}

/** Who takes a signal in the place of `interrupted`. */
export type Taker = (signal: NodeJS.Signals) => void;

/** All signals of the process, from its making on. */
export class Signals {
  readonly #interruption = new AbortController();
  readonly #exit: (exitCode: number) => void;
  #taker: Taker | undefined;

  constructor(source: NodeJS.Process, exit: (exitCode: number) => void = (code) => source.exit(code)) {
    this.#exit = exit;
    for (const signal of [...ENDING, ...OTHERS]) source.on(signal, () => this.#hear(signal));
  }

  /** Aborts with an `Interruption` when a signal asks for an end; a second one ends the process at once. */
  get interrupted(): AbortSignal {
    return this.#interruption.signal;
  }

  /** From now on all signals go to `taker`, until what this returns is called. */
  take(taker: Taker): () => void {
    this.#taker = taker;
    return () => {
      this.#taker = undefined;
    };
  }

  #hear(signal: NodeJS.Signals): void {
    if (this.#taker !== undefined) this.#taker(signal);
    else if (!isEnding(signal)) return;
    else if (this.#interruption.signal.aborted) this.#exit(exitCodeOf(signal));
    else this.#interruption.abort(new Interruption(signal));
  }
}
