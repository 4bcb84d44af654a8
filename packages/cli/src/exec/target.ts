/**
 * What is ended with a command: its process group, or, where that is ours too, as on a terminal, the command and all
 * that descends from it. `child.ts` sends to it, and the guard when `dlocks` cannot.
 */
import { type Listed, listProcesses } from './processes.js';

/** A command, as one process tells another of it. */
export interface TargetFacts {
  readonly pid: number;
  readonly ownsGroup: boolean;
}

/** See above. */
export class Target {
  readonly facts: TargetFacts;
  /** The command and its descendants, as far as they were seen: one whose parent has ended can be found here only. */
  readonly #family = new Map<number, Listed>();

  constructor(facts: TargetFacts) {
    const { pid, ownsGroup } = facts;
    this.facts = facts;
    if (ownsGroup) return;
    const root = listProcesses()?.find((each) => each.pid === pid);
    this.#family.set(pid, root ?? { pid, parent: 0, group: 0, startedAt: '' });
  }

  /** Sends a signal to all of it. */
  send(signal: NodeJS.Signals): void {
    const { pid, ownsGroup } = this.facts;
    if (!ownsGroup) this.#look();
    for (const each of ownsGroup ? [-pid] : this.#family.keys()) kill(each, signal);
  }

  /** Whether none of it is left that could do anything. */
  get isGone(): boolean {
    const { pid, ownsGroup } = this.facts;
    if (ownsGroup) return !kill(-pid, 0) || !isPopulated(pid);
    this.#look();
    return ![...this.#family.keys()].some((each) => kill(each, 0));
  }

  /** Forgets who has ended, and adds children. */
  #look(): void {
    const all = listProcesses();
    if (all === null) return;
    const startedAt = new Map(all.map((each) => [each.pid, each.startedAt]));
    for (const each of [...this.#family.values()]) {
      if (startedAt.get(each.pid) !== each.startedAt) this.#family.delete(each.pid);
    }
    // They are listed in no certain order: until no child is new.
    let before: number;
    do {
      before = this.#family.size;
      for (const each of all) if (this.#family.has(each.parent)) this.#family.set(each.pid, each);
    } while (this.#family.size > before);
  }
}

/**
 * One that has ended can be sent to for as long as no one has asked how it ended: in a container that may be for good.
 */
function isPopulated(group: number): boolean {
  return listProcesses()?.some((each) => each.group === group) ?? true;
}

function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
