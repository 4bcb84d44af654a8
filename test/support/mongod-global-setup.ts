/**
 * Once before all test files: chooses the server, starts one replica set of one member that they share, and hands its address to the workers.
 * With `MONGODB_URI` nothing is started. Runs of projects that never talk to a server start none. Vitest calls it.
 */
import type { TestProject } from 'vitest/node';
import { chooseServer } from '../../tools/mongod.mjs';
import { type RunningServer, startReplicaSet } from '../../tools/replica-set.mjs';

declare module 'vitest' {
  interface ProvidedContext {
    /** Address of the shared replica set; empty where no project of the run needs a server. */
    mongodbUri: string;
    /** Path of the `mongod` for servers of a test's own; empty where the server came from outside. */
    mongodBinary: string;
  }
}

const WITHOUT_SERVER = new Set(['unit', 'simulation', 'tidy']);

/** Starts the shared server; what it returns stops it. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const needed = project.vitest.projects.some(({ name }) => !WITHOUT_SERVER.has(name));
  const server = needed ? await sharedServer() : { uri: '', binary: '', stop: async () => {} };
  project.provide('mongodbUri', server.uri);
  project.provide('mongodBinary', server.binary);
  return server.stop;
}

async function sharedServer(): Promise<Pick<RunningServer, 'uri' | 'stop'> & { binary: string }> {
  // Under the test driver it has been said.
  const choice = await (process.env.TALLY_FILE ? chooseServer(() => {}) : chooseServer());
  if (choice.uri !== undefined) return { uri: choice.uri, binary: '', stop: async () => {} };
  const { uri, stop } = await startReplicaSet({ binary: choice.binary });
  return { uri, stop, binary: choice.binary };
}
