/**
 * How the page says things: texts of strangers made harmless to look at, durations, times, who a session is, what happened.
 * Strings only; what becomes of them is a text node in every case.
 */
import type { Party, WireFact } from '../wire.js';

const SECOND_MS = 1_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/**
 * A caller's text: characters that show nothing or turn the direction of what follows are written out, so that no text can
 * pass for another. Joiners stay, for scripts and emoji that need them.
 */
export function plain(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code === 0x200c || code === 0x200d ? character : `\\u{${code.toString(16)}}`;
  });
}

/** A lock's name. */
export function lockName({ resource, id }: { readonly resource: string; readonly id: string }): string {
  return `${plain(resource)} / ${plain(id)}`;
}

/** A duration, with as many digits as one reads. */
export function duration(valueMS: number): string {
  const ms = Math.max(0, valueMS);
  if (ms < SECOND_MS) return `${Math.round(ms)} ms`;
  if (ms < 10 * SECOND_MS) return `${(ms / SECOND_MS).toFixed(1)} s`;
  if (ms < MINUTE_MS) return `${Math.floor(ms / SECOND_MS)} s`;
  if (ms < HOUR_MS) return two(ms, MINUTE_MS, 'min', SECOND_MS, 's');
  return ms < DAY_MS ? two(ms, HOUR_MS, 'h', MINUTE_MS, 'min') : two(ms, DAY_MS, 'd', HOUR_MS, 'h');
}

function two(ms: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((ms % large) / small);
  return `${Math.floor(ms / large)} ${largeName}${rest === 0 ? '' : ` ${rest} ${smallName}`}`;
}

/** A duration or a dash. */
export function durationOrDash(valueMS: number | null): string {
  return valueMS === null ? '–' : duration(valueMS);
}

/** The end of a bar, as short as it goes. */
export function bucketEnd(endMS: number): string {
  if (endMS < SECOND_MS) return `${endMS} ms`;
  return endMS < MINUTE_MS ? `${endMS / SECOND_MS} s` : `${endMS / MINUTE_MS} min`;
}

/** The time of day of an instant of the server, in the browser's time zone. */
export function timeOfDay(atMS: number): string {
  const date = new Date(atMS);
  const pad = (value: number, length = 2): string => String(value).padStart(length, '0');
  const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => pad(part)).join(':');
  return `${time}.${pad(date.getMilliseconds(), 3)}`;
}

/** Whole numbers with separators. */
export function count(value: number): string {
  return value.toLocaleString('en');
}

/** A number with its noun. */
export function counted(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** Who a session is: its label, else host and process, else its id. */
export function who({ session, host, pid, label }: Party): string {
  const process = host === undefined ? `session ${plain(session)}` : `${plain(host)}:${pid ?? '?'}`;
  return label === undefined ? process : `${plain(label)} (${process})`;
}

/** The tokens of a run. */
export function tokens({ firstToken, lastToken }: { readonly firstToken: number; readonly lastToken: number }): string {
  return firstToken === lastToken ? String(firstToken) : `${firstToken} to ${lastToken}`;
}

/** What a fact is called. */
export const KIND_WORDS: Readonly<Record<WireFact['kind'], string>> = {
  granted: 'Granted',
  released: 'Released',
  'taken-over': 'Lost: taken over',
  forced: 'Lost: released by force',
  removed: 'Lost: document deleted',
  arrived: 'Arrived',
  left: 'Left',
  'session:opened': 'Session opened',
  'session:dead': 'Session dead',
  'session:ended': 'Session ended',
  gap: 'Gap',
};

/** A fact in a sentence, without its kind and its time. */
export function sentence(fact: WireFact): string {
  switch (fact.kind) {
    case 'granted':
      return [who(fact.holder), `token ${tokens(fact)}`, ...callers(fact), ...waited(fact.waitedMS)].join(', ');
    case 'released':
    case 'taken-over':
    case 'removed':
      return [who(fact.holder), ...held(fact.heldMS), next(fact.to)].join(', ');
    case 'forced': {
      const why = `by ${plain(fact.by)}, because: ${plain(fact.reason)}`;
      return `${[who(fact.holder), ...held(fact.heldMS), next(fact.to)].join(', ')}; ${why}`;
    }
    case 'arrived':
      return [who(fact.waiter), `place ${count(fact.position)}`, ...callers(fact)].join(', ');
    case 'left':
      return [who(fact.waiter), ...waited(fact.waitedMS), ...(fact.sessionIsDead ? ['its session is dead'] : [])].join(
        ', ',
      );
    case 'gap':
      return 'The change stream broke; what happened meanwhile was not seen, and everything was read again.';
    default:
      return `${who(fact.party)}, lease ${duration(fact.leaseMS)}`;
  }
}

function callers({ callersCount }: { readonly callersCount: number }): string[] {
  return callersCount > 1 ? [counted(callersCount, 'caller')] : [];
}

function waited(waitedMS: number | null): string[] {
  return waitedMS === null ? [] : [`waited ${duration(waitedMS)}`];
}

function held(heldMS: number | null): string[] {
  return heldMS === null ? [] : [`held ${duration(heldMS)}`];
}

function next(to: Party | null): string {
  return to === null ? 'now free' : `next ${who(to)}`;
}
