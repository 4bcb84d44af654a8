/**
 * One temporary folder for a whole run, which every process of the run takes for the system's own: whatever a killed one leaves behind goes with it.
 * The drivers call it.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Makes the folder and puts it in the place of the system's for this process and its children.
 * @returns {Promise<{ folder: string, remove: () => Promise<void> }>}
 */
export async function scratch() {
  const folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-'));
  process.env.TMPDIR = folder;
  return { folder, remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }) };
}
