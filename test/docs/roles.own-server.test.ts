/**
 * The roles of docs/operations.md, as they are written there, created on a server with access control: each suffices for what the page says, and
 * not for more.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Lock, LockClient } from 'mongo-distributed-locks';
import { MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { judge } from '../../packages/docs-tools/src/blocks.mjs';
import { readPage } from '../../packages/docs-tools/src/markdown.mjs';
import { ROOT } from '../../tools/command.mjs';
import { eventually, rejection } from '../support/eventually.js';
import { type RunningServer, startReplicaSet } from '../support/mongod.js';

interface Role {
  readonly role: string;
  readonly privileges: readonly { readonly resource: { readonly db: string } }[];
  readonly roles: readonly string[];
}

const DB = 'app';
const LOCK = { resource: 'account', id: 42 };
let server: RunningServer;
let admin: MongoClient;
const clients: { close(): Promise<void> }[] = [];

/** What the page has mongosh create. */
async function rolesOfPage(): Promise<Role[]> {
  const name = 'docs/operations.md';
  const blocks = judge(readPage(name, await readFile(join(ROOT, name), 'utf8')));
  const roles: Role[] = [];
  for (const { code } of blocks.filter((block) => block.kind === 'mongosh' && block.code.includes('createRole')))
    new Function('db', code)({ createRole: (role: Role) => roles.push(role) });
  return roles;
}

beforeAll(async () => {
  server = await startReplicaSet({ auth: true });
  admin = new MongoClient(server.uri);
  for (const { role, ...rest } of await rolesOfPage()) {
    await admin.db(DB).command({ createRole: role, ...rest });
    await admin.db(DB).command({ createUser: role, pwd: 'password', roles: [role] });
  }
  const operator = ['distributedLocksViewer', 'distributedLocksOperator'];
  await admin.db(DB).command({ createUser: 'viewerAndOperator', pwd: 'password', roles: operator });
}, 60_000);

afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

afterAll(async () => {
  await admin?.close();
  await server?.stop();
});

function uriOf(user: string): string {
  const uri = new URL(server.uri);
  [uri.username, uri.password, uri.pathname] = [user, 'password', `/${DB}`];
  uri.searchParams.set('authSource', DB);
  return String(uri);
}

function locksOf(user: string): LockClient {
  const locks = new LockClient({ uri: uriOf(user), logger: { error: () => {} } });
  clients.push(locks);
  return locks;
}

async function held(): Promise<Lock> {
  return locksOf('distributedLocks').lock(LOCK);
}

test('the application may lock, wait, look, write in fenced transactions, and release by force', async () => {
  const [first, second] = [locksOf('distributedLocks'), locksOf('distributedLocks')];
  const lock = await first.lock(LOCK);
  const next = second.lock(LOCK);
  await eventually(async () => (await first.inspect(LOCK)).waitersCount === 1);
  expect(await lock.withTransaction(async () => 'done')).toBe('done');
  await lock.unlock();
  const { fencingToken } = await next;
  expect((await first.list()).locks).toHaveLength(1);
  expect(await first.forceRelease({ ...LOCK, fencingToken, reason: 'test' })).toBe(true);
});

test('the viewer may inspect and list, and follow the changes, and neither lock nor release by force', async () => {
  const { fencingToken } = await held();
  const viewer = locksOf('distributedLocksViewer');
  expect((await viewer.inspect(LOCK)).holder).toMatchObject({ fencingToken });
  expect((await viewer.list()).locks).toHaveLength(1);
  const denied = { code: 'LOCK_MISSING_PRIVILEGES' };
  expect(await rejection(viewer.tryLock(LOCK))).toMatchObject(denied);
  expect(await rejection(viewer.forceRelease({ ...LOCK, fencingToken, reason: 'test' }))).toMatchObject(denied);
  const mongo = new MongoClient(uriOf('distributedLocksViewer'));
  clients.push(mongo);
  const changes = mongo.db().watch();
  expect(await changes.tryNext()).toBeNull();
  await changes.close();
});

test('who may step in, and look on, may release by force and not lock', async () => {
  const { fencingToken } = await held();
  const operator = locksOf('viewerAndOperator');
  expect(await rejection(operator.tryLock({ ...LOCK, id: 43 }))).toMatchObject({ code: 'LOCK_MISSING_PRIVILEGES' });
  expect(await operator.forceRelease({ ...LOCK, fencingToken, reason: 'test' })).toBe(true);
});

test('following the changes of the database needs the privilege that the page says it needs', async () => {
  const [, viewer] = await rolesOfPage();
  const privileges = viewer?.privileges.slice(0, -1) ?? [];
  await admin.db(DB).command({ createRole: 'withoutChanges', privileges, roles: [] });
  await admin.db(DB).command({ createUser: 'withoutChanges', pwd: 'password', roles: ['withoutChanges'] });
  const mongo = new MongoClient(uriOf('withoutChanges'));
  clients.push(mongo);
  expect(await rejection(mongo.db().watch().tryNext())).toMatchObject({ code: 13 });
});
