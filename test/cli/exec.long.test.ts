/**
 * `dlocks exec` in what the quick run leaves out: what it tells of the wait, standard input and arguments, and every exit code.
 */
import { describe, expect, test } from 'vitest';
import { useDatabase } from '../support/database.js';
import { dlocks, documents, type Ended, Program } from './program.js';
import { useScripts } from './scripts.js';

const database = useDatabase(import.meta.url);
const env = { DLOCKS_URI: database.uri };
const pair = { resource: 'backup', id: 'shop/1 of 2' };
const lockArgs = [pair.resource, pair.id];
const scripts = useScripts();
const exec = (script: string, options: readonly string[] = []): Program =>
  scripts.exec(database.uri, lockArgs, script, options);

describe('the command', () => {
  test('with its standard input too, and its arguments as they are, options and double dashes included', async () => {
    const script = 'process.stdin.pipe(process.stdout); console.log(process.argv.slice(1))';
    const command = [process.execPath, '-e', script, '--', '--json', '-n', '--', '--help'];
    const program = new Program(['exec', ...lockArgs, '--quiet', '--', ...command], env, 'pipe');
    program.write('from outside\n');
    await program.prints('from outside');
    program.signal('SIGTERM');
    expect((await program.ended()).stdout).toContain("[ '--json', '-n', '--', '--help' ]");
  });

  test('a command that a signal ends is reported as 128 and its number', async () => {
    expect((await exec('kill -9 $$').ended()).code).toBe(137);
    const program = exec('echo ready; exec sleep 60');
    await program.prints('ready');
    program.signal('SIGINT');
    expect((await program.ended()).code).toBe(130);
  });
});

describe('while it waits', () => {
  test('it tells on standard error who holds the lock, for people and for programs, and nothing when asked so', async () => {
    const holder = await database.connected({ label: 'nightly' });
    const lock = await holder.locks.lock(pair);
    const told = exec('true');
    await told.tells(`held by`);
    const json = exec('true', ['--json']);
    await json.tells('"holder"');
    const quiet = exec('true', ['--quiet']);
    await database.untilWaiting(pair, 3);
    await lock.unlock();
    const ended = await Promise.all([told, json, quiet].map((program) => program.ended()));
    expect(ended.map(({ code, stdout }) => ({ code, stdout }))).toEqual(Array(3).fill({ code: 0, stdout: '' }));
    expect(ended[0]?.stderr).toMatch(/^dlocks: waiting for backup shop\/1 of 2 .*held by .*\(nightly\), token \d+\n/);
    expect(ended[0]?.stderr).toMatch(/dlocks: granted after [\d.]+m?s, fencing token \d+\n$/);
    const events = documents(ended[1]?.stderr ?? '');
    expect(events[0]).toMatchObject({ event: 'waiting', ...pair });
    expect(events.some(({ holder }) => (holder as { label?: string } | undefined)?.label === 'nightly')).toBe(true);
    expect(events.at(-1)).toMatchObject({ event: 'granted', ...pair, fencingToken: expect.any(Number) });
    expect(ended[2]?.stderr).toBe('');
  });

  test('it is seen in the queue by the name of its command, none of its arguments', async () => {
    const holder = await database.connected();
    const lock = await holder.locks.lock(pair);
    const waiting = exec('true # secret');
    await database.untilWaiting(pair, 1);
    const { waiters } = await holder.locks.inspect(pair);
    expect(waiters).toMatchObject([{ pid: waiting.pid, label: 'sh' }]);
    await lock.unlock();
    expect((await waiting.ended()).code).toBe(0);
  });
});

