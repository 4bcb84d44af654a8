/**
 * Reads who holds the lock and who waits for it, as it stands in the database: what an operator would look at. It only
 * reads, with majority concern, and nobody's lock depends on it.
 */
import type { Collection, Db } from 'mongodb';
import { KEY } from './settings.js';

/** A place in the queue: callers of one process that came together. */
export interface Place {
  readonly process: string;
  readonly callersCount: number;
}

export interface QueueView {
  /** null: nobody holds the lock. */
  readonly holder: (Place & { readonly token: string }) | null;
  /** The longest waiting first. */
  readonly queue: readonly Place[];
}

export const EMPTY_VIEW: QueueView = { holder: null, queue: [] };

interface LockOrTicket {
  readonly _id: string;
  readonly grant?: string | null;
  readonly session?: string;
  readonly callers?: number;
}

interface LockSession {
  readonly _id: string;
  readonly state: 'alive' | 'dead';
  readonly label?: string;
}

export class QueueReader {
  readonly #documents: Collection<LockOrTicket>;
  readonly #sessions: Collection<LockSession>;
  readonly #names = new Map<string, string>();

  constructor(db: Db) {
    const options = { readConcern: { level: 'majority' }, readPreference: 'primary' } as const;
    this.#documents = db.collection('dlocks', options);
    this.#sessions = db.collection('dlocks.sessions', options);
  }

  /** The lock and its queue; the two reads may be a moment apart. */
  async read(): Promise<QueueView> {
    const tickets = await this.tickets();
    const lock = await this.#documents.findOne({ _id: KEY });
    const [session = '', token = '', list = ''] = lock?.grant?.split('/') ?? [];
    const granted = new Map(
      list.split(',').map((entry) => [`${session}/${entry.split(':')[0]}`, Number(entry.split(':')[1])]),
    );
    const callersCount = [...granted.values()].reduce((sum, count) => sum + count, 0);
    await this.#learnNames([session, ...tickets.map((ticket) => ticket.session ?? '')]);
    const waiting = tickets.filter(({ _id }) => !granted.has(_id));
    return {
      holder: lock?.grant ? { process: this.#nameOf(session), callersCount, token } : null,
      queue: waiting.map(({ session: of = '', callers = 1 }) => ({ process: this.#nameOf(of), callersCount: callers })),
    };
  }

  /** All tickets, in the order of the queue; those of the holder may be among them until they are deleted. */
  tickets(): Promise<LockOrTicket[]> {
    return this.#documents.find({ key: KEY }).sort({ at: 1, session: 1, n: 1 }).toArray();
  }

  /** What should not be there once all have gone: tickets, a grant, a session that is alive. */
  async leftovers(): Promise<string[]> {
    const tickets = await this.tickets();
    const lock = await this.#documents.findOne({ _id: KEY });
    const sessions = await this.#sessions.find({ state: 'alive' }).toArray();
    return [
      ...tickets.map(({ _id }) => `ticket ${_id}`),
      ...(lock?.grant ? [`grant ${lock.grant}`] : []),
      ...sessions.map(({ _id, label }) => `session ${_id} of ${label}`),
    ];
  }

  async #learnNames(sessions: readonly string[]): Promise<void> {
    const unknown = sessions.filter((session) => session !== '' && !this.#names.has(session));
    if (unknown.length === 0) return;
    for (const { _id, label } of await this.#sessions.find({ _id: { $in: unknown } }).toArray()) {
      if (label !== undefined) this.#names.set(_id, label);
    }
  }

  #nameOf(session: string): string {
    return this.#names.get(session) ?? session;
  }
}
