/**
 * The one clock of the demo: the machine's monotonic clock, which reads the same in every process of one machine. That it
 * does is checked when a process reports itself ready.
 */

/** Milliseconds, with fractions, since some instant that all processes share. */
export function nowMS(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