describe('exit codes', () => {
  test('a command that is missing or cannot be run has those of a shell, and the lock is free again', async () => {
    const missing = await dlocks(['exec', ...lockArgs, '--', 'no-such-command-here'], env);
    expect(missing).toEqual({
      code: 127,
      stdout: '',
      stderr: 'dlocks: cannot run no-such-command-here: no such command\n',
    });
    const folderAsCommand = await dlocks(['exec', ...lockArgs, '--', scripts.folder], env);
    expect(folderAsCommand.code).toBe(126);
    expect(await database.holder(pair)).toBeNull();
  });

  test('wrong use has one, and says what is wrong, as JSON where that was asked for', async () => {
    const wrong: [string[], RegExp][] = [
      [[], /Usage: dlocks/],
      [['nonsense'], /unknown command 'nonsense'/],
      [['exec', ...lockArgs], /missing required argument 'command'/],
      [['exec', ...lockArgs, 'true'], /put -- before the command/],
      [['exec', ...lockArgs, 'true', '--', '--json'], /put -- before the command/],
      [['exec', ...lockArgs, 'ls', '-l'], /unknown option '-l'/],
      [['exec', ...lockArgs, '--timeout', 'soon', '--', 'true'], /--timeout must be a duration such as 500ms/],
      [['exec', '-E', '256', ...lockArgs, '--', 'true'], /--conflict-exit-code must be a whole number from 0 to 255/],
      [['exec', '-n', '-w', '1', ...lockArgs, '--', 'true'], /--try does not wait/],
      [['exec', '--lease', '10ms', ...lockArgs, '--', 'true'], /leaseDurationMS/],
      [['exec', ...lockArgs, '--', ''], /the command is empty/],
      [['exec', '', 'x', '--', 'true'], /"resource" must not be empty/],
      [['ls', '--limit', '0'], /--limit must be a whole number from 1 to 1000/],
      [['ls', '--uri', 'nonsense'], /connection string is not valid/],
    ];
    const outcomes = await Promise.all(wrong.map(([args]) => dlocks(args, env)));
    expect(outcomes.map(({ code }, index) => [wrong[index]?.[0], code])).toEqual(wrong.map(([args]) => [args, 202]));
    outcomes.forEach(({ stderr }, index) => {
      expect(stderr).toMatch(wrong[index]?.[1] ?? /^$/);
    });
    const asJson = await dlocks(['ls', '--json', '--limit', 'x'], env);
    expect(documents(asJson.stderr)).toEqual([
      { error: { code: 'USAGE', message: expect.any(String), exitCode: 202 } },
    ]);
    expect((await dlocks(['ls'])).stderr).toMatch(/Give --uri, or set DLOCKS_URI or MONGODB_URI/);
  });

  test('a database that cannot be reached has one, and no password is ever printed', async () => {
    const unreachable = 'mongodb://someone:hunter2@127.0.0.1:1/?serverSelectionTimeoutMS=200';
    const outcomes: Ended[] = await Promise.all([
      dlocks(['ls', '--uri', unreachable]),
      dlocks(['exec', '--json', '--uri', unreachable, ...lockArgs, '--', 'true']),
      dlocks(['watch'], { MONGODB_URI: unreachable }),
      dlocks(['show', unreachable, unreachable], { DLOCKS_URI: unreachable }),
      dlocks(['ls', '--uri', 'mongodb://someone:hunter2@nowhere:x/'], {}),
      dlocks(['ls', unreachable]),
      dlocks([unreachable]),
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([203, 203, 203, 203, 202, 202, 202]);
    for (const { stdout, stderr } of outcomes) {
      expect(stderr).not.toBe('');
      expect(stdout + stderr).not.toContain('hunter2');
    }
    expect(documents(outcomes[1]?.stderr ?? '').at(-1)).toMatchObject({ error: { exitCode: 203 } });
  });
});

test('help and version are told on standard output, for every command, and end well', async () => {
  const names = ['ls', 'show', 'watch', 'release', 'exec', 'ui'];
  const asked = [['--help'], ['--version'], ['help', 'exec'], ...names.map((name) => [name, '--help'])];
  const outcomes = await Promise.all(asked.map((args) => dlocks(args)));
  expect(outcomes.map(({ code, stderr }) => ({ code, stderr }))).toEqual(asked.map(() => ({ code: 0, stderr: '' })));
  expect(outcomes[0]?.stdout).toMatch(/^Usage: dlocks /);
  expect(outcomes[1]?.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect(outcomes[2]?.stdout).toContain('-- <command...>');
});
