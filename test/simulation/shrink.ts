/**
 * From a scenario that breaks something to a smaller one that still does: fewer processes, calls, faults and troubles.
 * And the report of a failure: seed, invariant, what was left out, the end of the trace, and how to run it again.
 */
import type { LinkSettings } from './link.js';
import { type CallPlan, type Fault, makeScenario, type ProcessPlan, type Scenario } from './scenario.js';
import type { FeedSettings } from './sim-feed.js';
import { type RunSettings, runScenario } from './simulation.js';

/** How many runs shrinking may take: it is for people, and they wait. */
const RUNS_MAX = 400;
const TRACE_LINES = Number(process.env.SIMULATION_TRACE_LINES ?? 60);

/** The smallest scenario found that breaks the same invariant. */
async function shrink(scenario: Scenario, settings: RunSettings = {}): Promise<Scenario> {
  const invariant = (await runScenario(scenario, settings)).violation?.invariant;
  if (invariant === undefined) return scenario;
  let runsLeft = RUNS_MAX;
  let smallest = scenario;
  const breaks = async (candidate: Scenario): Promise<boolean> => {
    runsLeft -= 1;
    return (await runScenario(candidate, settings)).violation?.invariant === invariant;
  };
  for (let smaller = true; smaller && runsLeft > 0; ) {
    smaller = false;
    for (const candidate of candidates(smallest)) {
      if (runsLeft <= 0 || !(await breaks(candidate))) continue;
      smallest = candidate;
      smaller = true;
      break;
    }
  }
  return smallest;
}

/** What a failure says. */
export async function report(scenario: Scenario, settings: RunSettings = {}): Promise<string> {
  const { violation } = await runScenario(scenario, settings);
  const small = await shrink(scenario, settings);
  const again = await runScenario(small, { ...settings, trace: true });
  const { processes, calls, faults } = small;
  return [
    `${violation?.invariant} is broken by seed ${scenario.seed} at ${violation?.atMS.toFixed(1)} ms: ${violation?.what}`,
    replayOf(scenario),
    `Shrunk to ${processes.length} processes, ${calls.length} calls, ${faults.length} faults: ${again.violation?.what}`,
    ...again.trace.slice(-TRACE_LINES),
  ].join('\n');
}

/** A seed gives the scenario that was made from it, and no other. */
function replayOf(scenario: Scenario): string {
  const { seed, troubles } = scenario;
  const isOfItsSeed = JSON.stringify(makeScenario(seed, troubles)) === JSON.stringify(scenario);
  if (!isOfItsSeed) return 'Replay: the scenario was changed by the test that ran it; run that test again';
  const command = 'TSX_TSCONFIG_PATH=test/tsconfig.json node --import tsx test/simulation/replay.ts';
  return `Replay: ${command} --seed ${seed}${troublesOf(scenario)}`;
}

function troublesOf({ troubles }: Scenario): string {
  return troubles === undefined ? '' : ` --troubles '${troubles.join(',')}'`;
}

/** Larger steps first. */
function* candidates(scenario: Scenario): Generator<Scenario> {
  const { calls, faults, processes } = scenario;
  for (let size = Math.ceil(calls.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < calls.length; at += size) yield { ...scenario, calls: without(calls, at, size) };
  }
  for (let at = 0; at < faults.length; at += 1) yield { ...scenario, faults: without(faults, at, 1) };
  for (const simpler of SIMPLER) {
    for (let at = 0; at < processes.length; at += 1) {
      const plan = simpler(processes[at] as ProcessPlan);
      if (plan !== null)
        yield { ...scenario, processes: processes.map((other, index) => (index === at ? plan : other)) };
    }
  }
  const used = Math.max(0, ...calls.map(processesOf), ...faults.flatMap(actorsOf));
  if (used + 1 < processes.length) yield { ...scenario, processes: processes.slice(0, used + 1) };
  for (let at = 0; at < calls.length; at += 1) {
    const plain = simplerCall(calls[at] as CallPlan);
    if (plain !== null) yield { ...scenario, calls: calls.map((other, index) => (index === at ? plain : other)) };
  }
}

function without<T>(items: readonly T[], at: number, count: number): T[] {
  return [...items.slice(0, at), ...items.slice(at + count)];
}

function actorsOf(fault: Fault): readonly number[] {
  if (fault.kind === 'force') return fault.processes;
  return 'process' in fault ? [fault.process] : [];
}

function processesOf(call: CallPlan): number {
  return call.process;
}

function simplerCall(call: CallPlan): CallPlan | null {
  if (call.nested !== null) return { ...call, nested: null };
  if (call.extraReleases > 0) return { ...call, extraReleases: 0 };
  return call.abort.kind === 'none' ? null : { ...call, abort: { kind: 'none' } };
}

const GOOD_LINK: Partial<LinkSettings> = { slowRate: 0, loseRequestRate: 0, loseReplyRate: 0, copyRate: 0 };
const GOOD_FEED: Partial<FeedSettings> = { loseRate: 0, repeatRate: 0, overtakeRate: 0, replaceRate: 0 };

const SIMPLER: readonly ((plan: ProcessPlan) => ProcessPlan | null)[] = [
  (plan) => changed(plan, { link: { ...plan.link, ...GOOD_LINK } }),
  (plan) => changed(plan, { feed: { ...plan.feed, ...GOOD_FEED } }),
  (plan) => changed(plan, { outages: [] }),
  (plan) => changed(plan, { gaps: [] }),
  (plan) => changed(plan, { clockRate: 1, timerLateMS: 0 }),
];

function changed(plan: ProcessPlan, change: Partial<ProcessPlan>): ProcessPlan | null {
  const next = { ...plan, ...change };
  return JSON.stringify(next) === JSON.stringify(plan) ? null : next;
}
