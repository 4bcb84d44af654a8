/**
 * The figures of the live page: rates by the second, and distributions and losses over the last minutes, in rings of fixed
 * size. It is told of facts and of the time, and looks at no clock itself. `board.ts` owns the one instance.
 */
import type { EndFact, Fact, GrantedFact } from '../observer/facts.js';
import { BUCKET_ENDS_MS, type Distribution, type Figures, RATE_SECONDS_COUNT, WINDOW_MS } from './wire.js';

/** The window is counted in slices, each of which goes as a whole. */
const SLICE_MS = 10_000;
const SLICES_COUNT: number = WINDOW_MS / SLICE_MS;
const BUCKETS_COUNT: number = BUCKET_ENDS_MS.length + 1;

type Counted = Pick<Figures, 'lastSecond' | 'handoffs' | 'callers' | 'waits' | 'holds' | 'lost'>;

/** Counts by the second. */
class Ring {
  readonly #counts = new Float64Array(RATE_SECONDS_COUNT + 1);
  #latest = 0;

  /** What happened longer ago than the ring reaches back is not counted. */
  add(second: number, count: number): void {
    this.advance(second);
    if (second <= this.#latest - this.#counts.length) return;
    const slot = second % this.#counts.length;
    this.#counts[slot] = (this.#counts[slot] ?? 0) + count;
  }

  advance(second: number): void {
    const behind = Math.min(second - this.#latest, this.#counts.length);
    for (let passed = 0; passed < behind; passed += 1) this.#counts[(second - passed) % this.#counts.length] = 0;
    this.#latest = Math.max(this.#latest, second);
  }

  /** The seconds before this one, oldest first. */
  before(second: number): number[] {
    this.advance(second);
    const { length } = this.#counts;
    return Array.from({ length: RATE_SECONDS_COUNT }, (_, index) => {
      return this.#counts[(second - RATE_SECONDS_COUNT + index + length) % length] ?? 0;
    });
  }
}

interface Slice {
  number: number;
  readonly waits: Float64Array;
  readonly holds: Float64Array;
  longestWaitMS: number;
  longestHoldMS: number;
  takenOver: number;
  forced: number;
  removed: number;
}

/** See above. */
export class FigureCounter {
  readonly #handoffs = new Ring();
  readonly #callers = new Ring();
  readonly #slices: Slice[] = Array.from({ length: SLICES_COUNT + 1 }, () => emptySlice(-1));

  /** Counts a fact by its own time. */
  count(fact: Fact): void {
    if (fact.kind === 'granted') this.#countGrant(fact);
    else if (fact.kind === 'released' || isLoss(fact)) this.#countEnd(fact);
  }

  /** What was counted, as seen at `nowMS` of the server's clock. */
  read(nowMS: number): Counted {
    const second = Math.floor(nowMS / 1_000);
    const oldest = Math.floor(nowMS / SLICE_MS) - SLICES_COUNT;
    const slices = this.#slices.filter(({ number }) => number > oldest);
    const sum = (of: (slice: Slice) => number): number => slices.reduce((total, slice) => total + of(slice), 0);
    const most = (of: (slice: Slice) => number): number => Math.max(0, ...slices.map(of));
    return {
      lastSecond: second - 1,
      handoffs: this.#handoffs.before(second),
      callers: this.#callers.before(second),
      waits: distribution(
        slices.map(({ waits }) => waits),
        most(({ longestWaitMS }) => longestWaitMS),
      ),
      holds: distribution(
        slices.map(({ holds }) => holds),
        most(({ longestHoldMS }) => longestHoldMS),
      ),
      lost: {
        takenOver: sum(({ takenOver }) => takenOver),
        forced: sum(({ forced }) => forced),
        removed: sum(({ removed }) => removed),
      },
    };
  }

  #countGrant({ at, from, callersCount, waits }: GrantedFact): void {
    const second = Math.floor(at.getTime() / 1_000);
    this.#callers.add(second, callersCount);
    if (from !== null) this.#handoffs.add(second, 1);
    const slice = this.#slice(at);
    for (const wait of waits) {
      addTo(slice.waits, wait.waitedMS, wait.callersCount);
      slice.longestWaitMS = Math.max(slice.longestWaitMS, wait.waitedMS);
    }
  }

  #countEnd({ kind, at, heldMS }: EndFact): void {
    const slice = this.#slice(at);
    if (kind === 'taken-over') slice.takenOver += 1;
    if (kind === 'forced') slice.forced += 1;
    if (kind === 'removed') slice.removed += 1;
    if (heldMS === null) return;
    addTo(slice.holds, heldMS, 1);
    slice.longestHoldMS = Math.max(slice.longestHoldMS, heldMS);
  }

  #slice(at: Date): Slice {
    const number = Math.floor(at.getTime() / SLICE_MS);
    const index = number % this.#slices.length;
    const found = this.#slices[index];
    if (found !== undefined && found.number >= number) return found;
    const fresh = emptySlice(number);
    this.#slices[index] = fresh;
    return fresh;
  }
}

/** Whether a holder lost its lock. */
export function isLoss(fact: Fact): fact is EndFact {
  return fact.kind === 'taken-over' || fact.kind === 'forced' || fact.kind === 'removed';
}

function emptySlice(number: number): Slice {
  const counts = { takenOver: 0, forced: 0, removed: 0, longestWaitMS: 0, longestHoldMS: 0 };
  return { number, waits: new Float64Array(BUCKETS_COUNT), holds: new Float64Array(BUCKETS_COUNT), ...counts };
}

function addTo(buckets: Float64Array, valueMS: number, count: number): void {
  const found = BUCKET_ENDS_MS.findIndex((endMS) => valueMS <= endMS);
  const index = found === -1 ? BUCKET_ENDS_MS.length : found;
  buckets[index] = (buckets[index] ?? 0) + count;
}

function distribution(parts: readonly Float64Array[], maxMS: number): Distribution {
  const counts = Array.from({ length: BUCKETS_COUNT }, (_, index) => {
    return parts.reduce((sum, part) => sum + (part[index] ?? 0), 0);
  });
  const total = counts.reduce((sum, count) => sum + count, 0);
  const quantile = (share: number): number | null => (total === 0 ? null : quantileOf(counts, share * total, maxMS));
  return {
    counts,
    total,
    p50MS: quantile(0.5),
    p90MS: quantile(0.9),
    p99MS: quantile(0.99),
    maxMS: total === 0 ? null : maxMS,
  };
}

/** The end of the bar, but never more than the largest value there was. */
function quantileOf(counts: readonly number[], rank: number, maxMS: number): number {
  let seen = 0;
  for (const [index, count] of counts.entries()) {
    seen += count;
    if (seen >= rank) return Math.min(BUCKET_ENDS_MS[index] ?? maxMS, maxMS);
  }
  return maxMS;
}
