/**
 * A process that takes a lock, waits for another, and finishes without closing its lock client: it must exit by itself. With `client` it closes
 * the MongoClient, which is its own; with `uri` there is nothing it could close. Prints what it did. Started by `process.test.ts`.
 */
import { LockClient } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';

const [, , source, uri = '', leaves] = process.argv;
const settings = { leaseDurationMS: 1_000, clockSkewMS: 500, idleMS: 500 };
const mongo = source === 'client' ? new MongoClient(uri) : null;
const locks = new LockClient(mongo === null ? { uri, ...settings } : { client: mongo, ...settings });

process.on('exit', () => console.log('exit'));
process.on('unhandledRejection', (reason) => console.log(`unhandled: ${reason}`));
process.on('warning', (warning) => console.log(`warning: ${warning.message}`));
const before = process.eventNames().map(String).sort().join();

const lock = await locks.lock({ resource: 'account', id: 7 });
const waiting = locks.lock({ resource: 'account', id: 7 });
await lock.unlock();
const next = await waiting;
if (leaves !== 'held') await next.unlock();
console.log(`listeners ${process.eventNames().map(String).sort().join() === before ? 'unchanged' : 'changed'}`);
await mongo?.close();
console.log('done');
