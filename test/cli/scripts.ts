/**
 * Commands for `dlocks exec`: small shell scripts that write what they see into a folder of the test, `$OUT` to them. The folder goes with the test.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'vitest';
import { eventually } from '../support/eventually.js';
import { Program } from './program.js';

/** The folder of the test that runs, and scripts that write into it. */
export class Scripts {
  folder = '';

  /** `dlocks exec` of a script by `sh`, under the lock that `lockArgs` names. */
  exec(uri: string, lockArgs: readonly string[], script: string, options: readonly string[]): Program {
    return new Program(['exec', ...options, ...lockArgs, '--', 'sh', '-c', script], {
      DLOCKS_URI: uri,
      OUT: this.folder,
    });
  }

  /** The path of a file in the folder. */
  file(name: string): string {
    return join(this.folder, name);
  }

  /** What was written into a file by now. */
  async lines(name: string): Promise<string[]> {
    const text = await readFile(this.file(name), 'utf8').catch(() => '');
    return text.split('\n').filter((line) => line !== '');
  }

  /** Resolves with the process ids that scripts have written into `pids`, once there are so many. */
  async pids(count: number): Promise<number[]> {
    await eventually(async () => (await this.lines('pids')).length === count);
    return (await this.lines('pids')).map(Number);
  }
}

/** Gives each test of a file an empty folder. */
export function useScripts(): Scripts {
  const scripts = new Scripts();
  beforeEach(async () => {
    scripts.folder = await mkdtemp(join(tmpdir(), 'mongo-distributed-locks-cli-'));
  });
  afterEach(() => rm(scripts.folder, { recursive: true, force: true }));
  return scripts;
}
