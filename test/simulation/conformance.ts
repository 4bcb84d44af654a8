/**
 * Whether the simulated store is faithful: a seeded sequence of commands is sent to any store, and what it answers is
 * written down with tokens and times made comparable. Two stores conform when the same seed gives the same lines. Every
 * command of the port is in it, in states that earlier ones have made, and with conditions that hold as well as not.
 */
import type { ChangeFeed, LockStore } from '#core/ports.js';
import type { LockState, SessionState } from '#core/protocol/documents.js';
import { type ForcedNote, formatForced, parseForced } from '#core/protocol/forced.js';
import { callersCount, formatGrant, lastToken, parseGrant, type TicketRef } from '#core/protocol/grant.js';
import { formatTrace, parseTrace } from '#core/protocol/trace.js';
import { handoffTo, headRun } from '#core/protocol/transitions.js';
import { Chance } from './chance.js';

/** A store under test. */
export interface ConformancePorts {
  readonly store: LockStore;
  readonly feed: ChangeFeed;
  /** Waits for an answer; a simulated world has to be moved on meanwhile. */
  settle<T>(answer: Promise<T>): Promise<T>;
  /** Resolves when the condition holds, or a bound has passed. */
  until(condition: () => boolean): Promise<void>;
}

const KEYS = ['lock:conformance/a', 'lock:conformance/b'] as const;
const LONG_LEASE_MS = 60_000;
const SHORT_LEASE_MS = 1;
const RUN_MAX_COUNT = 4;

/** The lines of one seed. `name` keeps the keys and sessions of runs apart that share a database. */
export async function transcript(ports: ConformancePorts, name: string, seed: number): Promise<string[]> {
  const run = new ConformanceRun(ports, name, seed);
  return run.play(60);
}

type Operation = () => Promise<string>;

class ConformanceRun {
  readonly #ports: ConformancePorts;
  readonly #chance: Chance;
  /** Of its own, so that what else is drawn does not depend on it. */
  readonly #traceChance: Chance;
  readonly #keys: readonly string[];
  readonly #sessions: readonly string[];
  /** The last state seen of each lock, and the `born` of each of its documents. */
  readonly #locks = new Map<string, LockState>();
  readonly #born = new Map<string, number[]>();
  readonly #beats = new Map<string, number>();
  readonly #sent: { readonly session: string; readonly key: string; readonly tickets: TicketRef[] }[] = [];
  readonly #facts = new Set<string>();
  readonly #granted = new Set<string>();
  /** The notes of forced releases that were seen stored, and those that the streams have told. */
  readonly #noted = new Set<string>();
  readonly #told = new Set<string>();
  /** Grants whose own write has left a trace, with it, and those that the streams have told with one. */
  readonly #traced = new Set<string>();
  readonly #toldTraces = new Set<string>();
  #notesCount = 0;
  #tracesCount = 0;
  #ticketsCount = 0;

  constructor(ports: ConformancePorts, name: string, seed: number) {
    this.#ports = ports;
    this.#chance = Chance.named(seed, 'conformance');
    this.#traceChance = Chance.named(seed, 'traces of conformance');
    this.#keys = KEYS.map((key) => `${key}-${name}-${seed}`);
    this.#sessions = ['x', 'y', 'z'].map((session) => `${name}-${seed}-${session}`);
  }

