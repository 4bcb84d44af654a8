/**
 * Locks as people read them: who a session is, how long, a table whose columns stand in line. Text of strangers is escaped here, once, and cut only
 * on a terminal. What programs read is the library's own objects (`json`), dates as ISO texts.
 */
import type { ForcedRelease, HolderView, LockHolder, LockInspection, WaiterView } from 'mongo-distributed-locks';
import { formatDuration } from './duration.js';
import type { Channel } from './terminal.js';
import { clip, escapeText, textWidth } from './text.js';

const GAP = '  ';
const NOBODY = '-';

/** What is known of a process. */
type Someone = Pick<LockHolder, 'session' | 'host' | 'pid' | 'label'>;

/** `host:pid (label)`, or the session where no more is known. */
export function someone({ session, host, pid, label }: Someone): string {
  const process = host === undefined ? `session ${escapeText(session)}` : `${escapeText(host)}:${pid ?? '?'}`;
  return label === undefined ? process : `${process} (${escapeText(label)})`;
}

/** How a lock is named: the two texts as they are given on the command line. */
export function lockName({ resource, id }: { readonly resource: unknown; readonly id: unknown }): string {
  return `${escapeText(String(resource))} ${escapeText(String(id))}`;
}

/** How long ago; a question mark where the database does not say. */
export function age(since: Date, now: Date): string {
  const sinceMS = since.getTime();
  return Number.isNaN(sinceMS) ? '?' : formatDuration(now.getTime() - sinceMS);
}

/** What is left of the lease, in words. */
export function leaseLeft({ leaseRemainingMS }: HolderView): string {
  if (leaseRemainingMS === null) return 'gone';
  return leaseRemainingMS < 0 ? 'lapsed' : formatDuration(leaseRemainingMS);
}

/** The tokens of a run. */
export function tokens({ fencingToken, lastFencingToken }: HolderView): string {
  return lastFencingToken > fencingToken ? `${fencingToken}…${lastFencingToken}` : String(fencingToken);
}

/** `by WHO: REASON`. */
export function forcedBy({ by, reason }: Pick<ForcedRelease, 'by' | 'reason'>): string {
  return `by ${escapeText(by)}: ${escapeText(reason)}`;
}

/** Lines of a table; a column is as wide as its widest cell, and the last one ends where the text ends. */
export function tableLines(rows: readonly (readonly string[])[], least: readonly number[] = []): string[] {
  const widths = columnWidths(rows, least);
  return rows.map((row) => {
    const cells = row.map((cell, index) => {
      return index === row.length - 1 ? cell : cell + ' '.repeat((widths[index] ?? 0) - textWidth(cell));
    });
    return cells.join(GAP);
  });
}

/** How wide each column is, at least what is given. */
export function columnWidths(rows: readonly (readonly string[])[], least: readonly number[] = []): number[] {
  const count = Math.max(0, ...rows.map((row) => row.length));
  return Array.from({ length: count }, (_, index) => {
    return Math.max(least[index] ?? 0, ...rows.map((row) => textWidth(row[index] ?? '')));
  });
}

/** A line for a channel: cut where it is a terminal, so that it stays one line. */
export function fitted(channel: Channel, line: string): string {
  return channel.isTTY ? clip(line, channel.columns) : line;
}

/** One lock, its holder and its queue, as lines. */
export function inspectionLines(lock: LockInspection, channel: Channel, now: Date = new Date()): string[] {
  const { holder, waiters, waitersCount, forced } = lock;
  const state = holder === null ? channel.style('green', 'free') : channel.style('yellow', 'held');
  const lines = [`${channel.style('bold', lockName(lock))}  ${state}`];
  if (holder !== null) lines.push(...holderLines(holder, now));
  lines.push(`  waiting  ${waitersCount}`);
  lines.push(...waiterLines(waiters, now));
  if (forced !== null) {
    lines.push(`  forced   ${forced.fencingToken}, ${age(forced.at, now)} ago, ${forcedBy(forced)}`);
  }
  return lines.map((line) => fitted(channel, line));
}

function holderLines(holder: HolderView, now: Date): string[] {
  const callers = holder.callersCount > 1 ? `, a run of ${holder.callersCount} callers` : '';
  return [
    `  holder   ${someone(holder)}`,
    `  session  ${escapeText(holder.session)}`,
    `  token    ${tokens(holder)}${callers}`,
    `  since    ${isoText(holder.since)} (${age(holder.since, now)})`,
    `  lease    ${leaseLeft(holder)}`,
  ];
}

function waiterLines(waiters: readonly WaiterView[], now: Date): string[] {
  const rows = waiters.map((waiter, index) => {
    const callers = waiter.callersCount > 1 ? `×${waiter.callersCount}` : '';
    const labels = waiter.labels.map(escapeText).join(', ');
    return [`  ${String(index + 1).padStart(4)}`, someone(waiter), age(waiter.since, now), callers, labels];
  });
  return tableLines(rows).map((line) => line.trimEnd());
}

function isoText(date: Date): string {
  return Number.isNaN(date.getTime()) ? NOBODY : date.toISOString();
}
