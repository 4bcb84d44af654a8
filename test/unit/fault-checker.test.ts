/**
 * The checker of the fault suite: what it finds in histories that were made up, each with one thing wrong, and that it says
 * nothing of the same history without that. (One holder, rising tokens and the order of arrival are `history.test.ts`'s.)
 */
import { describe, expect, it } from 'vitest';
import { type FindingKind, judge, type Run } from '../faults/suite/checker.js';
import type { Disturbance } from '../faults/suite/disturbances.js';
import { shortestExcerpt } from '../faults/suite/excerpt.js';
import type { Entry, Fact } from '../faults/suite/facts.js';
import { fold } from '../faults/suite/history.js';
import { LEASE_MS, PATROL_MS, RECOVERY_BOUND_MS, SLACK_MS } from '../faults/suite/settings.js';

const KEY = 'lock:guarded/a';
const SESSION = 'session-of-p';
const LAPSED = 'LockLostError: The lock was lost: its lease could not be renewed in time.';
const NOT_NAMED = 'LockLostError: The lock was lost: the lock document does not name this session any more.';

/** The facts of one process. */
function of(process: string, ...facts: Fact[]): Entry[] {
  return facts.map((fact) => ({ process, ...fact }));
}

interface Times {
  readonly called: number;
  readonly arrived?: number;
  readonly granted?: number;
  readonly released?: number;
  /** The instant of the grant, where it is not told. */
  readonly token?: number;
}

/** One call that goes well, with its guarded write. */
function call(caller: string, { called, arrived, granted, released, token = granted ?? 0 }: Times): Entry[] {
  const [process = ''] = caller.split('.');
  const about = { caller, key: KEY, token, element: caller };
  const facts: Fact[] = [{ kind: 'called', caller, key: KEY, at: called }];
  if (arrived !== undefined) facts.push({ kind: 'arrived', caller, session: SESSION, at: arrived });
  if (granted !== undefined) {
    facts.push({ kind: 'event', name: 'granted', key: KEY, token, at: granted });
    facts.push({ kind: 'granted', caller, token, session: SESSION, held: true, at: granted });
    facts.push({ kind: 'writing', ...about, at: granted }, { kind: 'wrote', ...about, at: granted });
  }
  if (released !== undefined) {
    facts.push({ kind: 'releasing', caller, at: released }, { kind: 'released', caller, answer: true, at: released });
    facts.push({ kind: 'event', name: 'released', key: KEY, token, at: released });
  }
  return of(process, ...facts);
}

/** In the order of the instants, as the harness would have heard it. */
function run(entries: readonly Entry[], more: Partial<Run> = {}): Run {
  const inOrder = entries.map((entry, index) => ({ entry, index }));
  inOrder.sort((a, b) => a.entry.at - b.entry.at || a.index - b.index);
  const heard = inOrder.map(({ entry }) => entry);
  const acknowledged = fold(heard).writes.filter(({ outcome }) => outcome === 'wrote');
  const elements = acknowledged.map(({ element }) => element);
  const guarded = [{ _id: KEY, token: 0, by: 0, count: acknowledged.length, elements }];
  const common = { disturbances: [], stored: [], storedComplete: false, leftovers: [], keepsElements: true };
  return { ...common, entries: heard, guarded, clockExcessMS: 0, ...more };
}

function found(of: Run): FindingKind[] {
  return judge(of).findings.map(({ kind }) => kind);
}

function disturbance(from: number, to: number | null, more: Partial<Disturbance> = {}): Disturbance {
  return { fault: 'a fault', from, to, processes: [], deletes: false, streamsOnly: false, ...more };
}

const FIRST = call('p.1', { called: 0, granted: 10, released: 20 });
const SECOND = call('q.1', { called: 5, arrived: 8, granted: 30, released: 40 });

