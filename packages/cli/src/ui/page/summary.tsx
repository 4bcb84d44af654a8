/** The figures one looks at first. */
import type { Figures } from '../wire.js';
import { count, counted, durationOrDash } from './words.js';

const RECENT_SECONDS_COUNT = 10;

/** A second's mean over the last ten. */
export function recentRate(perSecond: readonly number[]): number {
  const recent = perSecond.slice(-RECENT_SECONDS_COUNT);
  return recent.reduce((sum, each) => sum + each, 0) / RECENT_SECONDS_COUNT;
}

/** A rate with as many digits as it deserves. */
export function rate(value: number): string {
  return value >= 10 ? count(Math.round(value)) : value.toFixed(1);
}

export function Summary({ figures }: { readonly figures: Figures | null }) {
  return (
    <section aria-labelledby="summary-title" class="summary">
      <h2 id="summary-title" class="unseen">
        Now
      </h2>
      <dl>{figures !== null && <Entries figures={figures} />}</dl>
      {figures !== null && figures.omittedCount > 0 && (
        <p class="problem">
          {counted(figures.omittedCount, 'document')} did not fit: what is shown is not everything there is.
        </p>
      )}
    </section>
  );
}

function Entries({ figures }: { readonly figures: Figures }) {
  const { lost, heldCount, waitersCount, longestWaitMS, sessionsCount, deadSessionsCount, handoffs, callers } = figures;
  const lostCount = lost.takenOver + lost.forced + lost.removed;
  const dead = deadSessionsCount === 0 ? '' : `${count(deadSessionsCount)} dead`;
  return (
    <>
      <Entry name="Locks held" value={count(heldCount)} />
      <Entry name="Callers waiting" value={count(waitersCount)} />
      <Entry name="Longest wait" value={durationOrDash(longestWaitMS)} />
      <Entry
        name="Handoffs per second"
        value={rate(recentRate(handoffs))}
        note={`${rate(recentRate(callers))} callers`}
      />
      <Entry name="Lost in five minutes" value={count(lostCount)} note={lostNote(lost)} isBad={lostCount > 0} />
      <Entry name="Sessions" value={count(sessionsCount)} note={dead} />
    </>
  );
}

function lostNote({ takenOver, forced, removed }: Figures['lost']): string {
  const parts = [
    takenOver > 0 ? `${count(takenOver)} taken over` : '',
    forced > 0 ? `${count(forced)} by force` : '',
    removed > 0 ? `${count(removed)} deleted` : '',
  ];
  return parts.filter(Boolean).join(', ');
}

interface EntryProps {
  readonly name: string;
  readonly value: string;
  readonly note?: string;
  readonly isBad?: boolean;
}

function Entry({ name, value, note = '', isBad = false }: EntryProps) {
  return (
    <div class={isBad ? 'bad' : ''}>
      <dt>{name}</dt>
      <dd>
        {value} {note !== '' && <small>{note}</small>}
      </dd>
    </div>
  );
}
