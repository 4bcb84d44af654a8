/**
 * `dlocks` on a terminal: a real pseudo-terminal, which Python's standard library makes. Colours, redrawing, questions, and the terminal's own Ctrl-C.
 * `npm run verify` runs it; what needs no terminal is in the other files.
 */
import { spawn } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { isAlive, PROGRAM } from './program.js';
import { useScripts } from './scripts.js';

const database = useDatabase(import.meta.url);
const pair = { resource: 'account', id: '42' };
const scripts = useScripts();
const ESCAPE = '␛';

/** A terminal of 100 columns and 24 rows with a program on it; what comes on its standard input is typed. */
const PYTHON = `
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 100, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
import select
open_ends = [0, terminal]
while True:
    for end in select.select(open_ends, [], [])[0]:
        try:
            data = os.read(end, 65536)
        except OSError:
            data = b''
        if end == terminal and not data:
            status = os.waitpid(pid, 0)[1]
            sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status))
        if end == 0 and not data:
            open_ends.remove(0)
        os.write(terminal if end == 0 else 1, data)
`;

const DLOCKS: readonly string[] = [process.execPath, PROGRAM];

const typed = new Set<Typed>();

afterEach(() => {
  for (const each of typed) each.kill();
  typed.clear();
});

/** A program on a terminal, `dlocks` where no other is named. */
class Typed {
  screen = '';
  readonly #child;
  #code: number | undefined;

