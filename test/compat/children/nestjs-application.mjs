/**
 * A Nest application in a process of its own: it holds a lock and says so, until a signal ends it. Without decorators' syntax, which Node does not
 * read; the classes are those that are compiled. Run by `nestjs.test.ts` with a connection string.
 */
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { LockClient } from 'mongo-distributed-locks';
import { LocksModule } from 'mongo-distributed-locks-nestjs';

const [, , uri = ''] = process.argv;

class Root {}
Module({ imports: [LocksModule.forRoot({ uri, graceMS: 0 })] })(Root);

const application = await NestFactory.createApplicationContext(Root, { logger: false });
application.enableShutdownHooks();
const lock = await application.get(LockClient).lock({ resource: 'application', id: 1 });
console.log(`held, ${lock.fencingToken}`);
// What an application usually has open: a lock client keeps no process alive.
setInterval(() => {}, 60_000);
