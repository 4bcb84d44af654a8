/**
 * `dlocks ls`, `show`, `watch` and `release` as their users meet them: the built program against a real replica set, with a lock that is held and
 * awaited by real clients.
 */
import { describe, expect, test } from 'vitest';
import { useDatabase } from '../support/database.js';
import { eventually } from '../support/eventually.js';
import { contended, HOSTILE } from './contended.js';
import { dlocks, documents, Program } from './program.js';

const database = useDatabase(import.meta.url);
const env = { DLOCKS_URI: database.uri };
const pair = { resource: 'account', id: '42' };
describe('dlocks ls', () => {
  test('lists what is held, with the holder and how many wait, for people and for programs', async () => {
    const { lock, release } = await contended(database, pair);
    const [text, json] = await Promise.all([dlocks(['ls'], env), dlocks(['ls', '--json'], env)]);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    const [head, row, ...rest] = text.stdout.trimEnd().split('\n');
    expect(head).toMatch(/^RESOURCE +ID +FOR +TOKEN +LEASE +WAITING +HOLDER$/);
    expect(row).toMatch(
      new RegExp(`^account +42 +\\d+.* +${lock.fencingToken} +.* +1 +.*:${process.pid} \\(holder\\)$`),
    );
    expect(rest).toEqual([]);
    expect(json).toMatchObject({ code: 0, stderr: '' });
    expect(documents(json.stdout)).toEqual([
      {
        locks: [
          {
            ...pair,
            waitersCount: 1,
            holder: expect.objectContaining({
              pid: process.pid,
              label: 'holder',
              fencingToken: lock.fencingToken,
              lastFencingToken: lock.fencingToken,
              callersCount: 1,
              since: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
              leaseRemainingMS: expect.any(Number),
            }),
          },
        ],
        after: null,
      },
    ]);
    await release();
  });
});

describe('dlocks show', () => {
  test('shows the holder and the queue in order, for people and for programs', async () => {
    const { lock, release } = await contended(database, pair);
    const [text, json] = await Promise.all([
      dlocks(['show', 'account', '42'], env),
      dlocks(['show', 'account', '42', '--json'], env),
    ]);
    expect(text).toMatchObject({ code: 0, stderr: '' });
    expect(text.stdout).toMatch(/^account 42 {2}held\n/);
    expect(text.stdout).toContain(`token    ${lock.fencingToken}\n`);
    expect(text.stdout).toMatch(/waiting {2}1\n +1 {2}.*\(waiter\) .* nightly\n$/);
    expect(documents(json.stdout)).toEqual([
      expect.objectContaining({
        ...pair,
        waitersCount: 1,
        forced: null,
        holder: expect.objectContaining({ label: 'holder', fencingToken: lock.fencingToken }),
        waiters: [
          expect.objectContaining({ label: 'waiter', labels: ['nightly'], callersCount: 1, since: expect.any(String) }),
        ],
      }),
    ]);
    await release();
  });
});

describe('dlocks release', () => {
  test('changes nothing without --force, and says which command would', async () => {
    const { lock, release } = await contended(database, pair);
    const refused = await dlocks(['release', 'account', '42', '--reason', 'stuck'], env);
    expect(refused).toMatchObject({ code: 202, stdout: '' });
    expect(refused.stderr).toContain(`dlocks release account 42 --force --reason TEXT --token ${lock.fencingToken}\n`);
    expect((await dlocks(['release', 'account', '42', '--force'], env)).code).toBe(202);
    expect(lock.held).toBe(true);
    await release();
  });

  test('ends the hold that stands, with the reason for its holder, and the next in the queue gets the lock', async () => {
    const holder = await database.connected();
    const waiter = await database.connected();
    const lock = await holder.locks.lock(pair);
    const waiting = waiter.locks.lock(pair);
    await database.untilWaiting(pair, 1);
    const done = await dlocks(['release', 'account', '42', '--force', '--reason', HOSTILE, '--by', 'ops'], env);
    expect(done).toEqual({ code: 0, stdout: `released account 42, token ${lock.fencingToken}\n`, stderr: '' });
    const next = await waiting;
    expect(next.fencingToken).toBeGreaterThan(lock.fencingToken);
    await eventually(() => lock.signal.aborted);
    expect(lock.signal.reason).toMatchObject({ code: 'LOCK_LOST', forced: { by: 'ops', reason: HOSTILE } });
    const shown = await dlocks(['show', 'account', '42'], env);
    expect(shown.stdout).toContain(
      'by ops: a\\u001b[31m\\u001b]0;title\\u0007b\\nforged\\r\\u009b2Jc\\u202ed\\u200b\n',
    );
    await next.unlock();
  });
});

describe('dlocks watch', () => {
  test('tells of arrivals, grants and releases as they happen, a document a line, until it is interrupted', async () => {
    const watch = new Program(['watch', 'account', '--json'], env);
    await watch.prints('"status":"live"');
    const { lock, release } = await contended(database, pair);
    await release();
    await eventually(() => documents(watch.stdout).filter(({ kind }) => kind === 'released').length === 2);
    watch.signal('SIGINT');
    const { code, stdout, stderr } = await watch.ended();
    expect({ code, stderr }).toEqual({ code: 130, stderr: '' });
    const told = documents(stdout).filter(({ kind }) => kind !== 'status');
    expect(told.map(({ kind }) => kind)).toEqual(['granted', 'arrived', 'released', 'granted', 'released']);
    expect(told[0]).toMatchObject({ ...pair, firstToken: lock.fencingToken, holder: { label: 'holder' } });
    expect(told[1]).toMatchObject({ position: 1, labels: ['nightly'], waiter: { label: 'waiter' } });
  });
});

describe('whatever it prints', () => {
  test('has no colours and no control characters where nobody looks, whatever callers chose', async () => {
    const hostile = { resource: HOSTILE, id: HOSTILE };
    const { locks } = await database.connected({ label: HOSTILE });
    const lock = await locks.lock(hostile);
    const args = [
      ['ls'],
      ['show', HOSTILE, HOSTILE],
      ['release', HOSTILE, HOSTILE],
      ['ls', '--json'],
      ['nonsense', HOSTILE],
    ];
    const printed = await Promise.all(args.map((each) => dlocks(each, { ...env, FORCE_COLOR: '1' })));
    for (const { stdout, stderr } of printed) {
      expect(stdout + stderr).not.toBe('');
      expect(stdout + stderr).not.toMatch(/[^\P{C}\n]/u);
    }
    const [page] = documents(printed[3]?.stdout ?? '');
    expect(page).toMatchObject({ locks: [{ ...hostile, holder: { label: HOSTILE } }] });
    await lock.unlock();
  });
});
