/** What was observed, one line each: the words of `dlocks watch`. It decides nothing but words; text of strangers is escaped here. */
import { formatDuration } from '../duration.js';
import type { EndFact, Fact, LockFact, Party } from '../observer/facts.js';
import type { Channel } from '../terminal.js';
import { escapeText } from '../text.js';
import { lockName, someone } from '../view.js';

type Style = Parameters<Channel['style']>[0];

const STYLES: Readonly<Partial<Record<Fact['kind'], Style>>> = {
  granted: 'green',
  'taken-over': 'red',
  forced: 'red',
  removed: 'red',
  'session:dead': 'red',
  gap: 'yellow',
};
const KIND_WIDTH = 14;

/** Whether it is about one lock. */
export function isLockFact(fact: Fact): fact is LockFact {
  return 'resource' in fact;
}

/** One line: when, what, which lock, who, and what there is to it. */
export function eventLine(fact: Fact, channel: Channel): string {
  const kind = fact.kind.padEnd(KIND_WIDTH);
  const style = STYLES[fact.kind];
  const words = [timeText(fact.at, channel), style === undefined ? kind : channel.style(style, kind)];
  if (isLockFact(fact)) words.push(lockName(fact));
  return [...words, ...details(fact)].join('  ');
}

/** On a terminal the time of day, where nobody looks for the date. */
function timeText(at: Date, channel: Channel): string {
  if (Number.isNaN(at.getTime())) return '?';
  return channel.isTTY ? at.toTimeString().slice(0, 8) : at.toISOString();
}

function details(fact: Fact): string[] {
  switch (fact.kind) {
    case 'granted':
      return [...runOf(fact), ...lasted('waited', fact.waitedMS)];
    case 'arrived':
      return [
        someone(fact.waiter),
        `place ${fact.position}`,
        ...callers(fact.callersCount),
        ...fact.labels.map(escapeText),
      ];
    case 'left':
      return [
        someone(fact.waiter),
        ...lasted('waited', fact.waitedMS),
        ...(fact.sessionIsDead ? ['session is dead'] : []),
      ];
    case 'gap':
      return ['what happened meanwhile was not seen'];
    case 'session:opened':
    case 'session:dead':
    case 'session:ended':
      return [someone(fact.party), `lease ${formatDuration(fact.leaseMS)}`];
    default:
      return ended(fact);
  }
}

function ended(fact: EndFact): string[] {
  const why = fact.kind === 'forced' ? [`by ${escapeText(fact.by)}: ${escapeText(fact.reason)}`] : [];
  return [...runOf(fact), ...lasted('held', fact.heldMS), ...next(fact.to), ...why];
}

function runOf(run: {
  readonly holder: Party;
  readonly firstToken: number;
  readonly lastToken: number;
  readonly callersCount: number;
}): string[] {
  const token = run.lastToken > run.firstToken ? `${run.firstToken}…${run.lastToken}` : String(run.firstToken);
  return [someone(run.holder), `token ${token}`, ...callers(run.callersCount)];
}

function callers(count: number): string[] {
  return count > 1 ? [`×${count}`] : [];
}

function lasted(what: string, durationMS: number | null): string[] {
  return durationMS === null ? [] : [`${what} ${formatDuration(durationMS)}`];
}

function next(to: Party | null): string[] {
  return to === null ? [] : [`to ${someone(to)}`];
}
