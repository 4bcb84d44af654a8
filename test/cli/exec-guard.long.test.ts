/**
 * The guard of `dlocks exec` in what the quick run leaves out: a `dlocks` that is stopped for a moment only, or while it
 * ends its command, and a guard that is stopped or killed itself.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { instantIn } from '../../packages/cli/src/exec/instant.js';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { Guarded, HAS_ENDED, POLITE, STUBBORN, UNTIL_FILE } from './guarded.js';
import { childOf, isAlive, type Program, stateOf } from './program.js';
import { useScripts } from './scripts.js';

const GUARD: string = fileURLToPath(new URL('../../packages/cli/dist/exec/guard-process.js', import.meta.url));

const database = useDatabase(import.meta.url);
const scripts = useScripts();
const guarded = new Guarded(database, scripts);

const guardOf = (program: Program): Promise<number> => eventually(() => childOf(program.pid, 'dlocks-guard'));

describe('dlocks that is stopped', () => {
  test('goes on with its command where it is continued in time', async () => {
    const program = guarded.exec(UNTIL_FILE);
    await scripts.pids(1);
    program.signal('SIGSTOP');
    await eventually(() => stateOf(program.pid) === 'T');
    program.signal('SIGCONT');
    // Longer than the lease that it had when it was stopped.
    await guarded.renewals(5);
    await writeFile(scripts.file('end'), '');
    expect(await program.ended()).toMatchObject({ code: 0, stdout: 'done\n' });
  });

  test('while it ends its command, has that killed when its grace is over', async () => {
    const program = guarded.exec(STUBBORN, { options: ['--kill-after', '1s'] });
    const [pid = 0] = await scripts.pids(1);
    await guarded.forceRelease();
    await program.tells('was lost');
    program.signal('SIGSTOP');
    expect(isAlive(pid)).toBe(true);
    await eventually(() => !isAlive(pid));
    program.signal('SIGCONT');
    expect((await program.ended()).code).toBe(201);
  });
});

describe('a guard', () => {
  test('that was stopped for longer than a lease, and is continued, leaves the command alone', async () => {
    const program = guarded.exec(UNTIL_FILE);
    await scripts.pids(1);
    const guard = await guardOf(program);
    process.kill(guard, 'SIGSTOP');
    await guarded.renewals(5);
    process.kill(guard, 'SIGCONT');
    await guarded.renewals(2);
    await writeFile(scripts.file('end'), '');
    expect(await program.ended()).toMatchObject({ code: 0, stdout: 'done\n' });
    await eventually(() => !isAlive(guard));
  });

  test('is not ended by what asks a whole service to end, and ends when dlocks and the command have', async () => {
    const program = guarded.exec(STUBBORN);
    const [pid = 0] = await scripts.pids(1);
    const guard = await guardOf(program);
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.kill(guard, signal);
    await guarded.renewals(1);
    expect(isAlive(guard)).toBe(true);
    const next = await guarded.next();
    await program.kill();
    await eventually(() => !isAlive(pid) && !isAlive(guard));
    expect((await next.ended()).stdout).toMatch(HAS_ENDED);
  });

  test('that is killed leaves the command to dlocks, which still ends it when the lock is lost', async () => {
    const program = guarded.exec(POLITE);
    const [pid = 0] = await scripts.pids(1);
    process.kill(await guardOf(program), 'SIGKILL');
    await guarded.renewals(1);
    expect(isAlive(pid)).toBe(true);
    await guarded.forceRelease();
    expect((await program.ended()).code).toBe(201);
    expect(await scripts.lines('got')).toEqual(['TERM']);
  });

  test('finds the command where dlocks was stopped before it could send which that is', async () => {
    const parent = spawn('sh', ['-c', 'sleep 60 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'ignore'] });
    const pid = Number(String((await once(parent.stdout, 'data'))[0]));
    const guard = spawn(process.execPath, [GUARD], { stdio: ['pipe', 'ignore', 'ignore'] });
    const order = { parent: parent.pid, ownsGroup: false, deadlineAt: instantIn(0), killAfterMS: 500, patienceMS: 20 };
    guard.stdin.write(`${JSON.stringify(order)}\n`);
    await Promise.all([once(parent, 'exit'), once(guard, 'exit')]);
    expect(isAlive(pid)).toBe(false);
  });
});