  async play(stepsCount: number): Promise<string[]> {
    const { store, settle } = this.#ports;
    await settle(store.prepare());
    const streams = this.#sessions.map((session) => this.#openStream(session));
    await this.#ports.until(() => streams.every(({ opened }) => opened()));
    const lines: string[] = [];
    for (let count = 0; count < stepsCount; count += 1) lines.push(await this.#chance.pick(this.#operations)());
    await this.#ports.until(() => {
      const all = [...this.#granted].every((grant) => this.#facts.has(grant));
      const noted = [...this.#noted].every((note) => this.#told.has(note));
      return all && noted && [...this.#traced].every((trace) => this.#toldTraces.has(trace));
    });
    for (const { close } of streams) await close();
    return [
      ...lines,
      `facts ${[...this.#facts]
        .map((fact) => this.#show(fact))
        .sort()
        .join(' ')}`,
      `notes ${[...this.#told].sort().join(' ')}`,
      // What an event of another write tells depends on whether it comes as a replacement.
      `traces ${[...this.#traced].map((fact) => `${this.#showTraced(fact)} ${this.#toldTraces.has(fact)}`).join(' ')}`,
    ];
  }

  #openStream(session: string): { opened(): boolean; close(): Promise<void> } {
    let opened = false;
    const handle = this.#ports.feed.open({
      session,
      listener: {
        onFact: ({ key, grant, trace }) => {
          this.#facts.add(`${key}|${grant}`);
          if (trace !== undefined) this.#toldTraces.add(`${key}|${grant}|${trace}`);
        },
        onForced: ({ key, note }) => void this.#told.add(this.#showNote(key, note)),
        onOpened: () => {
          opened = true;
        },
        onInterrupted: () => {},
        onRefused: () => {},
      },
    });
    return { opened: () => opened, close: () => this.#ports.settle(handle.close()) };
  }

  // --- the operations ---------------------------------------------------------------------------------------------

  readonly #operations: readonly [Operation, ...Operation[]] = [
    () => this.#try(),
    () => this.#arrive(),
    () => this.#arrive(),
    () => this.#arriveAgain(),
    () => this.#handoff(),
    () => this.#handoff(),
    () => this.#vacate(),
    () => this.#vacate(),
    () => this.#rescue(),
    () => this.#readQueue(),
    () => this.#leave(),
    () => this.#clear(),
    () => this.#bury(),
    () => this.#readGrants(),
    () => this.#readTickets(),
    () => this.#readAwaited(),
    () => this.#open(),
    () => this.#renew(),
    () => this.#reap(),
    () => this.#reap(),
    () => this.#condemn(),
    () => this.#end(),
    () => this.#readSessions(),
  ];

  async #try(): Promise<string> {
    const request = { key: this.#key(), session: this.#session(), ticket: this.#ticket() };
    const lock = await this.#ports.settle(this.#ports.store.tryGrant(request));
    return this.#line('TRY', request, this.#see(lock));
  }

