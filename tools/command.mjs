/**
 * Child processes that cannot be lost: each runs in a process group of its own, has a limit, and is ended as a whole group; every process of a
 * run carries the run's mark in its environment, so that those left behind can be found. The drivers call it; it prints nothing itself.
 */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of the workspace. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

const MARK = 'MONGO_DISTRIBUTED_LOCKS_RUN';
const GRACE_MS = 5_000;

/** Process groups that this process started and that have not ended. @type {Set<number>} */
const groups = new Set();

// Inherited by whatever this process starts. A run inside a run (the tests run the demo) adds its own mark to the outer one's, so that each finds
// what it lost, and the inner one takes nothing of the outer one's for its own.
const mark = randomUUID();
process.env[MARK] = [process.env[MARK], mark].filter(Boolean).join(':');

/**
 * @typedef {object} Ended
 * @property {number} code exit code; 1 where a signal or the limit ended it
 * @property {string} output what it printed on both channels; empty where it wrote to the terminal itself
 * @property {string} stdout what it printed on the first channel alone
 * @property {number} tookMS
 */

/**
 * Runs a program to its end. Never rejects for what the program does: a failure to start is an end with code 1.
 * @param {string} program a path, or a name on the PATH or among the workspace's own programs
 * @param {string[]} args
 * @param {{ cwd?: string, env?: Record<string, string | undefined>, shows?: 'at-end' | 'at-once', limitMS?: number }} [options]
 * @returns {Promise<Ended>}
 */
export async function run(program, args, { cwd = ROOT, env = {}, shows = 'at-end', limitMS = 120_000 } = {}) {
  const startedAt = performance.now();
  const child = spawn(program, args, {
    cwd,
    env: environment(env),
    stdio: shows === 'at-once' ? ['ignore', 'inherit', 'inherit'] : ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  /** @type {string[]} */
  const output = [];
  /** @type {string[]} */
  const stdout = [];
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    stdout.push(text);
    output.push(text);
  });
  child.stderr?.setEncoding('utf8').on('data', (text) => output.push(text));
  const group = child.pid;
  if (group !== undefined) groups.add(group);
  const limit = setTimeout(() => {
    output.push(`\nstopped after ${limitMS / 1000} s\n`);
    endGroup(group, 'SIGKILL');
  }, limitMS);
  const code = await endOf(child, output);
  clearTimeout(limit);
  if (group !== undefined) groups.delete(group);
  return { code, output: output.join(''), stdout: stdout.join(''), tookMS: performance.now() - startedAt };
}

/**
 * @param {import('node:child_process').ChildProcess} child
 * @param {string[]} output
 * @returns {Promise<number>}
 */
function endOf(child, output) {
  return new Promise((resolve) => {
    child.once('error', (error) => {
      output.push(`${error.message}\n`);
      resolve(1);
    });
    child.once('close', (code) => resolve(code ?? 1));
    child.once('exit', (code, signal) => {
      if (signal !== null) output.push(`\nended by ${signal}\n`);
      // What the program left in its group would work on beside the next step, and what it left elsewhere may hold the channels open for ever.
      endGroup(child.pid, 'SIGKILL');
      setTimeout(() => resolve(code ?? 1), 1_000).unref();
    });
  });
}

/** @param {Record<string, string | undefined>} extra */
function environment(extra) {
  const path = [join(ROOT, 'node_modules', '.bin'), process.env.PATH ?? ''].join(delimiter);
  // Some programs colour what they print wherever they run.
  const plain = process.stdout.isTTY ? {} : { NO_COLOR: '1' };
  return { ...process.env, ...plain, PATH: path, ...extra };
}

/**
 * @param {number | undefined} group
 * @param {NodeJS.Signals} signal
 */
function endGroup(group, signal) {
  if (group === undefined) return;
  try {
    process.kill(-group, signal);
  } catch {
    // No member is left: what was wanted.
  }
}

/**
 * On the first interrupt or termination passes it to everything that runs, gives it a few seconds, does `cleanUp` and ends this process as the
 * signal asks. Without it a process group of its own would not hear of Ctrl-C.
 * @param {() => Promise<void>} cleanUp
 */
export function endTogether(cleanUp) {
  let ending = false;
  for (const [signal, code] of /** @type {[NodeJS.Signals, number][]} */ ([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ])) {
    process.on(signal, async () => {
      if (ending) return;
      ending = true;
      for (const group of groups) endGroup(group, signal);
      await until(() => groups.size === 0, GRACE_MS);
      for (const group of groups) endGroup(group, 'SIGKILL');
      await cleanUp().catch(() => {});
      process.exit(code);
    });
  }
}

/**
 * The processes of this run that still live, as `pid command` lines, after they were given a few seconds to go; and ends them. Where the
 * system does not show the environment of processes (no /proc) it sees none.
 * @returns {Promise<string[]>}
 */
export async function leftovers() {
  /** @type {{ pid: number, command: string }[]} */
  let found = [];
  await until(async () => {
    found = await markedProcesses();
    return found.length === 0;
  }, GRACE_MS);
  for (const { pid } of found) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone in the meantime.
    }
  }
  return found.map(({ pid, command }) => `${pid} ${command}`);
}

async function markedProcesses() {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = [];
  for (const pid of pids) {
    const variables = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    if (pid === process.pid || !variables.includes(mark)) continue;
    const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    found.push({ pid, command: command.split('\0').join(' ').trim() });
  }
  return found;
}

/**
 * @param {() => boolean | Promise<boolean>} condition
 * @param {number} limitMS
 */
async function until(condition, limitMS) {
  const end = performance.now() + limitMS;
  while (!(await condition()) && performance.now() < end) await new Promise((resolve) => setTimeout(resolve, 50));
}