describe('the checker', () => {
  it('says nothing where nothing is wrong', () => {
    const { findings, ...counts } = judge(run([...FIRST, ...SECOND]));
    expect(findings).toEqual([]);
    expect(counts).toMatchObject({ callsCount: 2, grantsCount: 2, writesCount: 2, lostCount: 0 });
  });

  it('finds two who hold at once', () => {
    expect(found(run([...FIRST, ...call('q.1', { called: 5, granted: 15, released: 25 })]))).toEqual([
      'two valid holders',
    ]);
  });

  it('takes a hold for over at the local deadline of its session, and a hold that began later for none', () => {
    const unreleased = call('p.1', { called: 0, granted: 10 });
    const deadline = (until: number): Entry[] =>
      of(
        'p',
        { kind: 'deadline', session: SESSION, until: until - 1, at: 1 },
        { kind: 'deadline', session: SESSION, until, at: 2 },
      );
    const late = of('p', { kind: 'lost', caller: 'p.1', why: LAPSED, stalledMS: 5_000, at: 90 });
    const next = call('q.1', { called: 5, granted: 60, released: 70 });
    const others = next.map((entry) => ('session' in entry ? { ...entry, session: 'of-q' } : entry)) as Entry[];
    expect(found(run([...unreleased, ...deadline(50), ...late, ...others]))).toEqual([]);
    expect(found(run([...unreleased, ...deadline(65), ...late, ...others]))).toEqual(['two valid holders']);
    expect(found(run([...call('p.1', { called: 0, granted: 80 }), ...deadline(50), ...late, ...others]))).toEqual([]);
  });

  it('finds who was told of a loss only after another was granted, unless the process did not run', () => {
    const lost = (at: number, stalledMS: number): Entry[] =>
      of('p', { kind: 'lost', caller: 'p.1', why: LAPSED, stalledMS, at });
    const holder = call('p.1', { called: 0, granted: 10 });
    const deadline = of('p', { kind: 'deadline', session: SESSION, until: 20, at: 1 });
    const next = SECOND.map((entry) => ('session' in entry ? { ...entry, session: 'of-q' } : entry)) as Entry[];
    expect(found(run([...holder, ...deadline, ...next, ...lost(35, 0)]))).toEqual(['told too late']);
    expect(found(run([...holder, ...deadline, ...next, ...lost(35, 2_000)]))).toEqual([]);
    expect(found(run([...holder, ...deadline, ...next, ...lost(20, 0)]))).toEqual([]);
  });

  it('finds who was never told of a loss, where another was granted meanwhile', () => {
    const deadline = of('p', { kind: 'deadline', session: SESSION, until: 20, at: 1 });
    const next = SECOND.map((entry) => ('session' in entry ? { ...entry, session: 'of-q' } : entry)) as Entry[];
    const late = call('p.1', { called: 0, granted: 10, released: 50 });
    expect(found(run([...late, ...deadline, ...next]))).toEqual(['told too late']);
    const killed = of('p', { kind: 'killed', at: 60, goneAt: 61, sinceAt: 60 });
    expect(found(run([...call('p.1', { called: 0, granted: 10 }), ...deadline, ...next, ...killed]))).toEqual([]);
  });

  it('finds a lock that is not held when it is granted, unless the process did not run', () => {
    const vain = FIRST.map((entry) => (entry.kind === 'granted' ? { ...entry, held: false } : entry)) as Entry[];
    expect(found(run(vain))).toEqual(['told too late']);
    expect(
      found(run([...vain, ...of('p', { kind: 'lost', caller: 'p.1', why: LAPSED, stalledMS: 2_000, at: 11 })])),
    ).not.toContain('told too late');
    const lost = of('p', { kind: 'lost', caller: 'p.1', why: LAPSED, stalledMS: 3, at: 11 });
    const deadline = (until: number): Entry[] => of('p', { kind: 'deadline', session: SESSION, until, at: 1 });
    expect(found(run([...vain, ...lost, ...deadline(9)]))).not.toContain('told too late');
    for (const until of [1, 11]) expect(found(run([...vain, ...lost, ...deadline(until)]))).toContain('told too late');
    // A renewal that is answered after the deadline revives nothing.
    const late = of('p', { kind: 'deadline', session: SESSION, until: 2_000, at: 12 });
    expect(found(run([...vain, ...lost, ...deadline(9), ...late]))).not.toContain('told too late');
  });

  it('finds an unlock that says it released what was lost', () => {
    const lost = of('p', { kind: 'lost', caller: 'p.1', why: LAPSED, stalledMS: 0, at: 15 });
    expect(found(run([...FIRST, ...lost]))).toEqual(['not settled once']);
    const honest = FIRST.map((entry) => (entry.kind === 'released' ? { ...entry, answer: false } : entry)) as Entry[];
    expect(found(run([...honest, ...lost]))).toEqual([]);
  });

  it('finds a call that fails where nothing was done, or with an error that is none of ours', () => {
    const failed = (why: string): Entry[] => [
      ...of('p', { kind: 'called', caller: 'p.1', key: KEY, at: 100 }),
      ...of('p', { kind: 'left', caller: 'p.1', outcome: 'failed', why, at: 150 }),
    ];
    const disturbed = { disturbances: [disturbance(120, 130)] };
    expect(found(run(failed('LOCK_UNAVAILABLE: no primary')))).toEqual(['failed without a reason']);
    expect(found(run(failed('LOCK_UNAVAILABLE: no primary'), disturbed))).toEqual([]);
    expect(found(run(failed('TypeError: undefined'), disturbed))).toEqual(['failed without a reason']);
  });

  it('finds stored grants and guarded writes out of the order of their tokens', () => {
    const grant = (value: string): Run['stored'][number] => ({ kind: 'grant', key: KEY, value });
    const write = (value: string): Run['stored'][number] => ({ kind: 'write', key: KEY, value });
    const rising = [grant('s/5/1:2,2:1'), write('6'), grant('s/8/3:1'), write('8'), grant('t/9/1:1')];
    expect(found(run([], { stored: rising }))).toEqual([]);
    expect(found(run([], { stored: [grant('s/5/1:2,2:1'), grant('t/7/3:1')] }))).toEqual(['token not higher']);
    expect(found(run([], { stored: [write('6'), write('5')] }))).toEqual(['write out of token order']);
  });

  it('finds a grant that no majority has', () => {
    const stored: Run['stored'] = [{ kind: 'grant', key: KEY, value: `${SESSION}/9/1:2` }];
    expect(found(run(FIRST, { stored, storedComplete: true }))).toEqual([]);
    expect(found(run([...FIRST, ...SECOND], { stored, storedComplete: true }))).toEqual(['two valid holders']);
    expect(found(run([...FIRST, ...SECOND], { stored, storedComplete: false }))).toEqual([]);
  });

  it('finds who was overtaken, unless its session had lapsed', () => {
    const overtaken = call('q.1', { called: 0, arrived: 8, granted: 90, released: 99 });
    const overtaker = call('r.1', { called: 10, granted: 20, released: 30 });
    const deadline = of('q', { kind: 'deadline', session: SESSION, until: 50, at: 1 });
    expect(found(run([...overtaken, ...overtaker]))).toEqual(['overtaken']);
    const elsewhere = overtaker.map((entry) => ('session' in entry ? { ...entry, session: 'of-r' } : entry)) as Entry[];
    expect(found(run([...overtaken, ...elsewhere, ...deadline]))).toEqual([]);
    const startedOver = of('q', { kind: 'session lost', session: SESSION, stalledMS: 9_999, at: 15 });
    expect(found(run([...overtaken, ...overtaker, ...startedOver]))).toEqual([]);
  });

  it('does not count a place that was killed, from when its process did nothing any more', () => {
    const killed = (sinceAt: number): Entry[] => [
      ...of('q', { kind: 'called', caller: 'q.1', key: KEY, at: 0 }),
      ...of('q', { kind: 'arrived', caller: 'q.1', session: SESSION, at: 8 }),
      ...of('q', { kind: 'killed', at: 50, goneAt: 51, sinceAt }),
    ];
    const other = call('r.1', { called: 10, granted: 20, released: 30 });
    expect(found(run([...killed(9), ...other]))).toEqual([]);
    expect(found(run([...killed(25), ...other]))).toEqual(['overtaken']);
  });

  it('finds what is left behind, and troubles', () => {
    expect(found(run([], { leftovers: ['ticket s/1 of a'] }))).toEqual(['left behind']);
    expect(found(run(of('p', { kind: 'trouble', message: 'unhandled', at: 1 })))).toEqual(['trouble']);
  });

  it('finds a call that never settled, one that settled twice, and a grant with two events', () => {
    expect(found(run(call('q.1', { called: 0 })))).toEqual(['not settled once']);
    const left = of('p', { kind: 'left', caller: 'p.1', outcome: 'aborted', at: 25 });
    expect(found(run([...FIRST, ...left]))).toEqual(['not settled once']);
    const again = of('p', { kind: 'event', name: 'lost', key: KEY, token: 10, at: 26 });
    expect(found(run([...FIRST, ...again]))).toEqual(['not settled once']);
    const killed = of('q', { kind: 'killed', at: 50, goneAt: 51, sinceAt: 50 });
    expect(found(run([...call('q.1', { called: 0 }), ...killed]))).toEqual([]);
  });

  it('finds an acknowledged write that is gone, and one too many', () => {
    const entries = [...FIRST, ...SECOND];
    const guarded = (count: number, ...elements: string[]): Partial<Run> => ({
      guarded: [{ _id: KEY, token: 0, by: 0, count, elements }],
    });
    expect(found(run(entries, guarded(2, 'p.1', 'q.1')))).toEqual([]);
    expect(found(run(entries, guarded(2, 'p.1')))).toEqual(['effect lost']);
    expect(found(run(entries, guarded(1, 'p.1', 'q.1')))).toEqual(['effect lost']);
    expect(found(run(entries, guarded(3, 'p.1', 'q.1')))).toEqual(['effect lost']);
    const maybe = of('r', { kind: 'write unknown', caller: 'r.1', key: KEY, token: 50, element: 'r.1', at: 50 });
    expect(found(run([...entries, ...maybe], guarded(3, 'p.1', 'q.1', 'r.1')))).toEqual([]);
    expect(found(run([...entries, ...maybe], guarded(2, 'p.1', 'q.1')))).toEqual([]);
  });

  it('finds a session that was lost for nothing', () => {
    const lost = (stalledMS: number): Entry[] => of('p', { kind: 'session lost', session: 's', stalledMS, at: 9_000 });
    expect(found(run(lost(0)))).toEqual(['lost without a reason']);
    expect(found(run(lost(2_000)))).toEqual([]);
    const near = disturbance(8_000, 8_500, { processes: ['p'] });
    expect(found(run(lost(0), { disturbances: [near] }))).toEqual([]);
    expect(found(run(lost(0), { disturbances: [{ ...near, processes: ['q'] }] }))).toEqual(['lost without a reason']);
  });
});

