/**
 * The processes of the system, as far as it takes to find what a process has started. From `/proc` on Linux, from `ps`
 * on other systems. `target.ts` asks.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';

/** One that runs, or is stopped. */
export interface Listed {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  /** Tells it from a later process of the same number. */
  readonly startedAt: string;
}

/** All that have not ended; null where the system does not say, as on Windows. */
export function listProcesses(): Listed[] | null {
  if (process.platform === 'win32') return null;
  return process.platform === 'linux' ? fromProc() : fromPs();
}

function fromProc(): Listed[] {
  return readdirSync('/proc').flatMap((name) => {
    try {
      const stat = /^\d+$/.test(name) ? readFileSync(`/proc/${name}/stat`, 'latin1') : '';
      // What comes before may have any character in it.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return listed({ pid: name, state: fields[0], parent: fields[1], group: fields[2], startedAt: fields[19] });
    } catch {
      return [];
    }
  });
}

function fromPs(): Listed[] | null {
  const fields = ['pid=', 'state=', 'ppid=', 'pgid=', 'lstart='].flatMap((field) => ['-o', field]);
  const { status, stdout } = spawnSync('ps', ['-A', ...fields], { encoding: 'utf8' });
  if (status !== 0) return null;
  return stdout.split('\n').flatMap((line) => {
    const [pid, state, parent, group, ...startedAt] = line.trim().split(/\s+/);
    return listed({ pid, state, parent, group, startedAt: startedAt.join(' ') });
  });
}

type Fields = Readonly<Record<'pid' | 'state' | 'parent' | 'group' | 'startedAt', string | undefined>>;

/** Without those that have ended, and that their parents have not asked about. */
function listed({ pid, state, parent, group, startedAt }: Fields): Listed[] {
  if (!state || startedAt === undefined || /^[ZX]/.test(state)) return [];
  return [{ pid: Number(pid), parent: Number(parent), group: Number(group), startedAt }];
}
