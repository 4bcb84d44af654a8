/**
 * What happens in the demo, step by step. Nothing here waits for a time to pass: each step waits until what it needs was
 * seen, by what the processes tell and by what is stored.
 */
import type { Board } from './board.js';
import type { Contender, Contenders } from './contenders.js';
import { isHold } from './history.js';
import type { QueueReader } from './queue-view.js';
import type { Recorder } from './recorder.js';
import { LEASE_MS } from './settings.js';
import type { Recovery } from './summary.js';

const FIRST_WAVE_COUNT = 6;
const SECOND_WAVE_COUNT = 4;
const BURST_HOLD_MS = 50;
const ROUNDS_COUNT = 80;
const ROUND_HOLD_MS = 5;
const TIMEOUT_MS = 1_000;

export interface Stage {
  readonly board: Board;
  readonly contenders: Contenders;
  readonly recorder: Recorder;
  readonly reader: QueueReader;
}

/** All phases in turn. Resolves with how long the others waited after each kill. */
export async function play(stage: Stage): Promise<Recovery[]> {
  const { board, contenders } = stage;
  board.phase('four processes start');
  const [ada, bob, cyd, dee] = await contenders.start('ada', 'bob', 'cyd', 'dee');
  if (!ada || !bob || !cyd || !dee) throw new Error('Not all processes started');
  await bursts(stage, 'wave');
  await rounds(stage);
  await limits(stage, { holder: ada, impatient: bob, aborted: cyd, patient: dee });
  const afterWaiter = await killWaiter(stage, { holder: ada, victim: bob, next: cyd, last: dee });
  await contenders.start('eve');
  const afterHolder = await killHolder(stage, { victim: cyd, next: dee, last: ada });
  await contenders.start('fay');
  await bursts(stage, 'again');
  board.phase('the processes close');
  await contenders.close();
  return [
    { victim: 'a waiter', tookMS: afterWaiter },
    { victim: 'the holder', tookMS: afterHolder },
  ];
}

/** All processes call at once, many callers each; while they wait, all call once more. */
async function bursts({ board, contenders, recorder }: Stage, label: string): Promise<void> {
  board.phase(
    `bursts: ${FIRST_WAVE_COUNT} callers at once in each process, then ${SECOND_WAVE_COUNT} more behind them`,
  );
  const work = { kind: 'turn', holdMS: BURST_HOLD_MS } as const;
  const wave = (number: number, count: number): Promise<void>[] =>
    contenders.alive.map((contender) =>
      contender.call({ callers: names(`${contender.name}.${label}${number}`, count), work }),
    );
  const first = wave(1, FIRST_WAVE_COUNT);
  const expectedCount = contenders.alive.length * FIRST_WAVE_COUNT;
  await recorder.until('the first wave has arrived', () => {
    const calls = recorder.records.filter(({ caller }) => caller.includes(`.${label}1.`));
    return calls.length === expectedCount && calls.every((call) => call.arrivedAt !== undefined || isHold(call));
  });
  await Promise.all([...first, ...wave(2, SECOND_WAVE_COUNT)]);
}

/** One caller in each process, which calls again as soon as it has released: every grant is a handoff to another process. */
async function rounds({ board, contenders }: Stage): Promise<void> {
  board.phase(`handoffs: each process takes the lock ${ROUNDS_COUNT} times, one after the other`);
  const work = { kind: 'turn', holdMS: ROUND_HOLD_MS } as const;
  await Promise.all(
    contenders.alive.map((contender) =>
      contender.call({ callers: [`${contender.name}.round`], work, timesCount: ROUNDS_COUNT }),
    ),
  );
}

