/** What happened to one lock: its last holds as bars, for the eye, and every fact that is kept as a list, for everyone. */
import type { LockView, WireFact } from '../wire.js';
import { duration, KIND_WORDS, sentence, timeOfDay } from './words.js';

const WIDTH = 600;
const HEIGHT = 28;
const SPAN_MAX_MS = 300_000;
const SPAN_MIN_MS = 10_000;

interface TimelineProps {
  /** Newest last. */
  readonly facts: readonly WireFact[];
  readonly lock: LockView | null;
  readonly nowMS: number;
}

export function Timeline({ facts, lock, nowMS }: TimelineProps) {
  return (
    <>
      <h3>Timeline</h3>
      {facts.length === 0 ? (
        <p>Nothing has happened since this server looks on.</p>
      ) : (
        <Strip {...{ facts, lock, nowMS }} />
      )}
      <ol class="facts" reversed>
        {facts.toReversed().map((fact) => (
          <FactLine key={fact.number} fact={fact} />
        ))}
      </ol>
    </>
  );
}

/** A fact with its time. */
export function FactLine({ fact, name }: { readonly fact: WireFact; readonly name?: string }) {
  return (
    <li class={fact.kind.replace(':', '-')}>
      <time dateTime={new Date(fact.atMS).toISOString()}>{timeOfDay(fact.atMS)}</time> <b>{KIND_WORDS[fact.kind]}</b>{' '}
      {name !== undefined && (
        <>
          <bdi>{name}</bdi>,{' '}
        </>
      )}
      <bdi>{sentence(fact)}</bdi>
    </li>
  );
}

interface Bar {
  readonly fromMS: number;
  readonly toMS: number;
  readonly kind: string;
  readonly key: number;
}

function Strip({ facts, lock, nowMS }: TimelineProps) {
  const bars = barsOf(facts, lock, nowMS);
  const oldest = Math.min(nowMS, ...bars.map(({ fromMS }) => fromMS));
  const spanMS = Math.min(SPAN_MAX_MS, Math.max(SPAN_MIN_MS, nowMS - oldest));
  const x = (atMS: number): number => WIDTH * Math.min(1, Math.max(0, 1 - (nowMS - atMS) / spanMS));
  return (
    <div class="strip" aria-hidden="true">
      <svg aria-hidden="true" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none">
        {bars.map(({ fromMS, toMS, kind, key }) => (
          <rect
            key={key}
            class={kind}
            x={x(fromMS)}
            width={Math.max(1, x(toMS) - x(fromMS) - 1)}
            y={2}
            height={HEIGHT - 4}
          />
        ))}
      </svg>
      <p class="scale">
        <span>{duration(spanMS)} ago</span>
        <span>now</span>
      </p>
    </div>
  );
}

function barsOf(facts: readonly WireFact[], lock: LockView | null, nowMS: number): Bar[] {
  const bars = facts.flatMap((fact): Bar[] => {
    if (!('heldMS' in fact) || fact.heldMS === null) return [];
    return [{ fromMS: fact.atMS - fact.heldMS, toMS: fact.atMS, kind: fact.kind, key: fact.number }];
  });
  const since = lock?.hold?.sinceMS ?? null;
  if (since !== null) bars.push({ fromMS: since, toMS: nowMS, kind: 'held', key: 0 });
  return bars;
}
