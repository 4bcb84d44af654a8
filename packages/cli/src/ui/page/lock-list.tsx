/**
 * The locks that are held or awaited. Their order stands still while the pointer or the focus is in the list, so that nothing
 * moves away under a finger; a lock that has become free meanwhile stays, and says so.
 */
import { useRef, useState } from 'preact/hooks';
import type { LockView } from '../wire.js';
import type { PageState, Selection } from './live.js';
import { count, counted, duration, lockName, plain, who } from './words.js';

type Order = 'waiters' | 'held' | 'name';

const COMPARE: Readonly<Record<Order, (one: LockView, other: LockView) => number>> = {
  waiters: (one, other) => other.waitersCount - one.waitersCount || COMPARE.name(one, other),
  held: (one, other) => heldSince(one) - heldSince(other) || COMPARE.name(one, other),
  name: (one, other) => (lockName(one) < lockName(other) ? -1 : 1),
};

function heldSince({ hold }: LockView): number {
  return hold?.sinceMS ?? Number.POSITIVE_INFINITY;
}

/** The address of a lock's details. */
function linkTo({ resource, id }: Selection): string {
  return `#${new URLSearchParams({ resource, id })}`;
}

interface LockListProps {
  readonly state: PageState | null;
  readonly filter: string;
  readonly onFilter: (filter: string) => void;
  readonly selection: Selection | null;
}

export function LockList({ state, filter, onFilter, selection }: LockListProps) {
  const [order, setOrder] = useState<Order>('waiters');
  const { rows, still } = useRows(state, order);
  const total = state?.matchingCount ?? 0;
  return (
    <section aria-labelledby="locks" class="locks">
      <div class="head">
        <h2 id="locks" tabIndex={-1}>
          Locks
        </h2>
        <label>
          Filter
          <input
            type="search"
            value={filter}
            placeholder="resource, id, host or label"
            onInput={({ currentTarget }) => onFilter(currentTarget.value)}
          />
        </label>
        <label>
          Order
          <select value={order} onChange={({ currentTarget }) => setOrder(currentTarget.value as Order)}>
            <option value="waiters">most waiters</option>
            <option value="held">longest held</option>
            <option value="name">name</option>
          </select>
        </label>
      </div>
      {total > rows.length && (
        <p class="quiet">
          {count(rows.length)} of {counted(total, 'lock')}: those with most waiters.
        </p>
      )}
      {rows.length === 0 && <p class="quiet">{emptyWords(state, filter)}</p>}
      <ul {...still}>
        {rows.map(({ lock, isFree }) => (
          <Row key={lock.key} lock={lock} isFree={isFree} nowMS={state?.nowMS ?? 0} isOpen={isSame(lock, selection)} />
        ))}
      </ul>
    </section>
  );
}

function emptyWords(state: PageState | null, filter: string): string {
  if (state === null || state.figures === null) return 'Reading …';
  return filter === '' ? 'No lock is held, and nobody waits.' : 'No lock that is held or awaited fits the filter.';
}

function isSame(lock: LockView, selection: Selection | null): boolean {
  return selection !== null && lock.resource === selection.resource && lock.id === selection.id;
}

interface Shown {
  readonly lock: LockView;
  readonly isFree: boolean;
}

/** The rows in their order, and the listeners that say when they must stand still. */
function useRows(state: PageState | null, order: Order) {
  const held = useRef(new Set<string>());
  const before = useRef<{ order: Order; rows: Shown[] }>({ order, rows: [] });
  const locks = state?.locks ?? new Map<string, LockView>();
  const isStill = held.current.size > 0 && before.current.order === order;
  const rows = isStill ? stillRows(before.current.rows, locks) : freshRows(locks, order);
  before.current = { order, rows };
  const still = {
    onPointerEnter: () => void held.current.add('pointer'),
    onPointerLeave: () => void held.current.delete('pointer'),
    onFocusIn: () => void held.current.add('focus'),
    onFocusOut: () => void held.current.delete('focus'),
  };
  return { rows, still };
}

function freshRows(locks: ReadonlyMap<string, LockView>, order: Order): Shown[] {
  return [...locks.values()].sort(COMPARE[order]).map((lock) => ({ lock, isFree: false }));
}

function stillRows(rows: readonly Shown[], locks: ReadonlyMap<string, LockView>): Shown[] {
  const kept = rows.map(({ lock }) => ({ lock: locks.get(lock.key) ?? lock, isFree: !locks.has(lock.key) }));
  const keys = new Set(rows.map(({ lock }) => lock.key));
  const added = [...locks.values()].filter(({ key }) => !keys.has(key));
  return [...kept, ...added.map((lock) => ({ lock, isFree: false }))];
}

interface RowProps extends Shown {
  readonly nowMS: number;
  readonly isOpen: boolean;
}

function Row({ lock, isFree, nowMS, isOpen }: RowProps) {
  const { resource, id, hold, queue, waitersCount } = lock;
  const [first] = queue;
  const isHeld = hold !== null && !isFree;
  const longest = first === undefined ? '' : `, the first for ${duration(nowMS - first.sinceMS)}`;
  return (
    <li class={`${isOpen ? 'open ' : ''}${isFree ? 'free' : ''}`}>
      <a href={linkTo(lock)} aria-current={isOpen ? 'true' : undefined} data-lock={`${resource}/${id}`}>
        <bdi>{plain(resource)}</bdi> <span class="slash">/</span> <bdi>{plain(id)}</bdi>
      </a>
      <span class="holder">
        {isHeld ? (
          <>
            held by <bdi>{who(hold.holder)}</bdi>
            {hold.state !== 'alive' && <strong class="bad"> (its session is {hold.state})</strong>}
          </>
        ) : (
          'free'
        )}
      </span>
      <span class="since">{isHeld && hold.sinceMS !== null && `for ${duration(nowMS - hold.sinceMS)}`}</span>
      <span class={waitersCount > 0 && !isFree ? 'waiters some' : 'waiters'}>
        {isFree || waitersCount === 0 ? 'nobody waits' : `${count(waitersCount)} waiting${longest}`}
      </span>
    </li>
  );
}
