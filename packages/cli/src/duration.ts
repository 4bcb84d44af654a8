/**
 * Durations as people type them (`500ms`, `30s`, `1.5m`, `2h`, plain numbers are seconds as in flock and timeout), and as people read them.
 */
import { usage } from './exit-codes.js';

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const LONGEST_MS = 2 ** 31 - 1;

/** Milliseconds of a text; throws a usage failure that names the option. */
export function parseDuration(option: string, text: string): number {
  const [, digits, name = 's'] = /^(\d+(?:\.\d+)?|\.\d+)(ms|s|m|h|d)?$/.exec(text) ?? [];
  const durationMS = Math.round(Number(digits) * (UNIT_MS[name] ?? Number.NaN));
  if (durationMS >= 0 && durationMS <= LONGEST_MS) return durationMS;
  throw usage(`${option} must be a duration such as 500ms, 30s, 5m, 2h (a plain number is seconds), at most 24 days.`);
}

/** Short and round: `850ms`, `4.2s`, `3m 20s`, `5h 2m`, `3d 4h`. */
export function formatDuration(durationMS: number): string {
  const restMS = Math.max(0, Math.round(durationMS));
  if (restMS < 1_000) return `${restMS}ms`;
  if (restMS < 9_950) return `${(restMS / 1_000).toFixed(1)}s`;
  const seconds = Math.round(restMS / 1_000);
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)}m ${seconds % 60}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
  return `${Math.floor(minutes / 1_440)}d ${Math.floor((minutes % 1_440) / 60)}h`;
}
