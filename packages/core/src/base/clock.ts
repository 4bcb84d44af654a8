/**
 * Time and timers: the only file that touches either. The engine gets a `Clock` by its constructor, so a simulation can
 * give it another. Not a wall clock: `nowMS` says how much time has passed in this process, and nothing else.
 *
 * Everything is taken when the module is loaded, so that fake timers of a test framework do not stop heartbeats.
 */
import os from 'node:os';
import timers from 'node:timers';

/** A timer that has not fired yet. */
export interface Timer {
  /** Stops it; nothing happens when it has fired or was stopped before. */
  cancel(): void;
}

/** How much time has passed, and being called when some has. */
export interface Clock {
  /** Milliseconds, with fractions, since some fixed instant. Never goes back; time spent suspended counts. */
  nowMS(): number;
  /**
   * Calls back once `nowMS` has advanced by `delayMS`, never before and never from inside this call. Any length goes,
   * `Infinity` means never. It does not keep the process alive.
   */
  setTimer(callback: () => void, delayMS: number): Timer;
  /** Resolves once whatever can run without waiting has run: in the next turn of the event loop. */
  nextTurn(): Promise<void>;
}

/** Where a clock reads; in tests, something else than the machine. */
export interface TimeSources {
  /** Nanoseconds, monotonic; may stand still while the machine is suspended. */
  hrtime(): bigint;
  /** Seconds since boot, suspension included, rounded down to `uptimeRoundingMS`. May be slow to read. */
  uptime(): number;
  /** The wall clock in milliseconds, which may step either way. Only ever used as a hint. */
  wallMS(): number;
  readonly uptimeRoundingMS: number;
}

/**
 * `os.uptime()` comes from `/proc/uptime` in hundredths of a second on Linux. Elsewhere it may be a difference of whole
 * seconds, which is coarse against a short lease; but on macOS and Windows `hrtime` counts suspension by itself.
 */
const LINUX_ROUNDING_MS = 10;
const OTHER_ROUNDING_MS = 2_000;
/** The longest delay a timer of the runtime can have; a longer one would fire at once. */
const LONGEST_DELAY_MS = 2 ** 31 - 1;
/** For how long, awake, a look at the uptime may be relied on. */
const UPTIME_FRESH_MS = 5;
/** How far the wall clock and `hrtime` may come apart since the last look before the uptime is looked at again. */
const WALL_TOLERANCE_MS = 2;

/**
 * Makes the function that reads the time: the larger advance of `hrtime` and `uptime` since this call.
 *
 * `hrtime` stands still on Linux while the machine is suspended, and the uptime does not; but the uptime is a file read
 * of 2 µs or, in some containers, fifty times that, where a clock is read for every `lock.held`. So the uptime is only
 * looked at when the last look is 5 ms of running time old, or when the wall clock has moved otherwise than `hrtime`
 * since then, which a suspension makes it do before this process runs again. A wall clock that is wrong can thus only
 * cost a look too many, or hide a suspension for 5 ms of running time after it, which is well inside the margin that
 * local deadlines have. It never makes time.
 *
 * What rounding alone may explain is not counted, so time does not jump where nothing was suspended. In return all
 * suspensions together are counted short by two roundings at most: 20 ms on Linux.
 */
export function monotonicMS(sources: TimeSources): () => number {
  const { hrtime, uptime, wallMS, uptimeRoundingMS } = sources;
  const startedAt = hrtime();
  const bootedBeforeMS = uptime() * 1000;
  let suspendedMS = 0;
  let lookedAtMS = 0;
  let lookedAtWallMS = wallMS();

  function look(runningMS: number): void {
    const surplusMS = uptime() * 1000 - bootedBeforeMS - runningMS - uptimeRoundingMS;
    if (surplusMS > suspendedMS) suspendedMS = surplusMS;
    lookedAtMS = runningMS;
    lookedAtWallMS = wallMS();
  }

  return () => {
    const runningMS = Number(hrtime() - startedAt) / 1e6;
    const sinceMS = runningMS - lookedAtMS;
    const wallSinceMS = wallMS() - lookedAtWallMS;
    if (sinceMS >= UPTIME_FRESH_MS || Math.abs(wallSinceMS - sinceMS) >= WALL_TOLERANCE_MS) look(runningMS);
    return runningMS + suspendedMS;
  };
}

// Taken apart on purpose: a property of `timers`, `process` or `Date` may be replaced later, these constants may not.
const { setTimeout: startTimeout, clearTimeout: stopTimeout, setImmediate: startImmediate } = timers;
const nowMS = monotonicMS({
  hrtime: process.hrtime.bigint,
  uptime: os.uptime,
  wallMS: Date.now,
  uptimeRoundingMS: process.platform === 'linux' ? LINUX_ROUNDING_MS : OTHER_ROUNDING_MS,
});

function setTimer(callback: () => void, delayMS: number): Timer {
  const dueMS = nowMS() + delayMS;
  let timeout: NodeJS.Timeout | undefined;
  // The runtime may fire up to a millisecond early, and cannot count beyond 24 days: both are the same case here.
  const arm = (leftMS: number): void => {
    timeout = startTimeout(fire, Math.min(Math.ceil(leftMS), LONGEST_DELAY_MS));
    timeout.unref();
  };
  const fire = (): void => {
    const leftMS = dueMS - nowMS();
    if (leftMS > 0) arm(leftMS);
    else callback();
  };
  if (delayMS !== Number.POSITIVE_INFINITY) arm(delayMS);
  return { cancel: () => stopTimeout(timeout) };
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    startImmediate(resolve);
  });
}

/** The clock of this machine. */
export const systemClock: Clock = { nowMS, setTimer, nextTurn };
