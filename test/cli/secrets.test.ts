/**
 * No output of the command line shows a secret of its connection string, in text or in JSON, wherever on the command
 * line or in the environment it was put; and other users of the machine do not read it in the list of processes. Mostly
 * in this process, over the real driver without a server; the built program as a process where that matters.
 */
import { EventEmitter } from 'node:events';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { connectionStringProblems } from 'mongo-distributed-locks/safe-messages';
import { MongoClient } from 'mongodb';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { failureOf } from '../../packages/cli/src/failures.js';
import { hideArguments, withoutConnectionStrings } from '../../packages/cli/src/process-title.js';
import { run } from '../../packages/cli/src/run.js';
import { Signals } from '../../packages/cli/src/signals.js';
import { Channel } from '../../packages/cli/src/terminal.js';
import { useDatabase } from '../support/database.js';
import { FUZZ_LIMIT_MS, fuzz } from '../support/fuzz.js';
import { withoutDns } from '../support/no-dns.js';
import { everythingOf, findMark, oddConnectionString } from '../support/odd-connection-strings.js';
import { dlocks, documents, Program } from './program.js';

const database = useDatabase(import.meta.url);
const MARK = 'zq7hunter';
/** Every command, with what it needs. */
const COMMANDS: readonly (readonly string[])[] = [
  ['ls'],
  ['show', 'backup', 'shop'],
  ['watch'],
  ['release', 'backup', 'shop', '--force', '--reason', 'a test'],
  ['ui', '--port', '0'],
  ['exec', 'backup', 'shop', '--', 'true'],
];