describe('a hold that is lost because the lock document does not name it', () => {
  const LOST_AT = 50;
  const lost = (why: string): Entry[] => [
    ...call('p.1', { called: 0, granted: 10 }),
    ...of('p', { kind: 'lost', caller: 'p.1', why, stalledMS: 0, at: LOST_AT }),
  ];
  const grant = (value: string, at?: number): Run['stored'][number] => ({
    kind: value === '' ? 'free' : 'grant',
    key: KEY,
    value,
    ...(at !== undefined && { at }),
  });
  const OWN = grant(`${SESSION}/10/1:1`, 9);
  const judged = (stored: Run['stored'], why = NOT_NAMED): FindingKind[] =>
    found(run(lost(why), { stored, storedComplete: true }));

  it('is found where its grant was stored and stood then', () => {
    expect(judged([OWN])).toEqual(['lost although it stood']);
    expect(judged([OWN, grant('t/11/2:1', 80)])).toEqual(['lost although it stood']);
    expect(judged([OWN, grant('', 80)])).toEqual(['lost although it stood']);
    expect(judged([grant('', 5), OWN, { kind: 'write', key: KEY, value: '10', at: 20 }])).toEqual([
      'lost although it stood',
    ]);
    expect(judged([OWN, { ...grant('t/11/2:1', 30), key: 'lock:guarded/b' }])).toEqual(['lost although it stood']);
  });

  it('is right where another grant, or none, was stored before it was told', () => {
    expect(judged([OWN, grant('t/11/2:1', LOST_AT - 1)])).toEqual([]);
    expect(judged([OWN, grant('', LOST_AT - 1)])).toEqual([]);
    expect(judged([OWN, grant('', 20), grant('t/11/2:1', 80)])).toEqual([]);
  });

  it('is not judged where it was lost for another reason, or the stored changes do not say', () => {
    expect(judged([OWN], LAPSED)).toEqual([]);
    expect(judged([OWN, grant('t/11/2:1')])).toEqual([]);
    expect(found(run(lost(NOT_NAMED), { stored: [OWN], storedComplete: false }))).toEqual([]);
  });
});