/** One gives up, one is told to, and the one behind them is served as if they had never been there. */
async function limits(
  stage: Stage,
  { holder, impatient, aborted, patient }: Record<'holder' | 'impatient' | 'aborted' | 'patient', Contender>,
): Promise<void> {
  const { board, recorder, reader } = stage;
  board.phase(`${holder.name} holds; of three who wait, one times out and one aborts`);
  const held = await holdUntilTold(stage, holder, 'limits');
  const waits = [
    await queueUp(stage, impatient, 'impatient', TIMEOUT_MS),
    await queueUp(stage, aborted, 'aborted'),
    await queueUp(stage, patient, 'patient'),
  ];
  aborted.abort(`${aborted.name}.aborted`);
  await recorder.until('one has aborted', () => recorder.record(`${aborted.name}.aborted`)?.outcome === 'aborted');
  board.say(`${aborted.name} has aborted`);
  await recorder.until(
    'one has timed out',
    () => recorder.record(`${impatient.name}.impatient`)?.outcome === 'timed out',
  );
  board.say(`${impatient.name} has timed out`);
  await untilStored('their tickets are gone', async () => (await reader.tickets()).length === 1);
  board.say(`their tickets are gone; ${patient.name} is next`);
  holder.release(held.caller);
  await Promise.all([held.over, ...waits.map(({ over }) => over)]);
}

/** The lock goes to a process that is not there any more. */
async function killWaiter(
  stage: Stage,
  { holder, victim, next, last }: Record<'holder' | 'victim' | 'next' | 'last', Contender>,
): Promise<number> {
  const { board } = stage;
  board.phase(`${holder.name} holds, ${victim.name} is first in the queue: kill -9 of ${victim.name}`);
  const held = await holdUntilTold(stage, holder, 'over-waiter');
  await queueUp(stage, victim, 'doomed');
  const first = await queueUp(stage, next, 'after-waiter');
  const second = await queueUp(stage, last, 'after-waiter');
  const killedAt = await victim.kill();
  board.say(
    `${victim.name} (pid ${victim.pid}) was killed while it waited; ${holder.name} releases, and the lock is ${victim.name}'s`,
  );
  holder.release(held.caller);
  await Promise.all([held.over, first.over, second.over]);
  return sinceKill(stage, killedAt, first.caller);
}

async function killHolder(
  stage: Stage,
  { victim, next, last }: Record<'victim' | 'next' | 'last', Contender>,
): Promise<number> {
  const { board } = stage;
  board.phase(`${victim.name} holds, two wait: kill -9 of ${victim.name}`);
  await holdUntilTold(stage, victim, 'doomed');
  const first = await queueUp(stage, next, 'after-holder');
  const second = await queueUp(stage, last, 'after-holder');
  const killedAt = await victim.kill();
  board.say(`${victim.name} (pid ${victim.pid}) was killed while it held the lock`);
  await Promise.all([first.over, second.over]);
  return sinceKill(stage, killedAt, first.caller);
}

/** A call that is under way. */
interface Call {
  readonly caller: string;
  /** Resolves when it has settled and done what it was to do, or its process is gone. */
  readonly over: Promise<void>;
}

/** Resolves when the contender holds the lock. */
async function holdUntilTold({ recorder }: Stage, contender: Contender, label: string): Promise<Call> {
  const caller = `${contender.name}.${label}`;
  const over = contender.call({ callers: [caller], work: { kind: 'until told' } });
  over.catch(() => {}); // it is awaited later, or the demo has failed before
  await recorder.until(`${contender.name} holds the lock`, () => recorder.record(caller)?.outcome === 'holding');
  return { caller, over };
}

/** Resolves when the arrival is acknowledged: whoever is queued up next is behind it. */
async function queueUp({ recorder }: Stage, contender: Contender, label: string, timeoutMS?: number): Promise<Call> {
  const caller = `${contender.name}.${label}`;
  const limit = timeoutMS === undefined ? {} : { timeoutMS };
  const over = contender.call({ callers: [caller], work: { kind: 'turn', holdMS: BURST_HOLD_MS }, ...limit });
  over.catch(() => {});
  await recorder.until(`${contender.name} waits`, () => recorder.record(caller)?.arrivedAt !== undefined);
  return { caller, over };
}

function sinceKill({ board, recorder }: Stage, killedAt: number, caller: string): number {
  const grantedAt = recorder.record(caller)?.grantedAt;
  if (grantedAt === undefined) throw new Error(`${caller} was not granted`);
  board.say(`${caller} got the lock ${((grantedAt - killedAt) / 1_000).toFixed(2)} s after the kill`);
  return grantedAt - killedAt;
}

/** What is stored tells of itself to nobody: it is looked at again and again, for one lease at most. */
async function untilStored(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + LEASE_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`Waited one lease in vain until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}.${index + 1}`);
}
