/**
 * `LockStore` over MongoDB: sends the commands that `lock-commands`, `queue-commands` and `session-commands` build, and
 * reads what comes back. It decides nothing about locks and keeps no state but whether the server was checked. The
 * engine calls it by its port.
 */
import type {
  AwaitedLock,
  AwaitedView,
  LockStore,
  QueueRequest,
  QueueView,
  ReapRequest,
  SessionDraft,
  StandingGrant,
  StoredTicket,
} from '../ports.js';
import {
  DOCUMENT_VERSION,
  type LockState,
  readLock,
  readSession,
  readTicket,
  type SessionState,
  type TicketState,
} from '../protocol/documents.js';
import { isCount } from '../protocol/grant.js';
import { chunk } from '../protocol/transitions.js';
import type { CollectionNames, Command, RequestOf } from './commands.js';
import type { Connection, Reply } from './connection.js';
import * as locks from './lock-commands.js';
import type { Preparation } from './prepare.js';
import * as queue from './queue-commands.js';
import type { ServerClock } from './server-clock.js';
import * as sessions from './session-commands.js';
import { foreign, isDocument, lockOf, newer } from './stored.js';

/** The most keys, tickets or sessions one read asks for, so that the answer is one batch. */
const READ_PART_COUNT = 1_000;

/** The most documents one command changes. */
const WRITE_PART_COUNT = 1_000;

/** The commands, over one connection. */
export class MongoLockStore implements LockStore {
  readonly #connection: Connection;
  readonly #names: CollectionNames;
  readonly #preparation: Preparation;
  readonly #serverClock: ServerClock;

  constructor(
    connection: Connection,
    options: { names: CollectionNames; preparation: Preparation; serverClock: ServerClock },
  ) {
    this.#connection = connection;
    this.#names = options.names;
    this.#preparation = options.preparation;
    this.#serverClock = options.serverClock;
  }

  prepare(): Promise<void> {
    return this.#preparation.ensure();
  }

  async openSession(draft: SessionDraft): Promise<SessionState> {
    return this.#changeSession(sessions.openSessionCommand(this.#names.sessions, draft));
  }

