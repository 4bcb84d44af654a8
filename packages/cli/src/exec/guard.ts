/**
 * Who ends the command when we cannot: a small shell that waits for our end on a pipe. If this process is killed (-9) or crashes, the lock goes to
 * somebody else after the lease; without the guard the command would then run beside that one. `child.ts` starts one for each command.
 */
import { type ChildProcess, spawn } from 'node:child_process';

/** Nothing ever comes on the pipe; its end is ours. Then TERM, and KILL after some seconds for what is left. */
const SCRIPT = `
read -r nothing
kill -s TERM -- "$1" && kill -s CONT -- "$1"
left="$2"
while [ "$left" -gt 0 ] && kill -s 0 -- "$1"; do sleep 1; left=$((left - 1)); done
kill -s KILL -- "$1"
`;

/** One guard, on duty from its making until `dismiss`. Where there is no shell, there is none, and nothing else changes. */
export class Guard {
  readonly #shell: ChildProcess | undefined;

  constructor(target: number, killAfterMS: number) {
    if (process.platform === 'win32') return;
    const seconds = Math.ceil(killAfterMS / 1_000);
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT, 'dlocks-guard', String(target), String(seconds)], {
      // Its own session: what ends the command's group, or ours, must not end it.
      detached: true,
      cwd: '/',
      env: { PATH: process.env.PATH },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    this.#shell.on('error', () => {});
    this.#shell.stdin?.on('error', () => {});
    this.#shell.unref();
  }

  /** Sends it home: the command has ended, and its number may soon be another's. */
  dismiss(): void {
    this.#shell?.kill('SIGKILL');
  }
}