describe('a lock that is free while somebody waits', () => {
  const CALM_MS = PATROL_MS + SLACK_MS;
  const BOUND_MS = RECOVERY_BOUND_MS + SLACK_MS;
  const waiting = (granted: number): Entry[] => [
    ...FIRST,
    ...call('q.1', { called: 5, arrived: 8, granted, released: granted + 1 }),
  ];

  it('is found after a patrol, where nothing was done to the run', () => {
    expect(found(run(waiting(20 + CALM_MS - 1)))).toEqual([]);
    expect(found(run(waiting(20 + CALM_MS + 1)))).toEqual(['free while somebody waits']);
  });

  it('is found after the bound for the dead, counted from the last thing that was done', () => {
    const near = (at: number): Partial<Run> => ({ disturbances: [disturbance(at, at + 1, { processes: ['r'] })] });
    expect(found(run(waiting(20 + BOUND_MS - 1), near(15)))).toEqual([]);
    expect(found(run(waiting(22 + BOUND_MS), near(15)))).toEqual(['free while somebody waits']);
    expect(found(run(waiting(22 + BOUND_MS), near(100)))).toEqual([]);
    expect(found(run(waiting(102 + BOUND_MS), near(100)))).toEqual(['free while somebody waits']);
  });

  it('is found where nobody has it to the end of the history', () => {
    const until = (at: number, deadline = at + LEASE_MS): Entry[] => [
      ...FIRST,
      ...call('q.1', { called: 5, arrived: 8 }),
      ...of('q', { kind: 'deadline', session: SESSION, until: deadline, at: 9 }),
      ...of('harness', { kind: 'finished', at }),
    ];
    expect(found(run(until(20 + CALM_MS - 1)))).toEqual(['not settled once']);
    expect(found(run(until(20 + CALM_MS + 1)))).toEqual(['free while somebody waits', 'not settled once']);
    expect(found(run(until(20 + CALM_MS + 1, 20 + CALM_MS)))).toEqual(['not settled once']);
    const left = of('q', { kind: 'left', caller: 'q.1', outcome: 'aborted', at: 30 });
    expect(found(run([...until(20 + CALM_MS + 1), ...left]))).toEqual([]);
  });

  it('is found after a patrol, where only news was held up', () => {
    const near = { disturbances: [disturbance(10, 30, { streamsOnly: true })] };
    expect(found(run(waiting(29 + CALM_MS), near))).toEqual([]);
    expect(found(run(waiting(31 + CALM_MS), near))).toEqual(['free while somebody waits']);
  });

  it('needs a witness whose process could have taken it', () => {
    const lame = { disturbances: [disturbance(15, null, { processes: ['q'] })] };
    expect(found(run(waiting(22 + BOUND_MS), lame))).toEqual([]);
    const late = [...FIRST, ...call('q.1', { called: 5, arrived: 19_000, granted: 20_000, released: 20_001 })];
    expect(found(run(late))).toEqual([]);
  });

  it('is measured, also where it is no finding', () => {
    expect(judge(run(waiting(420))).worstFreeMS).toEqual({ calm: 400, disturbed: 0 });
    expect(judge(run(waiting(420), { disturbances: [disturbance(0, 15)] })).worstFreeMS).toEqual({
      calm: 0,
      disturbed: 400,
    });
  });
});

