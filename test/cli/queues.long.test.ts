/** `dlocks ls`, `show`, `watch` and `release` in what the quick run leaves out: pages, empty answers, late tokens, events for people. */
import { describe, expect, test } from 'vitest';
import { useDatabase } from '../support/database.js';
import { HOSTILE } from './contended.js';
import { dlocks, documents, Program } from './program.js';

const database = useDatabase(import.meta.url);
const env = { DLOCKS_URI: database.uri };
const pair = { resource: 'account', id: '42' };

describe('dlocks ls', () => {
  test('goes from page to page, by cursor or all at once, and keeps to a prefix', async () => {
    const { locks } = await database.connected();
    const held = await Promise.all(['a', 'b', 'c'].map((id) => locks.lock({ resource: 'page', id })));
    const other = await locks.lock({ resource: 'other', id: 'd' });
    const [first] = documents((await dlocks(['ls', '--json', '--prefix', 'page', '--limit', '2'], env)).stdout);
    const ids = ({ locks: listed = [] }: { locks?: { id: string }[] } = {}): string[] => listed.map(({ id }) => id);
    expect(ids(first)).toEqual(['a', 'b']);
    const asked = ['ls', '--json', '--prefix', 'page', '--limit', '2', '--after', String(first?.after)];
    expect(documents((await dlocks(asked, env)).stdout).map(ids)).toEqual([['c']]);
    const all = await dlocks(['ls', '--json', '--prefix=page', '--limit=1', '--all'], env);
    expect(documents(all.stdout).flatMap(ids)).toEqual(['a', 'b', 'c']);
    const text = await dlocks(['ls', '--limit', '2'], env);
    expect(text.stderr).toMatch(/^dlocks: there are more: --after \S+, or --all\n$/);
    await Promise.all([...held, other].map((lock) => lock.unlock()));
  });

  test('says that nothing is held on standard error, so that standard output has locks only', async () => {
    expect(await dlocks(['ls'], env)).toEqual({ code: 0, stdout: '', stderr: 'dlocks: no lock is held\n' });
    expect(documents((await dlocks(['ls', '--json'], env)).stdout)).toEqual([{ locks: [], after: null }]);
  });
});

describe('dlocks show', () => {
  test('says of a free lock that it is free', async () => {
    const { code, stdout } = await dlocks(['show', 'nobody', 'here'], env);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'nobody here  free\n  waiting  0\n' });
    const [json] = documents((await dlocks(['show', 'nobody', 'here', '--json'], env)).stdout);
    expect(json).toMatchObject({ resource: 'nobody', holder: null, waiters: [], waitersCount: 0 });
  });
});

describe('dlocks release', () => {
  test('leaves another hold alone than the one whose token it was given', async () => {
    const { locks } = await database.connected();
    const before = await locks.lock(pair);
    await before.unlock();
    const lock = await locks.lock(pair);
    const late = ['release', 'account', '42', '--force', '--reason', 'late', '--token', String(before.fencingToken)];
    expect(await dlocks(late, env)).toMatchObject({ code: 1, stdout: '' });
    expect(documents((await dlocks([...late, '--json'], env)).stdout)).toMatchObject([{ released: false, ...pair }]);
    expect(lock.held).toBe(true);
    await lock.unlock();
    expect(await dlocks(['release', 'account', '42', '--force', '--reason', 'late'], env)).toMatchObject({ code: 1 });
  });
});

describe('dlocks watch', () => {
  test('tells people a line for each event, with nothing in it that a terminal would act upon', async () => {
    const watch = new Program(['watch'], env);
    const hostile = { resource: HOSTILE, id: HOSTILE };
    const { locks } = await database.connected({ label: HOSTILE });
    await watch.tells('watching');
    await (await locks.lock(hostile)).unlock();
    await watch.prints('released');
    watch.signal('SIGTERM');
    const { code, stdout } = await watch.ended();
    expect(code).toBe(143);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .filter((line) => / (granted|released) /.test(line));
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z {2}\w+ +a\\u001b\[31m/);
    expect(stdout).not.toMatch(/[^\P{C}\n]/u);
  });
});
