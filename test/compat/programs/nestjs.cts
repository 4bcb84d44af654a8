/**
 * The NestJS package as most Nest applications are compiled: to CommonJS, with the metadata of decorators, so that a constructor is given the client by
 * its type. On one version of Node; the process ends by itself.
 */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockClient } from 'mongo-distributed-locks';
import { currentLock, Locked, LocksModule } from 'mongo-distributed-locks-nestjs';

const uri = process.env.MONGODB_URI ?? '';
const dbName = process.env.DATABASE ?? '';

@Injectable()
class Accounts {
  balance = 0;
  readonly locks: LockClient;

  constructor(locks: LockClient) {
    this.locks = locks;
  }

  @Locked({ resource: 'account', id: (accountId: string) => accountId, timeoutMS: 10_000 })
  async pay(_accountId: string, amount: number): Promise<number> {
    const before = this.balance;
    await new Promise(setImmediate);
    this.balance = before + amount;
    return currentLock().fencingToken;
  }
}

@Module({
  imports: [LocksModule.forRootAsync({ useFactory: async () => ({ uri, dbName }) })],
  providers: [Accounts],
})
class Application {}

async function main(): Promise<void> {
  const application = await NestFactory.createApplicationContext(Application, { logger: false });
  const accounts = application.get(Accounts);
  assert.equal(accounts.locks, application.get(LockClient));
  const tokens = await Promise.all([1, 2, 3, 4].map((amount) => accounts.pay('ann', amount)));
  assert.equal(accounts.balance, 10);
  assert.equal(new Set(tokens).size, 4);
  await application.close();
  await assert.rejects(accounts.pay('ann', 1), { code: 'LOCK_CLOSED' });
  console.log('nestjs: done');
}

void main();
