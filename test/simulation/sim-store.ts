/**
 * The simulated `LockStore` of one process: each method is one command over its link. What a command does is in
 * `commands.ts`, what happens on the way in `link.ts`.
 */
import type {
  AwaitedView,
  LockStore,
  QueueRequest,
  QueueView,
  ReapRequest,
  SessionDraft,
  StandingGrant,
  StoredTicket,
} from '#core/ports.js';
import type { LockState, SessionState } from '#core/protocol/documents.js';
import type { Commands } from './commands.js';
import type { Link } from './link.js';
import type { Program, Snapshot } from './replica-set.js';

type Of<M extends keyof LockStore> = Parameters<LockStore[M]>[0];

export class SimStore implements LockStore {
  readonly #link: Link;
  readonly #commands: Commands;
  /** Whether it was prepared since it was last closed. */
  connected = false;

  constructor(link: Link, commands: Commands) {
    this.#link = link;
    this.#commands = commands;
  }

  prepare(): Promise<void> {
    this.connected = true;
    return this.#link.send({ name: 'PREPARE', kind: 'read', request: null, program: function* () {}, patient: true });
  }

  openSession(draft: SessionDraft): Promise<SessionState> {
    const program = (): Program<SessionState> => this.#commands.openSession(draft);
    return this.#link.send({ name: 'OPEN', kind: 'write', request: draft, program, patient: true });
  }

  renewSession(request: Of<'renewSession'>): Promise<SessionState | null> {
    return this.#write('RENEW', request, () => this.#commands.renewSession(request));
  }

  reapSession(request: ReapRequest): Promise<SessionState> {
    return this.#write('REAP', request, () => this.#commands.reapSession(request));
  }

  condemnSession(request: Of<'condemnSession'>): Promise<void> {
    return this.#write('CONDEMN', request, () => this.#commands.condemnSession(request));
  }

  endSession(request: Of<'endSession'>): Promise<void> {
    return this.#write('END', request, () => this.#commands.endSession(request));
  }

  readSessions(request: Of<'readSessions'>): Promise<readonly SessionState[]> {
    return this.#read('SESSIONS', request, (seen) => this.#commands.readSessions(request, seen));
  }

  tryGrant(request: Of<'tryGrant'>): Promise<LockState> {
    return this.#write('TRY', request, () => this.#commands.tryGrant(request));
  }

  arrive(request: Of<'arrive'>): Promise<void> {
    return this.#write('ARRIVE', request, () => this.#commands.arrive(request));
  }

  readQueue(request: QueueRequest): Promise<QueueView> {
    const program = (seen: Snapshot): Program<QueueView> => this.#commands.readQueue(request, seen);
    if (request.linearizable) return this.#link.send({ name: 'LOOK', kind: 'linearizable', request, program });
    return this.#read('PREFETCH', request, program);
  }

  handoff(request: Of<'handoff'>): Promise<boolean> {
    return this.#write('HANDOFF', request, () => this.#commands.handoff(request));
  }

  vacate(request: Of<'vacate'>): Promise<LockState | null> {
    return this.#write('VACATE', request, () => this.#commands.vacate(request));
  }

  rescue(request: Of<'rescue'>): Promise<boolean> {
    return this.#write('RESCUE', request, () => this.#commands.rescue(request));
  }

  clearArrivals(request: Of<'clearArrivals'>): Promise<void> {
    return this.#write('CLEAR', request, () => this.#commands.clearArrivals(request));
  }

  deleteTickets(request: Of<'deleteTickets'>): Promise<void> {
    return this.#write('LEAVE', request, () => this.#commands.deleteTickets(request));
  }

  deleteTicketsOf(request: Of<'deleteTicketsOf'>): Promise<void> {
    return this.#write('BURY', request, () => this.#commands.deleteTicketsOf(request));
  }

  readGrantsOf(request: Of<'readGrantsOf'>): Promise<readonly StandingGrant[]> {
    return this.#read('AUDIT', request, (seen) => this.#commands.readGrantsOf(request, seen));
  }

  readTicketsOf(request: Of<'readTicketsOf'>): Promise<readonly StoredTicket[]> {
    return this.#read('TICKETS', request, (seen) => this.#commands.readTicketsOf(request, seen));
  }

  readAwaited(request: Of<'readAwaited'>): Promise<AwaitedView> {
    return this.#read('PATROL', request, (seen) => this.#commands.readAwaited(request, seen));
  }

  close(): Promise<void> {
    this.connected = false;
    return Promise.resolve();
  }

  #read<T>(name: string, request: unknown, program: (seen: Snapshot) => Program<T>): Promise<T> {
    return this.#link.send({ name, kind: 'read', request, program });
  }

  #write<T>(name: string, request: unknown, program: () => Program<T>): Promise<T> {
    return this.#link.send({ name, kind: 'write', request, program });
  }
}
