/** `dlocks exec` that can no longer keep its lock: its command never runs beside the command of the next holder. */
import { writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { useDatabase } from '../support/database.js';
import { FrozenProxy } from '../support/frozen-proxy.js';
import { Guarded, HAS_ENDED, POLITE, STUBBORN } from './guarded.js';
import { isAlive } from './program.js';
import { useScripts } from './scripts.js';

const database = useDatabase(import.meta.url);
const scripts = useScripts();
const guarded = new Guarded(database, scripts);

describe('a lease that could not be renewed', () => {
  const proxies: FrozenProxy[] = [];

  afterEach(async () => {
    await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
  });

  test('leaves the command its grace, also where the network comes back at once', async () => {
    const proxy = await FrozenProxy.start(Number(new URL(database.uri).port));
    proxies.push(proxy);
    const uri = `mongodb://127.0.0.1:${proxy.port}/${database.name}?directConnection=true`;
    const program = guarded.exec(STUBBORN, { uri });
    const [pid = 0] = await scripts.pids(1);
    const next = await guarded.next();
    proxy.holdBack();
    await program.tells('was lost');
    proxy.letThrough();
    expect(await next.ended()).toMatchObject({ code: 0, stdout: expect.stringMatching(HAS_ENDED) });
    expect(isAlive(pid)).toBe(false);
    expect((await program.ended()).code).toBe(201);
  });
});

describe('dlocks that is stopped', () => {
  test('has its command asked to end, before the lock is passed on', async () => {
    const program = guarded.exec(POLITE);
    const [pid = 0] = await scripts.pids(1);
    const next = await guarded.next();
    program.signal('SIGSTOP');
    expect(await next.ended()).toMatchObject({ code: 0, stdout: expect.stringMatching(HAS_ENDED) });
    expect(isAlive(pid)).toBe(false);
    expect(await scripts.lines('got')).toEqual(['TERM']);
    program.signal('SIGCONT');
    expect((await program.ended()).code).toBe(201);
    expect(program.stderr).toContain('was lost');
  });

  test('has a command that does not end killed, with all that it has started', async () => {
    await writeFile(scripts.file('stubborn'), STUBBORN);
    const program = guarded.exec(`sh "$OUT/stubborn" & sh "$OUT/stubborn" & ${STUBBORN}`);
    const pids = await scripts.pids(3);
    const next = await guarded.next();
    program.signal('SIGSTOP');
    expect(await next.ended()).toMatchObject({ code: 0, stdout: expect.stringMatching(HAS_ENDED) });
    expect(pids.map(isAlive)).toEqual([false, false, false]);
    program.signal('SIGCONT');
    expect((await program.ended()).code).toBe(201);
  });
});
