/**
 * `dlocks watch` on a terminal: what is held and awaited now, and the latest events below, redrawn. The content only; `screen.ts` draws it. The
 * locks with most waiters come first, so that what matters is in sight.
 */
import { formatDuration } from '../duration.js';
import type { Fact } from '../observer/facts.js';
import type { Observer } from '../observer/observer.js';
import type { TrackedLock, TrackedTicket } from '../observer/tracker.js';
import type { Channel } from '../terminal.js';
import { escapeText } from '../text.js';
import { lockName, someone, tableLines } from '../view.js';
import { eventLine } from './event-line.js';
import type { Screen } from './screen.js';

const TICK_MS = 1_000;
const REDRAW_AFTER_MS = 100;
const EVENTS_MAX = 100;
/** The least part of the rows that events have. */
const EVENTS_PART = 1 / 3;
const HEAD = ['RESOURCE', 'ID', 'FOR', 'TOKEN', 'WAITING', 'HOLDER'];

/** What is watched, and where it is shown. */
export interface LiveViewRequest {
  readonly observer: Observer;
  readonly isWatched: (lock: { readonly resource: string; readonly id: string }) => boolean;
  /** One lock alone is shown with its queue. */
  readonly isOne: boolean;
  readonly channel: Channel;
  readonly screen: Screen;
}

/** The view, redrawn soon after news and once a second, until `close`. */
export class LiveView {
  readonly #request: LiveViewRequest;
  readonly #events: string[] = [];
  readonly #ticks: NodeJS.Timeout;
  #soon: NodeJS.Timeout | undefined;

  constructor(request: LiveViewRequest) {
    this.#request = request;
    this.#ticks = setInterval(() => this.#draw(), TICK_MS);
    this.#draw();
  }

  /** Something happened. */
  add(fact: Fact): void {
    this.#events.push(eventLine(fact, this.#request.channel));
    if (this.#events.length > EVENTS_MAX) this.#events.shift();
    this.refresh();
  }

  /** Draws soon; many calls at once draw once. */
  refresh(): void {
    this.#soon ??= setTimeout(() => {
      this.#soon = undefined;
      this.#draw();
    }, REDRAW_AFTER_MS);
  }

  close(): void {
    clearInterval(this.#ticks);
    clearTimeout(this.#soon);
  }

  #draw(): void {
    const { observer, isWatched, isOne, screen, channel } = this.#request;
    const locks = [...observer.locks.values()].filter(isWatched);
    const eventsCount = Math.max(Math.floor(screen.rows * EVENTS_PART), 3);
    const top = [this.#title(locks), '', ...(isOne ? this.#one(locks[0]) : this.#all(locks))];
    const room = screen.rows - eventsCount - 2;
    const shown = top.length > room ? [...top.slice(0, room - 1), `… ${top.length - room + 1} more`] : top;
    const events = this.#events.slice(-eventsCount);
    screen.draw([...shown, '', channel.style('bold', 'Latest'), ...events]);
  }

  #title(locks: readonly TrackedLock[]): string {
    const { observer, channel } = this.#request;
    const held = locks.filter(({ hold }) => hold !== null).length;
    const waiting = locks.reduce((sum, { waitersCount }) => sum + waitersCount, 0);
    const { status, omittedCount } = observer;
    const state = status === 'live' ? channel.style('green', status) : channel.style('red', status);
    const omitted = omittedCount > 0 ? ` · ${omittedCount} documents too many to follow` : '';
    return `${channel.style('bold', 'dlocks watch')} · ${held} held · ${waiting} waiting · ${state}${omitted}`;
  }

  #all(locks: readonly TrackedLock[]): string[] {
    const sorted = locks.toSorted((a, b) => b.waitersCount - a.waitersCount || (a.key < b.key ? -1 : 1));
    // What is below the screen need not be put in words.
    const rows = sorted.slice(0, this.#request.screen.rows).map((lock) => this.#row(lock));
    const hidden = Array.from({ length: sorted.length - rows.length }, () => '');
    return sorted.length === 0 ? ['no lock is held'] : [...tableLines([HEAD, ...rows]), ...hidden];
  }

  #row({ resource, id, hold, waitersCount }: TrackedLock): string[] {
    const names = [escapeText(resource), escapeText(id)];
    if (hold === null) return [...names, '-', '-', String(waitersCount), '-'];
    return [...names, this.#age(hold.since), String(hold.firstToken), String(waitersCount), someone(hold.holder)];
  }

  #one(lock: TrackedLock | undefined): string[] {
    if (lock === undefined) return ['free, and nobody waits'];
    const { hold, queue } = lock;
    const holder =
      hold === null ? 'free' : `held by ${someone(hold.holder)} for ${this.#age(hold.since)}, token ${hold.firstToken}`;
    const rows = queue.slice(0, this.#request.screen.rows).map((ticket, index) => this.#place(ticket, index));
    return [`${lockName(lock)}: ${holder}`, ...tableLines(rows)];
  }

  #place({ waiter, callersCount, since, labels }: TrackedTicket, index: number): string[] {
    const count = callersCount > 1 ? `×${callersCount}` : '';
    return [String(index + 1).padStart(4), someone(waiter), this.#age(since), count, labels.map(escapeText).join(', ')];
  }

  #age(since: Date | null): string {
    return since === null ? '?' : formatDuration(this.#request.observer.serverNowMS - since.getTime());
  }
}
