/**
 * The NestJS package in real application contexts, on the shared server: who runs when, what the decorator keeps and refuses, and that nothing is
 * left when the application ends. Its source is tested here, in one process; `programs/nestjs.cts` is what it is like when installed.
 */
import 'reflect-metadata';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { type INestApplicationContext, Inject, Injectable, Module, SetMetadata, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockClient } from 'mongo-distributed-locks';
import { currentLock, Locked, LocksModule, type LocksModuleOptions } from 'mongo-distributed-locks-nestjs';
import { afterEach, describe, expect, it } from 'vitest';
import { itLeavesNothingBehind, SETTINGS, useDatabase } from '../support/database.js';
import { eventually, rejection } from '../support/eventually.js';
import { storedLeftovers } from '../support/leaks.js';

const database = useDatabase(import.meta.url);
const ACCOUNT = { resource: 'account', id: 'ann' };
const options = (): LocksModuleOptions => ({ uri: database.uri, ...SETTINGS });

/** What the methods did, in order, over all applications of a test. */
const told: string[] = [];
/** Each call of `slowly` waits until the test lets it go on. */
const goOn = new Map<string, () => void>();

@Injectable()
class Accounts {
  readonly locks: LockClient;

  constructor(@Inject(LockClient) locks: LockClient) {
    this.locks = locks;
  }

  @Locked({ resource: 'account', id: (accountId: string) => accountId })
  async slowly(_accountId: string, caller: string): Promise<string> {
    told.push(`${caller} in`);
    await new Promise<void>((resolve) => goOn.set(caller, resolve));
    told.push(`${caller} out`);
    return `done by ${caller}`;
  }

  @SetMetadata('above', 1)
  @Locked({ resource: 'account', id: 'ann', timeoutMS: 50, label: 'hasty' })
  @SetMetadata('below', 2)
  async hastily(): Promise<string> {
    return 'was quick';
  }

  @Locked({ resource: 'outer', id: (id: number) => id })
  async outer(_id: number): Promise<{ outer: number; inner: number; again: number }> {
    const outer = currentLock().fencingToken;
    const inner = await this.inner();
    return { outer, inner, again: currentLock().fencingToken };
  }

  @Locked({ resource: 'inner', id: 0 })
  async inner(): Promise<number> {
    const { held, resource, fencingToken } = currentLock();
    if (!held || resource !== 'inner') throw new Error('Not the innermost lock');
    return fencingToken;
  }

  @Locked({ resource: 'account', id: 'bob' })
  async refuse(): Promise<never> {
    throw new Error('of the method');
  }
}

const applications: INestApplicationContext[] = [];

/** An application of its own, with a client of its own. */
async function application(root: Type = withRoot(options())): Promise<INestApplicationContext> {
  const made = await NestFactory.createApplicationContext(root, { logger: false, abortOnError: false });
  applications.push(made);
  return made;
}

function withRoot(given: LocksModuleOptions): Type {
  @Module({ imports: [LocksModule.forRoot(given)], providers: [Accounts] })
  class Root {}
  return Root;
}

afterEach(async () => {
  for (const resolve of goOn.values()) resolve();
  await Promise.all(applications.splice(0).map((each) => each.close()));
  told.length = 0;
  goOn.clear();
});

describe('@Locked()', () => {
  it('runs the calls of two applications one at a time, in the order in which they came', async () => {
    const [first, second] = (await Promise.all([application(), application()])).map((each) => each.get(Accounts));
    if (first === undefined || second === undefined) throw new Error('No application');
    const calls = [first.slowly('ann', 'a')];
    await eventually(() => goOn.has('a'));
    calls.push(second.slowly('ann', 'b'));
    await database.untilWaiting(ACCOUNT, 1);
    calls.push(first.slowly('ann', 'c'));
    await database.untilWaiting(ACCOUNT, 2);
    for (const caller of ['a', 'b', 'c']) (await eventually(() => goOn.get(caller)))();
    expect(await Promise.all(calls)).toEqual(['done by a', 'done by b', 'done by c']);
    expect(told).toEqual(['a in', 'a out', 'b in', 'b out', 'c in', 'c out']);
  });

  it('lets calls with other keys run beside it', async () => {
    const accounts = (await application()).get(Accounts);
    const calls = [accounts.slowly('ann', 'a'), accounts.slowly('bob', 'b')];
    for (const caller of ['a', 'b']) await eventually(() => goOn.has(caller));
    expect(told.toSorted()).toEqual(['a in', 'b in']);
    for (const resolve of goOn.values()) resolve();
    expect(await Promise.all(calls)).toEqual(['done by a', 'done by b']);
  });

  it('waits no longer than timeoutMS, and does not call the method then', async () => {
    const accounts = (await application()).get(Accounts);
    await accounts.locks.connect();
    expect(await accounts.hastily()).toBe('was quick');
    const call = accounts.slowly('ann', 'a');
    await eventually(() => goOn.has('a'));
    expect(await rejection(accounts.hastily())).toMatchObject({ code: 'LOCK_TIMEOUT' });
    goOn.get('a')?.();
    await call;
  });

  it('gives the method its lock by currentLock(), nested methods the innermost one, others an error', async () => {
    const accounts = (await application()).get(Accounts);
    const { outer, inner, again } = await accounts.outer(7);
    expect(again).toBe(outer);
    expect(inner).not.toBe(outer);
    expect((await database.stored({ resource: 'outer', id: 7 }))?.fence).toBe(outer);
    expect(() => currentLock()).toThrow('outside of a method with @Locked()');
  });

  it('rejects with what the method throws, and has unlocked', async () => {
    const accounts = (await application()).get(Accounts);
    expect(await rejection(accounts.refuse())).toMatchObject({ message: 'of the method' });
    expect(await database.holder({ resource: 'account', id: 'bob' })).toBeNull();
  });

  it('keeps the name of the method and what other decorators noted on it', () => {
    const { hastily } = Accounts.prototype;
    expect(hastily.name).toBe('hastily');
    expect([Reflect.getMetadata('above', hastily), Reflect.getMetadata('below', hastily)]).toEqual([1, 2]);
  });

  it('says so where Nest has not made the object', async () => {
    const accounts = new Accounts(new LockClient(options()));
    expect(await rejection(accounts.hastily())).toMatchObject({
      message: expect.stringContaining('Nest did not make its object'),
    });
  });

  it('has its types checked: the arguments of the key are the first of the method', () => {
    const byNumber = { resource: 'account', id: (account: number): number => account };
    class Wrong {
      // @ts-expect-error: the key is made of a number, the method is given a text
      @Locked(byNumber)
      async other(_account: string): Promise<void> {}

      // @ts-expect-error: the call waits, so what it gives is a promise
      @Locked({ resource: 'account', id: 1 })
      atOnce(): number {
        return 1;
      }

      @Locked(byNumber)
      async right(_account: number, _more: boolean): Promise<void> {}
    }
    expect(Object.getOwnPropertyNames(Wrong.prototype)).toContain('right');
  });
});

