/** Which process this is, for those who wait for its locks. */
import os from 'node:os';

/** The name of this host. */
export function hostName(): string {
  return os.hostname();
}

/** The number of this process on its host. */
export function processId(): number {
  return process.pid;
}
