/**
 * An observer that keeps what it told, for the tests of the observer; and the checker of such a history. Every observer is closed after its test.
 */
import type { Db } from 'mongodb';
import { afterEach } from 'vitest';
import type { EndFact, Fact, GrantedFact } from '../../packages/cli/src/observer/facts.js';
import { Observer, type ObserverStatus } from '../../packages/cli/src/observer/observer.js';

/** The facts of a kind; one type may have several. */
type FactOf<K> = Fact extends infer F ? (F extends { kind: infer G } ? (K extends G ? F : never) : never) : never;

const made = new Set<Watched>();

afterEach(async () => {
  await Promise.all([...made].map(({ observer }) => observer.close()));
  made.clear();
});

/** An observer, and all that it told. */
export class Watched {
  readonly facts: Fact[] = [];
  readonly statuses: ObserverStatus[] = [];
  readonly observer: Observer;

  /** Not open yet. */
  constructor(db: Db) {
    const listener = {
      onFact: (fact: Fact) => void this.facts.push(fact),
      onStatus: (status: ObserverStatus) => void this.statuses.push(status),
    };
    this.observer = new Observer({ db, listener });
    made.add(this);
  }

  get kinds(): string[] {
    return this.facts.map(({ kind }) => kind);
  }

  told<K extends Fact['kind']>(kind: K): FactOf<K>[] {
    return this.facts.filter((fact) => fact.kind === kind) as FactOf<K>[];
  }
}

/** An open one. */
export async function watch(db: Db): Promise<Watched> {
  const watched = new Watched(db);
  await watched.observer.open();
  return watched;
}

/** Whether grants and ends are those of one lock after the other, each run granted and ended once, with all tokens accounted for. */
export function problemsOf(facts: readonly Fact[], holder: number | null): string[] {
  const problems: string[] = [];
  let held = holder;
  for (const fact of facts) {
    if (fact.kind === 'granted') {
      if (held !== null) problems.push(`${fact.firstToken} granted while ${held} is held`);
      held = (fact as GrantedFact).firstToken;
    }
    if (fact.kind === 'released' || fact.kind === 'taken-over' || fact.kind === 'forced' || fact.kind === 'removed') {
      if (held !== (fact as EndFact).firstToken) problems.push(`${fact.firstToken} ended while ${held} is held`);
      held = null;
    }
  }
  const runs = facts.filter((fact): fact is GrantedFact => fact.kind === 'granted');
  for (const [index, run] of runs.entries()) {
    const before = runs[index - 1];
    if (before !== undefined && run.firstToken !== before.lastToken + 1) problems.push(`gap before ${run.firstToken}`);
  }
  return problems;
}