beforeEach(() => {
  withoutDns();
  vi.spyOn(process, 'emitWarning').mockImplementation(() => {});
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** Runs a command here, and gives what it has printed. */
async function printed(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  vi.unstubAllEnvs();
  for (const name of ['DLOCKS_URI', 'MONGODB_URI']) vi.stubEnv(name, env[name] ?? '');
  let output = '';
  const stream = {
    write: (text: string) => {
      output += text;
      return true;
    },
  };
  const terminal = { out: new Channel(stream, {}), err: new Channel(stream, {}) };
  const signals = new Signals(new EventEmitter() as NodeJS.Process, () => {});
  const code = await run({ args, terminal, signals, exitCode: 0 });
  return `${code}\n${output}`;
}

/** Where people put a connection string, rightly or wrongly. */
const PLACES: readonly ((command: readonly string[], uri: string) => [readonly string[], Record<string, string>])[] = [
  ([name = '', ...rest], uri) => [[name, '--uri', uri, ...rest], {}],
  ([name = '', ...rest], uri) => [[`--uri=${uri}`, name, ...rest], {}],
  (command, DLOCKS_URI) => [command, { DLOCKS_URI }],
  (command, MONGODB_URI) => [command, { MONGODB_URI }],
  (command, uri) => [[uri, ...command], {}],
  (command, uri) => [[...command, uri], {}],
  ([name = '', ...rest], uri) => [[name, `--url=${uri}`, ...rest], {}],
  ([name = '', ...rest], uri) => [[name, '-u', uri, ...rest], {}],
  ([name = '', ...rest], uri) => [[name, `-u${uri}`, ...rest], {}],
  ([name = '', ...rest], uri) => [[name, '--lease', uri, ...rest], {}],
  ([name = '', ...rest], uri) => [
    [name, '--uri', 'mongodb://localhost:1/?serverSelectionTimeoutMS=15', '--db', uri, ...rest],
    {},
  ],
];

/**
 * What can be an argument, and does not take long: a string that the driver accepts says for how long it looks for a
 * primary.
 */
const quickConnectionString = oddConnectionString.filter((uri) => {
  if (uri.includes('\0')) return false;
  return connectionStringProblems(uri).length > 0 || new MongoClient(uri).options.serverSelectionTimeoutMS === 15;
});

describe('a secret in any part of a connection string', () => {
  test(
    'is in no output of any command, in text or in JSON',
    async () => {
      const call = fc.tuple(
        quickConnectionString,
        fc.constantFrom(...COMMANDS),
        fc.constantFrom(...PLACES),
        fc.constantFrom([], ['--json']),
      );
      await fuzz(
        fc.asyncProperty(call, async ([uri, command, place, json]) => {
          const [args, env] = place(command, uri);
          const output = await printed([...json, ...args], env);
          expect(output).toMatch(/^\d+\n./);
          expect([findMark(output), output]).toEqual([null, output]);
        }),
        { runs: 300 },
      );
    },
    10 * FUZZ_LIMIT_MS,
  );

  test(
    'is in no output where the driver accepts the string, and fails only when it connects',
    async () => {
      const accepted = quickConnectionString.filter((uri) => connectionStringProblems(uri).length === 0);
      await fuzz(
        fc.asyncProperty(accepted, fc.constantFrom([], ['--json']), async (uri, json) => {
          const outputs: string[] = [];
          for (const command of COMMANDS) outputs.push(await printed([...json, '--uri', uri, ...command]));
          for (const output of outputs) {
            expect(output).toMatch(/^203\n./);
            expect([findMark(output), output]).toEqual([null, output]);
          }
        }),
        { runs: 25 },
      );
    },
    10 * FUZZ_LIMIT_MS,
  );

  test('is in no failure that a command could tell, whatever was thrown', () => {
    const secret = `Received 'mongodb://u:${MARK}@h' and ${MARK}`;
    const thrown = [
      new Error(secret),
      new TypeError(`${secret}\n    at ${MARK} (/dist/x.js:1:1)`),
      Object.assign(new Error(secret), { name: 'MongoNetworkError', cause: new Error(secret) }),
      Object.assign(new Error(secret), { code: 'ERR_INVALID_ARG_VALUE' }),
      secret,
      { message: secret },
    ];
    for (const error of thrown) expect(findMark(failureOf(error).message)).toBeNull();
  });

  test('is in nothing that the built program prints, with any of its exit codes', async () => {
    const wrong = [
      `mongodb://admin:${MARK}/shop`,
      `mongodb://u:a ${MARK}@127.0.0.1:1/?serverSelectionTimeoutMS=50`,
      `mongodb://user@127.0.0.1:${MARK}`,
      `mongodb://u:p@127.0.0.1:1/?tlsCertificateKeyFile=/${MARK}&tls=true&serverSelectionTimeoutMS=50`,
      `mongodb://u:p@127.0.0.1:1/?authMechanismProperties=${MARK}`,
      `mongodb://127.0.0.1:1,/${MARK}?serverSelectionTimeoutMS=50`,
    ];
    const outcomes = await Promise.all([
      ...wrong.flatMap((uri) => [dlocks(['ls'], { DLOCKS_URI: uri }), dlocks(['watch', '--json', '--uri', uri])]),
      dlocks(wrong.slice(0, 1)),
      dlocks(['ls', `--url=${wrong[0]}`]),
    ]);
    for (const { code, stdout, stderr } of outcomes) {
      expect([202, 203]).toContain(code);
      expect(stderr).toMatch(/^dlocks: |^\{"error"/);
      expect([findMark(stdout + stderr), stderr]).toEqual([null, stderr]);
    }
    const [, inJson] = outcomes;
    expect(documents(inJson?.stderr ?? '')).toEqual([
      { error: { code: 'USAGE', message: expect.stringContaining('Host 1 has a port'), exitCode: 202 } },
    ]);
  });
});

describe('the command line of the process', () => {
  test('does not show the connection string to others, once it runs', async () => {
    const uri = database.uri.replace('mongodb://', `mongodb://${MARK}:${MARK}@`);
    const holder = await database.connected();
    const lock = await holder.locks.lock({ resource: 'backup', id: 'shop' });
    const waiting = new Program([
      'exec',
      '--uri',
      database.uri,
      '--label',
      'a test',
      'backup',
      'shop',
      '--',
      'echo',
      uri,
    ]);
    await database.untilWaiting({ resource: 'backup', id: 'shop' }, 1);
    // It waits in the queue, so it has run for a while.
    const shown = readFileSync(`/proc/${waiting.pid}/cmdline`, 'utf8');
    expect(shown).toMatch(/^dlocks exec --uri \*\*\* --label a test backup shop -- echo \*\*\*\0*$/);
    await lock.unlock();
    expect(await waiting.ended()).toMatchObject({ code: 0 });
  });

  test('is left alone where it has none, and on Windows, where it would name the window', () => {
    const titled = { platform: 'linux', title: 'node main.js' };
    hideArguments(titled, ['ls', '--json']);
    expect(titled.title).toBe('node main.js');
    const onWindows = { platform: 'win32', title: 'a window' };
    hideArguments(onWindows, ['ls', '--uri', 'mongodb://localhost']);
    expect(onWindows.title).toBe('a window');
    hideArguments(titled, ['ls', '--uri', 'mongodb://localhost']);
    expect(titled.title).toBe('dlocks ls --uri ***');
  });

  test('has nothing of a connection string in it, wherever that is', async () => {
    await fuzz(
      fc.property(
        oddConnectionString,
        fc.constantFrom(...COMMANDS),
        fc.constantFrom(...PLACES),
        (uri, command, place) => {
          // Some have no scheme, and are one only by their place.
          const [args] = place(command, uri.startsWith('mongodb') ? uri : `mongodb://${uri}`);
          expect(findMark(everythingOf(withoutConnectionStrings(args)))).toBeNull();
        },
      ),
      { runs: 500 },
    );
  });
});

test('the page cannot be served twice on one port, and says so', async () => {
  const first = new Program(['ui', '--port', '0', '--uri', database.uri]);
  await first.prints('http://');
  const { port } = new URL(first.stdout.trim());
  const second = await dlocks(['ui', '--port', port, '--uri', database.uri]);
  expect(second).toMatchObject({ code: 204, stderr: `dlocks: cannot listen on 127.0.0.1, port ${port}: EADDRINUSE\n` });
  expect(first.hasEnded).toBe(false);
});
