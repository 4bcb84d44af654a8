/**
 * The guard as `dlocks exec` sees it: a process of its own that ends the command when `dlocks` cannot, because it was
 * killed, crashed, or is stopped. It is sent the local deadline of the lock whenever that moves. What it does is in
 * `guard-process.ts`. `child.ts` starts one for each command.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Instant } from './instant.js';

/** What is sent to a guard. What an order does not name stays as it was. */
export interface GuardOrder {
  /** The process that starts the command, and whether that has a process group of its own: sent before it is started. */
  readonly parent?: number;
  readonly ownsGroup?: boolean;
  /** The command. Until it is sent, the guard finds it as the only other child of `parent`. */
  readonly pid?: number;
  /** Until when the lock can be relied on, if no other order comes. */
  readonly deadlineAt?: Instant;
  /** From TERM to KILL. */
  readonly killAfterMS?: number;
  /** How long after the deadline the guard waits for `dlocks` to end the command by itself. */
  readonly patienceMS?: number;
  /** The command has been asked to end: when it gets KILL. */
  readonly killAt?: Instant;
}

const PROGRAM: string = fileURLToPath(new URL('./guard-process.js', import.meta.url));

/** One guard, which does nothing before its first order. On Windows there is none. */
export class Guard {
  readonly #process: ChildProcess | undefined;
  /** What could not be written yet, because the guard does not read. */
  #unsent: GuardOrder | null = null;
  #isBlocked = false;

  constructor() {
    if (process.platform === 'win32') return;
    this.#process = spawn(process.execPath, [PROGRAM], {
      // A session of its own: what stops or ends the command's group, or ours, must not reach it.
      detached: true,
      cwd: '/',
      // Not NODE_OPTIONS and the like.
      env: { PATH: process.env.PATH, LD_LIBRARY_PATH: process.env.LD_LIBRARY_PATH },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#process.on('error', () => {});
    this.#process.stdin?.on('error', () => {});
    this.#process.stdin?.on('drain', () => {
      this.#isBlocked = false;
      if (this.#unsent !== null) this.order({});
    });
    this.#process.unref();
  }

  /** Sends it an order. What a stopped guard does not read is kept as one order, with the latest of everything. */
  order(order: GuardOrder): void {
    this.#unsent = { ...this.#unsent, ...order };
    if (this.#process?.stdin?.writable !== true || this.#isBlocked) return;
    this.#isBlocked = !this.#process.stdin.write(`${JSON.stringify(this.#unsent)}\n`);
    this.#unsent = null;
  }

  /** Ends it: the command has ended, and its number may soon be another's. */
  dismiss(): void {
    this.#process?.kill('SIGKILL');
  }
}