describe('a deletion by hand', () => {
  const deletion = disturbance(12, 14, { deletes: true });

  it('ends the protection of the holds that stood, and of no other', () => {
    const overlapping = call('q.1', { called: 5, granted: 15, released: 25 });
    expect(found(run([...FIRST, ...overlapping], { disturbances: [deletion] }))).toEqual([]);
    const later = call('r.1', { called: 5, granted: 24, released: 40 });
    expect(found(run([...FIRST, ...overlapping, ...later], { disturbances: [deletion] }))).toEqual([
      'two valid holders',
    ]);
  });

  it('ends that of a hold that stood, and was told just after; not of the first of the new document', () => {
    const first = call('p.1', { called: 0, granted: 16, released: 30, token: 16 });
    const other = call('q.1', { called: 5, granted: 20, released: 40, token: 90 });
    const next = other.map((entry) => ('session' in entry ? { ...entry, session: 'of-q' } : entry)) as Entry[];
    const grant = (value: string) => ({ kind: 'grant' as const, key: KEY, value });
    const of = (...stored: string[]): FindingKind[] =>
      found(run([...first, ...next], { disturbances: [deletion], stored: stored.map(grant) }));
    expect(of('x/15/1:1', `${SESSION}/16/1:1`, 'of-q/90/1:1')).toEqual([]);
    expect(of('x/3/1:1', `${SESSION}/16/1:1`, 'y/17/1:73', 'of-q/90/1:1')).toEqual(['two valid holders']);
    expect(of()).toEqual(['two valid holders']);
  });

  it('ends that of the runs that stood, with those who are served later in them', () => {
    const same = call('p.2', { called: 5, granted: 15, released: 30, token: 11 });
    const another = call('p.2', { called: 5, granted: 15, released: 30, token: 13 });
    const next = call('q.1', { called: 5, granted: 22, released: 40 });
    const first = call('p.1', { called: 0, granted: 10, released: 15 });
    expect(found(run([...first, ...same, ...next], { disturbances: [deletion] }))).toEqual([]);
    expect(found(run([...first, ...another, ...next], { disturbances: [deletion] }))).toEqual(['two valid holders']);
  });

  it('makes places in the queue begin anew until the queue was read again', () => {
    const at = (by: number): Entry[] => [
      ...call('q.1', { called: by, arrived: by + 1, granted: by + 90, released: by + 99 }),
      ...call('r.1', { called: by + 10, granted: by + 20, released: by + 30 }),
    ];
    expect(found(run(at(0), { disturbances: [deletion] }))).toEqual([]);
    expect(found(run(at(PATROL_MS + SLACK_MS + LEASE_MS), { disturbances: [deletion] }))).toEqual(['overtaken']);
  });
});

