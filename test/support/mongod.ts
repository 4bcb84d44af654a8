/**
 * Servers for tests: the address of the shared one with a database name of the file's own, and servers that a test starts for itself (to kill
 * them, to ask for credentials, to set fail points). Tests that start their own live in files named `*.own-server.test.ts`, which are left
 * out where `MONGODB_URI` names a server.
 */
import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inject } from 'vitest';
import type { RunningServer, ServerOptions } from '../../tools/replica-set.mjs';
import * as servers from '../../tools/replica-set.mjs';

export type { RunningServer };

type OwnServerOptions = Omit<ServerOptions, 'binary'>;

/** Connection string of the replica set (one member, test commands enabled) that all files share. */
export function sharedUri(): string {
  const uri = inject('mongodbUri');
  if (uri === '')
    throw new Error(
      'This project is run without a server: move the test, or take its project off the list in mongod-global-setup.ts',
    );
  return uri;
}

/**
 * A database name that belongs to one test file alone in this run: `databaseName(import.meta.url)`. It differs from run to run, so that a
 * server from outside may be used again, and stays far below the limit of 63 bytes.
 */
export function databaseName(moduleUrl: string): string {
  const path = fileURLToPath(moduleUrl);
  const stem = basename(path)
    .replace(/\.test\.[cm]?[jt]s$/, '')
    .replace(/[^A-Za-z0-9]+/g, '_')
    .slice(0, 30);
  const digest = createHash('sha256').update(path).digest('hex').slice(0, 6);
  return `mdl_${stem}_${digest}_${process.pid.toString(36)}_${Date.now().toString(36)}`;
}

/** Starts a replica set of the test's own (default one member) with fast elections; the caller stops it. */
export async function startReplicaSet(options: OwnServerOptions & { members?: number } = {}): Promise<RunningServer> {
  return servers.startReplicaSet({ ...options, binary: ownBinary() });
}

/** Starts a server that belongs to no replica set; the caller stops it. */
export async function startStandalone(options: OwnServerOptions = {}): Promise<RunningServer> {
  return servers.startStandalone({ ...options, binary: ownBinary() });
}

function ownBinary(): string {
  const binary = inject('mongodBinary');
  if (binary === '')
    throw new Error('No mongod to start here: name the file *.own-server.test.ts, which MONGODB_URI leaves out');
  return binary;
}