  async renewSession(request: RequestOf<'renewSession'>): Promise<SessionState | null> {
    const command = sessions.renewSessionCommand(this.#names.sessions, request);
    const reply = await this.#serverClock.compare(() => this.#connection.write(command));
    return isDocument(reply.value) ? this.#sessionOf(reply.value) : null;
  }

  async reapSession(request: ReapRequest): Promise<SessionState> {
    return this.#changeSession(sessions.reapSessionCommand(this.#names.sessions, request));
  }

  async condemnSession(request: RequestOf<'condemnSession'>): Promise<void> {
    await this.#connection.write(sessions.condemnSessionCommand(this.#names.sessions, request));
  }

  async endSession(request: RequestOf<'endSession'>): Promise<void> {
    await this.#connection.write(sessions.endSessionCommand(this.#names.sessions, request));
  }

  async readSessions(request: RequestOf<'readSessions'>): Promise<readonly SessionState[]> {
    const documents = await this.#readInParts(request.sessions, (part) =>
      sessions.readSessionsCommand(this.#names.sessions, { sessions: part }),
    );
    return documents.map(readSession).filter((session) => session !== null);
  }

  async tryGrant(request: RequestOf<'tryGrant'>): Promise<LockState> {
    const reply = await this.#connection.write(locks.tryCommand(this.#names.locks, request));
    return lockOf(reply.value, this.#names.locks);
  }

  async arrive(request: RequestOf<'arrive'>): Promise<void> {
    const { key, session, tickets } = request;
    const [first, ...others] = tickets;
    if (first === undefined) return;
    await this.#connection.write(queue.arriveCommand(this.#names.locks, { key, session, tickets: [first, ...others] }));
  }

  async readQueue(request: QueueRequest): Promise<QueueView> {
    const command = queue.readQueueCommand(this.#names.locks, request);
    const { documents } = await this.#connection.read(command, request.linearizable ? 'linearizable' : 'majority');
    const [first, ...others] = documents;
    const found = first !== undefined && isDocument(first.lock);
    const tickets = found ? others : documents;
    return {
      lock: found ? lockOf(first.lock, this.#names.locks) : null,
      head: tickets.map(readTicket).filter((ticket) => ticket !== null),
      full: tickets.length >= request.limit,
    };
  }

  async handoff(request: RequestOf<'handoff'>): Promise<boolean> {
    return matchedOne(await this.#connection.write(locks.handoffCommand(this.#names.locks, request)));
  }

  async vacate(request: RequestOf<'vacate'>): Promise<LockState | null> {
    const reply = await this.#connection.write(locks.vacateCommand(this.#names.locks, request));
    return isDocument(reply.value) ? lockOf(reply.value, this.#names.locks) : null;
  }

  async rescue(request: RequestOf<'rescue'>): Promise<boolean> {
    const { fence } = request;
    if (fence === null) return this.#connection.insert(locks.rescueAbsentCommand(this.#names.locks, request));
    return matchedOne(
      await this.#connection.write(locks.rescueVacantCommand(this.#names.locks, { ...request, fence })),
    );
  }

  async clearArrivals({ session, arrivals }: RequestOf<'clearArrivals'>): Promise<void> {
    for (const part of chunk(arrivals, WRITE_PART_COUNT)) {
      await this.#connection.write(locks.clearArrivalsCommand(this.#names.locks, { session, arrivals: part }));
    }
  }

  async deleteTickets(request: RequestOf<'deleteTickets'>): Promise<void> {
    if (request.ids.length === 0) return;
    await this.#connection.write(queue.deleteTicketsCommand(this.#names.locks, request));
  }

  async deleteTicketsOf(request: RequestOf<'deleteTicketsOf'>): Promise<void> {
    await this.#connection.write(queue.deleteTicketsOfCommand(this.#names.locks, request));
  }

  async readGrantsOf(request: RequestOf<'readGrantsOf'>): Promise<readonly StandingGrant[]> {
    const grants: StandingGrant[] = [];
    for (let after: string | null = null; ; ) {
      const { documents, more } = await this.#connection.read(
        queue.readGrantsCommand(this.#names.locks, { ...request, after }),
      );
      for (const { _id: key, grant } of documents) {
        if (typeof key === 'string' && typeof grant === 'string') grants.push({ key, grant });
      }
      const last = documents.at(-1);
      if (!more || last === undefined) return grants;
      after = String(last.grant);
    }
  }

  async readTicketsOf(request: RequestOf<'readTicketsOf'>): Promise<readonly StoredTicket[]> {
    const tickets: StoredTicket[] = [];
    for (let after: string | null = null; ; ) {
      const { documents, more } = await this.#connection.read(
        queue.readTicketsCommand(this.#names.locks, { ...request, after }),
      );
      for (const { key, n } of documents) if (typeof key === 'string' && isCount(n)) tickets.push({ key, n });
      const last = documents.at(-1);
      if (!more || last === undefined) return tickets;
      after = String(last._id);
    }
  }

  async readAwaited(request: RequestOf<'readAwaited'>): Promise<AwaitedView> {
    const { keys, ticketIds, headLimit } = request;
    const items = [...keys.map((key) => ({ key })), ...ticketIds.map((ticketId) => ({ ticketId }))];
    const documents = await this.#readInParts(items, (part) =>
      queue.readAwaitedCommand(this.#names.locks, {
        keys: part.flatMap((item) => ('key' in item ? [item.key] : [])),
        ticketIds: part.flatMap((item) => ('ticketId' in item ? [item.ticketId] : [])),
        headLimit,
      }),
    );
    return awaitedViewOf(documents);
  }

  close(): Promise<void> {
    return this.#connection.close();
  }

  async #changeSession(command: Command): Promise<SessionState> {
    const reply = await this.#serverClock.compare(() => this.#connection.write(command));
    return this.#sessionOf(reply.value);
  }

  /** One command for each part; a part whose answer does not fit into one batch is read in halves. */
  async #readInParts<Item>(items: readonly Item[], command: (part: readonly Item[]) => Command): Promise<Reply[]> {
    if (items.length > READ_PART_COUNT) return this.#readHalves(items, command);
    if (items.length === 0) return [];
    const { documents, more } = await this.#connection.read(command(items));
    return more && items.length > 1 ? this.#readHalves(items, command) : [...documents];
  }

  async #readHalves<Item>(items: readonly Item[], command: (part: readonly Item[]) => Command): Promise<Reply[]> {
    const middle = Math.ceil(items.length / 2);
    const head = await this.#readInParts(items.slice(0, middle), command);
    return [...head, ...(await this.#readInParts(items.slice(middle), command))];
  }

  #sessionOf(raw: unknown): SessionState {
    const session = isDocument(raw) ? readSession(raw) : null;
    if (session === null) throw foreign(raw, this.#names.sessions);
    if (session.version > DOCUMENT_VERSION) throw newer(this.#names.sessions);
    return session;
  }
}

function awaitedViewOf(documents: readonly Reply[]): AwaitedView {
  const found = new Map<string, AwaitedLock>();
  const unreadable: string[] = [];
  const tickets = new Set<string>();
  for (const { _id, lock: raw, head } of documents) {
    if (typeof _id === 'string') tickets.add(_id);
    if (!isDocument(raw)) continue;
    const lock = readLock(raw);
    if (lock === null || lock.version > DOCUMENT_VERSION) unreadable.push(String(raw._id));
    else found.set(lock.key, { lock, head: ticketsOf(head) });
  }
  return { locks: found, unreadable, tickets };
}

function ticketsOf(head: unknown): TicketState[] {
  if (!Array.isArray(head)) return [];
  return head.map(readTicket).filter((ticket) => ticket !== null);
}

function matchedOne(reply: Reply): boolean {
  return reply.n === 1;
}