  async #arrive(): Promise<string> {
    const tickets = Array.from({ length: this.#chance.whole(1, 3) }, () => this.#ticket());
    const request = { key: this.#key(), session: this.#session(), tickets };
    this.#sent.push(request);
    await this.#ports.settle(this.#ports.store.arrive(request));
    return this.#line('ARRIVE', request, await this.#look(request.key));
  }

  async #arriveAgain(): Promise<string> {
    const request = this.#sent[this.#chance.whole(0, this.#sent.length - 1)];
    if (request === undefined) return 'nobody has arrived';
    await this.#ports.settle(this.#ports.store.arrive(request));
    return this.#line('ARRIVE again', request, await this.#look(request.key));
  }

  async #handoff(): Promise<string> {
    const key = this.#key();
    const standing = this.#grantOf(key);
    const run = await this.#nextRun(key);
    const { next, fence } = handoffTo(standing, this.#locks.get(key)?.fence ?? 0, run);
    const grant = this.#chance.hit(0.2) ? `${standing}9` : standing;
    const request = { key, grant, next, fence, ...this.#note(standing), ...this.#trace(standing) };
    const done = await this.#ports.settle(this.#ports.store.handoff(request));
    if (done && request.trace !== undefined) this.#traced.add(`${key}|${next}|${request.trace}`);
    return this.#line('HANDOFF', request, `${done} ${await this.#look(key)}`);
  }

  async #vacate(): Promise<string> {
    const key = this.#key();
    const lock = this.#locks.get(key);
    const grant = this.#chance.hit(0.15) ? `${this.#grantOf(key)}9` : this.#grantOf(key);
    const arrivals = Math.max(0, (lock?.arrivals ?? 0) - this.#chance.pick([0, 0, 1, 1, 2]));
    const standing = this.#grantOf(key);
    const notes = { ...this.#note(standing), ...this.#trace(standing) };
    const request = { key, grant, arrivals, withoutSessions: this.#someSessions(), ...notes };
    const after = await this.#ports.settle(this.#ports.store.vacate(request));
    const isPassedOn = typeof after?.grant === 'string' && after.grant !== grant;
    if (isPassedOn && request.trace !== undefined) this.#traced.add(`${key}|${after.grant}|${request.trace}`);
    return this.#line('VACATE', request, after === null ? 'null' : this.#see(after));
  }

  async #rescue(): Promise<string> {
    const key = this.#key();
    const known = this.#locks.get(key)?.fence ?? null;
    const fence = this.#chance.pick([known, known, null, known === null ? null : known + 1]);
    const request = { key, fence, ...(await this.#nextRun(key)) };
    const done = await this.#ports.settle(this.#ports.store.rescue(request));
    return this.#line('RESCUE', request, `${done} ${await this.#look(key)}`);
  }

  async #readQueue(): Promise<string> {
    const key = this.#key();
    const request = {
      key,
      withoutTickets: this.#someTicketIds(),
      withoutSessions: this.#someSessions(),
      limit: this.#chance.whole(1, 4),
      ...(this.#chance.hit(0.2) && { linearizable: true as const }),
    };
    const { lock, head, full } = await this.#ports.settle(this.#ports.store.readQueue(request));
    const line = `${lock === null ? 'absent' : this.#see(lock)} ${JSON.stringify(head)} ${full}`;
    return this.#line('PREFETCH', request, line);
  }

  async #leave(): Promise<string> {
    const request = { ids: this.#someTicketIds() };
    await this.#ports.settle(this.#ports.store.deleteTickets(request));
    return this.#line('LEAVE', request, await this.#look(this.#key()));
  }

  async #clear(): Promise<string> {
    const key = this.#key();
    const numbers = this.#someTicketIds().map((id) => Number(id.slice(id.indexOf('/') + 1)));
    const request = { session: this.#session(), arrivals: [{ key, numbers }] };
    await this.#ports.settle(this.#ports.store.clearArrivals(request));
    return this.#line('CLEAR', request, await this.#look(key));
  }

  async #bury(): Promise<string> {
    if (!this.#chance.hit(0.3)) return 'nobody is buried';
    const request = { session: this.#session() };
    await this.#ports.settle(this.#ports.store.deleteTicketsOf(request));
    return this.#line('BURY', request, await this.#look(this.#key()));
  }

  async #readGrants(): Promise<string> {
    const request = { session: this.#session() };
    const grants = await this.#ports.settle(this.#ports.store.readGrantsOf(request));
    const shown = grants.map(({ key, grant }) => this.#show(`${key}|${grant}`)).sort();
    return this.#line('AUDIT', request, shown.join(' '));
  }

  async #readTickets(): Promise<string> {
    const request = { session: this.#session() };
    const tickets = await this.#ports.settle(this.#ports.store.readTicketsOf(request));
    const shown = tickets.map(({ key, n }) => `${key}|${n}`).sort();
    return this.#line('TICKETS', request, shown.join(' '));
  }

  async #readAwaited(): Promise<string> {
    const request = { keys: [...this.#keys], ticketIds: this.#someTicketIds(), headLimit: 2 };
    const { locks, unreadable, tickets } = await this.#ports.settle(this.#ports.store.readAwaited(request));
    const shown = [...locks]
      .map(([key, { lock, head }]) => `${key}: ${this.#see(lock)} ${JSON.stringify(head)}`)
      .sort();
    return this.#line('PATROL', request, `${shown.join(', ')} ${unreadable} ${[...tickets].sort()}`);
  }

  async #open(): Promise<string> {
    const leaseMS = this.#leaseMS();
    const request = { session: this.#session(), leaseMS, host: 'here', pid: 7 };
    const answer = await this.#ports.settle(this.#ports.store.openSession(request));
    return this.#line('OPEN', request, await this.#seeSession(answer));
  }

  async #renew(): Promise<string> {
    const request = { session: this.#session(), leaseMS: this.#leaseMS() };
    const answer = await this.#ports.settle(this.#ports.store.renewSession(request));
    return this.#line('RENEW', request, answer === null ? 'null' : await this.#seeSession(answer));
  }

  async #reap(): Promise<string> {
    const session = this.#session();
    const beats = (this.#beats.get(session) ?? 0) + this.#chance.pick([0, 0, 1]);
    const byBeats = this.#chance.hit(0.5) && { unchangedBeats: beats };
    const clockSkewMS = this.#chance.pick([0, LONG_LEASE_MS]);
    const request = { session, clockSkewMS, leaseMS: this.#leaseMS(), ...byBeats };
    const answer = await this.#ports.settle(this.#ports.store.reapSession(request));
    return this.#line('REAP', request, await this.#seeSession(answer));
  }

  async #condemn(): Promise<string> {
    if (!this.#chance.hit(0.3)) return 'nobody is condemned';
    const request = { session: this.#session() };
    await this.#ports.settle(this.#ports.store.condemnSession(request));
    return this.#line('CONDEMN', request, await this.#lookAtSessions());
  }

  async #end(): Promise<string> {
    const request = { session: this.#session() };
    await this.#ports.settle(this.#ports.store.endSession(request));
    return this.#line('END', request, await this.#lookAtSessions());
  }

  async #readSessions(): Promise<string> {
    return this.#line('SESSIONS', {}, await this.#lookAtSessions());
  }

  // --- what is chosen ---------------------------------------------------------------------------------------------

  #key(): string {
    return this.#chance.pick(this.#keys as [string, ...string[]]);
  }

  #session(): string {
    return this.#chance.pick(this.#sessions as [string, ...string[]]);
  }

  #someSessions(): string[] {
    return this.#sessions.filter(() => this.#chance.hit(0.2));
  }

  #leaseMS(): number {
    return this.#chance.hit(0.5) ? LONG_LEASE_MS : SHORT_LEASE_MS;
  }

  #ticket(): TicketRef {
    this.#ticketsCount += 1;
    return { n: this.#ticketsCount, callers: this.#chance.whole(1, 3) };
  }

  #someTicketIds(): string[] {
    const all = this.#sent.flatMap(({ session, tickets }) => tickets.map(({ n }) => `${session}/${n}`));
    return all.filter(() => this.#chance.hit(0.2));
  }

  /** The stored grant as last seen, or one that nobody has. */
  #grantOf(key: string): string {
    return (
      this.#locks.get(key)?.grant ?? formatGrant({ session: this.#session(), firstToken: 1, tickets: [this.#ticket()] })
    );
  }

  /** Some releases are by force. No two notes are alike. */
  #note(standing: string): { forced?: string } {
    const grant = parseGrant(standing);
    if (grant === null || !this.#chance.hit(0.4)) return {};
    this.#notesCount += 1;
    const { session, firstToken: fencingToken } = grant;
    const about = { reason: `because "${this.#notesCount}"/{$x}`, by: 'conformance', call: String(this.#notesCount) };
    return { forced: formatForced({ session, fencingToken, ...about }) };
  }

  /** Some releases leave a trace: with the last token of the run, with another, or none that could be read. No two are alike. */
  #trace(standing: string): { trace?: string } {
    const grant = parseGrant(standing);
    if (grant === null || !this.#traceChance.hit(0.5)) return {};
    this.#tracesCount += 1;
    const number = this.#tracesCount.toString(16);
    const traceparent = `00-${number.padStart(32, '0')}-${number.padStart(16, '0')}-01`;
    const fencingToken = Math.max(grant.firstToken, lastToken(grant) - this.#traceChance.pick([0, 0, 1]));
    const malformed = `$grant ${number} {"$gt":""}`;
    return { trace: this.#traceChance.hit(0.2) ? malformed : formatTrace({ fencingToken, traceparent }) };
  }

  /** The head of the queue, or a ticket that nobody has. */
  async #nextRun(key: string): Promise<{ session: string; tickets: readonly TicketRef[] }> {
    const request = { key, withoutTickets: [], withoutSessions: [], limit: 5 };
    const { head } = await this.#ports.settle(this.#ports.store.readQueue(request));
    return headRun(head, RUN_MAX_COUNT) ?? { session: this.#session(), tickets: [this.#ticket()] };
  }

  // --- what is seen -----------------------------------------------------------------------------------------------

  /** What is stored of a key now. */
  async #look(key: string): Promise<string> {
    const request = { key, withoutTickets: [], withoutSessions: [], limit: 20 };
    const { lock, head } = await this.#ports.settle(this.#ports.store.readQueue(request));
    return `${lock === null ? 'absent' : this.#see(lock)} ${JSON.stringify(head)}`;
  }

  #see(lock: LockState): string {
    const { key, grant, fence, arrivals, firstArrival, born, forced, trace } = lock;
    this.#locks.set(key, lock);
    const all = this.#born.get(key) ?? [];
    if (!all.includes(born)) this.#born.set(key, [...all, born]);
    if (grant !== null) this.#granted.add(`${key}|${grant}`);
    const note = parseForced(forced);
    if (note !== null) this.#noted.add(this.#showNote(key, note));
    const ended = note === null ? String(forced) : this.#showNote(key, note);
    const shown = grant === null ? 'vacant' : this.#show(`${key}|${grant}`);
    const notes = `forced ${ended} trace ${this.#showTrace(key, trace)}`;
    return `${shown} fence ${this.#token(key, fence)} arrivals ${arrivals} first ${firstArrival} of ${this.#token(key, born)} ${notes}`;
  }

  /** A grant with its token counted from the first of its document. */
  #show(fact: string): string {
    const [key = '', text = ''] = fact.split('|');
    const grant = parseGrant(text);
    if (grant === null) return `${key}|${text}`;
    const { session, firstToken, tickets } = grant;
    const numbers = tickets.map(({ n, callers }) => `${n}:${callers}`).join();
    return `${key}|${session}/${this.#token(key, firstToken)}/${numbers} (${callersCount(tickets)})`;
  }

  #showNote(key: string, { session, fencingToken, reason, by }: ForcedNote): string {
    return `${key}|${session}/${this.#token(key, fencingToken)} by ${by}: ${reason}`;
  }

  #showTrace(key: string, trace: string | undefined): string {
    const note = parseTrace(trace);
    return note === null ? String(trace) : `${this.#token(key, note.fencingToken)}/${note.traceparent}`;
  }

  #showTraced(fact: string): string {
    const [key = '', grant, trace] = fact.split('|');
    return `${this.#show(`${key}|${grant}`)} ${this.#showTrace(key, trace)}`;
  }

  #token(key: string, token: number): string {
    const all = this.#born.get(key) ?? [];
    const generation = all.findLastIndex((born) => born <= token);
    return generation === -1 ? String(token) : `#${generation}+${token - (all[generation] ?? 0)}`;
  }

  async #lookAtSessions(): Promise<string> {
    const sessions = await this.#ports.settle(this.#ports.store.readSessions({ sessions: this.#sessions }));
    return [...sessions]
      .map((session) => this.#showSession(session))
      .sort()
      .join(', ');
  }

  /** A short lease has lapsed before anything else happens, so that what follows does not depend on the machine. */
  async #seeSession(answer: SessionState): Promise<string> {
    this.#beats.set(answer.session, answer.beats);
    for (let remainingMS = answer.remainingMS; remainingMS >= 0 && remainingMS <= SHORT_LEASE_MS; ) {
      const [now] = await this.#ports.settle(this.#ports.store.readSessions({ sessions: [answer.session] }));
      remainingMS = now?.remainingMS ?? -1;
    }
    const [now = answer] = await this.#ports.settle(this.#ports.store.readSessions({ sessions: [answer.session] }));
    return `${this.#showSession(answer)}, then ${this.#showSession(now)}`;
  }

  #showSession({ session, version, state, remainingMS, leaseMS, beats, host, pid }: SessionState): string {
    const left = remainingMS <= SHORT_LEASE_MS ? 'lapsing' : 'fresh';
    return `${session} v${version} ${state} ${left} lease ${leaseMS} beats ${beats} ${host}:${pid}`;
  }

  #line(name: string, request: object, answer: string): string {
    const shown = JSON.stringify(request, (field, value) => {
      const isGrant = (field === 'grant' || field === 'next') && typeof value === 'string';
      if (isGrant) return this.#show(`${(request as { key?: string }).key}|${value}`);
      const note = field === 'forced' ? parseForced(value) : null;
      if (note !== null) return this.#showNote((request as { key?: string }).key ?? '', note);
      if (field === 'trace') return this.#showTrace((request as { key?: string }).key ?? '', value);
      const isToken = field === 'fence' && typeof value === 'number';
      return isToken ? this.#token((request as { key?: string }).key ?? '', value) : value;
    });
    return `${name} ${shown} => ${answer}`;
  }
}