describe('clocks that are more wrong than the locks were told', () => {
  it('are no excuse for tokens and order, but for overlaps, which are counted', () => {
    const overlapping = call('q.1', { called: 5, granted: 15, released: 25 });
    const verdict = judge(run([...FIRST, ...overlapping], { clockExcessMS: 1_000 }));
    expect(verdict.findings).toEqual([]);
    expect(verdict.exemptOverlapsCount).toBe(1);
  });

  it('may have the earlier of two grants told last while both hold, and not when the first is over', () => {
    const late = (granted: number): Entry[] => call('q.1', { called: 5, granted, released: granted + 5, token: 1 });
    const first = call('p.1', { called: 0, granted: 10, released: 20, token: 2 });
    const tokens = (entries: Entry[]) => found(run(entries, { clockExcessMS: 1_000, storedComplete: false }));
    expect(tokens([...first, ...late(15)])).toEqual([]);
    expect(tokens([...first, ...late(25)])).toEqual(['token not higher']);
  });
});

describe('whoever is told late where the clocks were too wrong', () => {
  const told = (token: number): FindingKind[] => {
    const first = call('p.1', { called: 0, arrived: 2, granted: 30, released: 35, token });
    const second = call('q.1', { called: 5, arrived: 8, granted: 15, released: 40, token: 20 });
    return found(run([...first, ...second], { clockExcessMS: 1_000 }));
  };

  it('was not overtaken if its grant was the first', () => {
    expect(told(10)).toEqual([]);
    expect(told(25)).toEqual(['overtaken']);
  });
});