describe('LocksModule', () => {
  it('makes the options of what is injected, by forRootAsync', async () => {
    @Module({ providers: [{ provide: 'uri', useFactory: async () => database.uri }], exports: ['uri'] })
    class Configuration {}
    const useFactory = async (uri: string): Promise<LocksModuleOptions> => ({ uri, ...SETTINGS });
    @Module({
      imports: [LocksModule.forRootAsync({ imports: [Configuration], inject: ['uri'], useFactory })],
      providers: [Accounts],
    })
    class Root {}
    expect((await (await application(Root)).get(Accounts).outer(8)).outer).toBeGreaterThan(0);
  });

  it('refuses wrong options when the application is made, with all that is wrong', async () => {
    const wrong = { uri: database.uri, leaseDurationMS: 1, collectionName: '' };
    const error = await rejection(application(withRoot(wrong)));
    expect(error).toMatchObject({ code: 'LOCK_INVALID_OPTION', problems: [expect.anything(), expect.anything()] });
    const grace = await rejection(application(withRoot({ ...options(), graceMS: -1 })));
    expect(grace).toMatchObject({ code: 'LOCK_INVALID_OPTION', problems: [expect.stringContaining('graceMS')] });
  });

  it('lets those who hold finish for graceMS, and takes their locks after that', async () => {
    const [patient, hasty] = await Promise.all(
      [0, 1].map((index) => application(withRoot({ ...options(), graceMS: index === 0 ? 60_000 : 0 }))),
    );
    if (patient === undefined || hasty === undefined) throw new Error('No application');
    const finishes = patient.get(Accounts).slowly('ann', 'a');
    const cut = rejection(hasty.get(Accounts).slowly('bob', 'b'));
    for (const caller of ['a', 'b']) await eventually(() => goOn.has(caller));
    const closed = patient.close();
    await hasty.close();
    expect(await database.holder({ resource: 'account', id: 'bob' })).toBeNull();
    expect(await database.holder(ACCOUNT)).not.toBeNull();
    for (const resolve of goOn.values()) resolve();
    expect(await finishes).toBe('done by a');
    expect(await cut).toMatchObject({ code: 'LOCK_LOST', result: 'done by b' });
    await closed;
  });

  it('closes the client when the application ends: whoever waits is refused, and nothing is left', async () => {
    const [holding, ending] = await Promise.all([application(), application()]);
    const call = holding.get(Accounts).slowly('ann', 'a');
    await eventually(() => goOn.has('a'));
    const refused = rejection(ending.get(Accounts).slowly('ann', 'b'));
    await database.untilWaiting(ACCOUNT, 1);
    await ending.close();
    expect(await refused).toMatchObject({ code: 'LOCK_CLOSED' });
    expect(await database.waitersCount(ACCOUNT)).toBe(0);
    goOn.get('a')?.();
    await call;
    await holding.close();
    expect(await storedLeftovers(database.db)).toEqual([]);
  });

  it('closes it on SIGTERM with enableShutdownHooks(), and the signal ends the process', async () => {
    const program = fileURLToPath(new URL('./children/nestjs-application.mjs', import.meta.url));
    const child = spawn(process.execPath, [program, database.uri], { stdio: ['ignore', 'pipe', 'inherit'] });
    const exit = once(child, 'exit');
    await once(child.stdout, 'data');
    expect(await storedLeftovers(database.db)).toHaveLength(2);
    child.kill('SIGTERM');
    expect(await exit).toEqual([null, 'SIGTERM']);
    expect(await storedLeftovers(database.db)).toEqual([]);
  });
});

itLeavesNothingBehind(database);
