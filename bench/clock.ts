/**
 * The one clock of the benchmarks: the machine's monotonic clock, which reads the same in every process of one machine (`fleet.ts` checks that it
 * does), and pauses.
 */

/** Milliseconds, with fractions, since some instant that all processes share. */
export function nowMS(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** The pace of a workload, or the length of a window: never an order of events. */
export function pause(durationMS: number): Promise<void> {
  return durationMS <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, durationMS));
}