describe('whoever is served late where the clocks were too wrong', () => {
  const served = (lostOn: string): FindingKind[] => {
    const about = { name: 'lost', key: lostOn, token: 8, stalledMS: 0, at: 25 } as const;
    const before = [
      ...call('p.0', { called: 0, granted: 8 }),
      ...of('p', { kind: 'event', ...about }, { kind: 'lost', caller: 'p.0', why: LAPSED, stalledMS: 0, at: 25 }),
    ];
    const first = call('p.1', { called: 0, arrived: 2, granted: 30, released: 35, token: 30 });
    const second = call('q.1', { called: 5, arrived: 8, granted: 15, released: 40, token: 20 });
    return found(run([...before, ...first, ...second], { clockExcessMS: lostOn === KEY ? 1_000 : 0 }));
  };

  it('was not overtaken if its process had lost the run it stood in', () => {
    expect(served(KEY)).not.toContain('overtaken');
    expect(served('lock:another/1')).toContain('overtaken');
  });
});

describe('the excerpt', () => {
  const intruder = call('q.1', { called: 5, granted: 15, released: 25 });
  const bystander = call('r.1', { called: 400, granted: 500, released: 600 });
  const of = run([...FIRST, ...intruder, ...bystander], { leftovers: ['a ticket'] });

  it('shows the calls that a finding is about and what was done meanwhile, and nothing else', () => {
    const { findings } = judge(of);
    expect(findings.map(({ kind }) => kind)).toEqual(['two valid holders', 'left behind']);
    const excerpt = shortestExcerpt(findings, of.entries, [disturbance(12, 13), disturbance(700, 800)]);
    expect(excerpt?.finding.kind).toBe('two valid holders');
    const lines = excerpt?.lines.join('\n') ?? '';
    expect(lines).toMatch(/p\.1 +granted token 10[\s\S]*a fault[\s\S]*q\.1 +granted token 15/);
    expect(lines).not.toContain('r.1');
    expect(lines.match(/a fault/g)).toHaveLength(1);
  });

  it('is not longer than one can read', () => {
    const many = Array.from({ length: 60 }, (_, index) =>
      call(`p.${index}`, { called: 1, granted: 11 + index / 100, released: 12 + index }),
    );
    const long = run([...FIRST, ...intruder, ...many.flat()]);
    expect(shortestExcerpt(judge(long).findings, long.entries, [])?.lines.length).toBeLessThanOrEqual(41);
  });

  it('is none where nothing was found', () => {
    expect(shortestExcerpt([], of.entries, [])).toBeNull();
  });
});