  constructor(args: readonly string[], env: Readonly<Record<string, string>> = {}, program = DLOCKS) {
    const command = [...program, ...args];
    const { NO_COLOR: _, CI: __, ...inherited } = process.env;
    const given = { ...inherited, TERM: 'xterm', DLOCKS_URI: database.uri, ...env };
    this.#child = spawn('python3', ['-c', PYTHON, ...command], { env: given, stdio: ['pipe', 'pipe', 'inherit'] });
    typed.add(this);
    this.#child.stdout.setEncoding('utf8').on('data', (text) => {
      // As a character that can be seen, in failures too.
      this.screen += text.replaceAll('\u001b', ESCAPE);
    });
    this.#child.once('exit', (code) => {
      this.#code = code ?? 1;
    });
  }

  /** Ends it, and with its terminal what runs there. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  type(text: string): void {
    this.#child.stdin.write(text);
  }

  async shows(text: string | RegExp): Promise<void> {
    const isThere = (): boolean => (typeof text === 'string' ? this.screen.includes(text) : text.test(this.screen));
    await eventually(() => isThere() || this.#code !== undefined, 10_000);
    if (!isThere()) throw new Error(`It did not show ${text}: ${JSON.stringify(this.screen)}`);
  }

  async ended(): Promise<number> {
    return Number(await eventually(() => this.#code !== undefined && String(this.#code), 15_000));
  }
}

describe('on a terminal', () => {
  test('a list has colours, unless NO_COLOR says otherwise, and no line is longer than the terminal', async () => {
    const { locks } = await database.connected({ label: '字'.repeat(60) });
    const lock = await locks.lock({ resource: 'r'.repeat(60), id: '42' });
    const [coloured, plain] = [new Typed(['ls']), new Typed(['ls'], { NO_COLOR: '1' })];
    expect([await coloured.ended(), await plain.ended()]).toEqual([0, 0]);
    expect(coloured.screen).toContain(`${ESCAPE}[1m`);
    expect(plain.screen).not.toContain(ESCAPE);
    expect(plain.screen).toMatch(/…\r\n$/);
    await lock.unlock();
  });

  test('the wait is one line that is redrawn, and goes when the lock is granted', async () => {
    const { locks } = await database.connected({ label: 'nightly' });
    const lock = await locks.lock(pair);
    const waiting = new Typed(['exec', 'account', '42', '--', 'sh', '-c', 'echo ran; tty']);
    await waiting.shows(/\r␛\[Kdlocks: waiting for account 42.*\(nightly\)/);
    await waiting.shows(/(\r␛\[Kdlocks: waiting[^\r\n]*){2}/);
    await lock.unlock();
    expect(await waiting.ended()).toBe(0);
    expect(waiting.screen).toMatch(/\r␛\[Kdlocks: granted after [^\r]*\r\nran\r\n\/dev\/\S+\r\n$/);
  });

  test('Ctrl-C reaches the command once, and it can read from the terminal', async () => {
    const script = 'trap "echo interrupted" INT; echo ready; read -r line; read -r line; echo "read $line"';
    const running = new Typed(['exec', 'account', '42', '--', 'bash', '-c', script]);
    await running.shows('ready');
    running.type('\u0003');
    await running.shows('interrupted');
    running.type('one\ntwo\n');
    expect(await running.ended()).toBe(0);
    expect(running.screen.match(/interrupted/g)).toHaveLength(1);
  });

  test('Ctrl-Z stops the command too, and it does nothing more when others have the lock', async () => {
    const { locks } = await database.connected();
    await writeFile(scripts.file('work'), 'echo "as $$"; while :; do echo work >>"$OUT/done"; sleep 0.02; done');
    const shell = new Typed(['-i'], { OUT: scripts.folder }, ['sh']);
    const options = '--lease 5s --clock-skew 0.3s';
    // What it starts is in no group of its own here.
    shell.type(`${DLOCKS.join(' ')} exec ${options} account 42 -- sh -c 'sh "$OUT/work"; true'\n`);
    await shell.shows(/as \d+\r/);
    const pid = Number(/as (\d+)\r/.exec(shell.screen)?.[1]);
    shell.type('\u001a');
    await shell.shows('Stopped');
    const before = await scripts.lines('done');
    const lock = await locks.lock(pair);
    expect(isAlive(pid)).toBe(false);
    expect(await scripts.lines('done')).toEqual(before);
    shell.type('fg\n');
    await shell.shows('was lost');
    shell.type('exit $?\n');
    expect(await shell.ended()).toBe(201);
    await lock.unlock();
  });

  test('a release asks first, and takes anything but yes, the end of input too, for no', async () => {
    const { locks } = await database.connected({ label: 'holder' });
    const lock = await locks.lock(pair);
    for (const answer of ['n\r', '\r', '\u0004']) {
      const asked = new Typed(['release', 'account', '42', '--force', '--reason', 'stuck']);
      await asked.shows('End this hold? [y/N]');
      asked.type(answer);
      expect(await asked.ended()).toBe(1);
    }
    const interrupted = new Typed(['release', 'account', '42', '--force', '--reason', 'stuck']);
    await interrupted.shows('End this hold? [y/N]');
    interrupted.type('\u0003');
    expect(await interrupted.ended()).toBe(130);
    expect(lock.held).toBe(true);
    const agreed = new Typed(['release', 'account', '42', '--force', '--reason', 'stuck']);
    await agreed.shows('End this hold? [y/N]');
    agreed.type('y\r');
    expect(await agreed.ended()).toBe(0);
    await eventually(() => lock.signal.aborted);
    expect(agreed.screen).toContain('released account 42');
  });

  test('watch draws who holds and who waits, follows what happens, and leaves the terminal as it was', async () => {
    const holder = await database.connected({ label: 'holder' });
    const waiter = await database.connected({ label: 'waiter' });
    const [all, one] = [new Typed(['watch']), new Typed(['watch', 'account', '42'])];
    await Promise.all([all, one].map((each) => each.shows(`${ESCAPE}[?1049h`)));
    const lock = await holder.locks.lock(pair);
    await all.shows(/account +42 .*\(holder\)/);
    await one.shows(/account 42: held by .*\(holder\)/);
    const waiting = waiter.locks.lock(pair);
    await one.shows(/ 1 {2}\S+ \(waiter\)/);
    await lock.unlock();
    await (await waiting).unlock();
    await all.shows('0 held · 0 waiting');
    for (const each of [all, one]) each.type('\u0003');
    expect([await all.ended(), await one.ended()]).toEqual([130, 130]);
    for (const { screen } of [all, one]) expect(screen).toContain(`${ESCAPE}[?25h${ESCAPE}[?1049l`);
  });
});
