/**
 * `dlocks exec` as real processes on a real replica set: who runs when, what the command is given and told, how it is ended, and how that is reported.
 * The commands are small shell scripts that write what they see into a folder of the test.
 */
import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { documents, isAlive, LEASE, type Program } from './program.js';
import { useScripts } from './scripts.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'backup', id: 'shop/1 of 2' };
const scripts = useScripts();
const exec = (script: string, options: readonly string[] = []): Program =>
  scripts.exec(database.uri, [pair.resource, pair.id], script, options);

describe('dlocks exec runs a command under the lock', () => {
  test('with the token, the resource and the id in its environment, and ends with its exit code', async () => {
    const script = 'echo "$DLOCKS_FENCING_TOKEN $DLOCKS_RESOURCE $DLOCKS_ID"; echo problem >&2; exit 7';
    const { code, stdout, stderr } = await exec(script).ended();
    expect({ code, stderr }).toEqual({ code: 7, stderr: 'problem\n' });
    const [, token] = /^(\d+) backup shop\/1 of 2\n$/.exec(stdout) ?? [];
    const { fence } = (await database.stored(pair)) ?? {};
    expect(Number(token)).toBe(Number(fence));
  });

  test('one at a time, in the order of the queue, with tokens that rise', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(pair);
    const script = 'echo "$NAME begins $DLOCKS_FENCING_TOKEN" >>"$OUT/log"; sleep 0.1; echo "$NAME ends" >>"$OUT/log"';
    const programs: Program[] = [];
    for (const name of ['first', 'second', 'third']) {
      programs.push(exec(`NAME=${name}; ${script}`));
      await database.untilWaiting(pair, programs.length);
    }
    await lock.unlock();
    expect((await Promise.all(programs.map((program) => program.ended()))).map(({ code }) => code)).toEqual([0, 0, 0]);
    const log = await scripts.lines('log');
    expect(log.map((line) => line.replace(/ \d+$/, ''))).toEqual(
      ['first', 'second', 'third'].flatMap((name) => [`${name} begins`, `${name} ends`]),
    );
    const tokens = log.flatMap((line) => /\d+$/.exec(line) ?? []).map(Number);
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
    expect(tokens[0]).toBeGreaterThan(lock.fencingToken);
  });
});

describe('while it waits', () => {
  test('--try and --timeout end with a code of their own, --conflict-exit-code with another, and leave the queue', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(pair);
    const outcomes = await Promise.all(
      [
        ['--try'],
        ['--timeout', '300ms'],
        ['--try', '--conflict-exit-code', '0'],
        ['-w', '0.3', '-E', '99', '--json'],
      ].map((options) => exec('echo ran', options).ended()),
    );
    expect(outcomes.map(({ code }) => code)).toEqual([200, 200, 0, 99]);
    expect(outcomes.map(({ stdout }) => stdout).join('')).toBe('');
    expect(outcomes[0]?.stderr).toMatch(/^dlocks: backup shop\/1 of 2: held by .*\n$/);
    expect(outcomes[1]?.stderr).toMatch(/dlocks: backup shop\/1 of 2: not granted within 300ms\n$/);
    expect(documents(outcomes[3]?.stderr ?? '').at(-1)).toMatchObject({ event: 'not-granted', ...pair });
    expect(await database.waitersCount(pair)).toBe(0);
    await lock.unlock();
    expect(await exec('echo ran', ['--try']).ended()).toEqual({ code: 0, stdout: 'ran\n', stderr: '' });
  });

  test('a signal ends the wait, runs nothing, and leaves no place in the queue', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(pair);
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
    const programs = signals.map(() => exec('echo ran'));
    await database.untilWaiting(pair, 3);
    programs.forEach((program, index) => {
      program.signal(signals[index] ?? 'SIGKILL');
    });
    const ended = await Promise.all(programs.map((program) => program.ended()));
    expect(ended.map(({ code, stdout }) => ({ code, stdout }))).toEqual([
      { code: 130, stdout: '' },
      { code: 143, stdout: '' },
      { code: 129, stdout: '' },
    ]);
    expect(await database.waitersCount(pair)).toBe(0);
    await lock.unlock();
  });
});

describe('while the command runs', () => {
  test('signals are passed on to it, and the lock is held until it has dealt with them', async () => {
    // What the shell says of a sleep that was ended too is no concern here.
    const program = exec(`
      exec 2>/dev/null
      for signal in HUP INT QUIT USR1 USR2; do trap "echo $signal >>$OUT/got" $signal; done
      trap 'echo TERM >>"$OUT/got"; echo done; exit 5' TERM
      echo ready
      while :; do sleep 0.05; done
    `);
    await program.prints('ready');
    const names = ['HUP', 'INT', 'QUIT', 'USR1', 'USR2'] as const;
    for (const name of names) {
      program.signal(`SIG${name}`);
      await eventually(async () => (await scripts.lines('got')).at(-1) === name);
    }
    expect(await database.holder(pair)).not.toBeNull();
    program.signal('SIGTERM');
    expect(await program.ended()).toMatchObject({ code: 5, stdout: 'ready\ndone\n', stderr: '' });
    expect(await scripts.lines('got')).toEqual([...names, 'TERM']);
  });

  test('a lost lock ends it and all it started: TERM, then KILL after the grace, and an exit code of its own', async () => {
    const stubborn = 'exec 2>/dev/null; trap \'\' TERM; echo $$ >>"$OUT/pids"; while :; do sleep 0.05; done';
    await writeFile(scripts.file('stubborn'), stubborn);
    const program = exec(
      `exec 2>/dev/null; sh "$OUT/stubborn" & trap 'echo TERM >>"$OUT/got"; exit 0' TERM; echo $$ >>"$OUT/pids"; wait`,
      ['--kill-after', '300ms', ...LEASE],
    );
    const [first = 0, second = 0] = await scripts.pids(2);
    const looker = await database.connected();
    const { holder } = await looker.locks.inspect(pair);
    const asked = { ...pair, fencingToken: Number(holder?.fencingToken), reason: 'runs too long', by: 'ops' };
    expect(await looker.locks.forceRelease(asked)).toBe(true);
    const { code, stderr } = await program.ended();
    expect(code).toBe(201);
    expect(stderr).toBe(
      'dlocks: the lock backup shop/1 of 2 was lost, ending the command: released by force by ops: runs too long\n',
    );
    expect(await scripts.lines('got')).toEqual(['TERM']);
    expect([first, second].map(isAlive)).toEqual([false, false]);
  });

  test('the lease that lapses because dlocks is killed ends it too, and the next in the queue begins after that', async () => {
    const program = exec('echo $$ >>"$OUT/pids"; while :; do sleep 0.05; done', LEASE);
    const [pid = 0] = await scripts.pids(1);
    // Of a process that has ended, and that nobody has asked about, this says Z.
    const next = exec('cut -d " " -f 3 "/proc/$(cat "$OUT/pids")/stat" 2>/dev/null; echo next', LEASE);
    await database.untilWaiting(pair, 1);
    await program.kill();
    expect(await next.ended()).toMatchObject({ code: 0, stdout: expect.stringMatching(/^(Z\n)?next\n$/) });
    expect(isAlive(pid)).toBe(false);
  });
});
