/**
 * The grant: the one string field of a lock document that says who holds it, and that the change stream delivers. Pure
 * text work; the engine and the store both call it. What a grant means is decided in `transitions.ts`.
 */

/** One ticket inside a grant, an arrival or a queue: its number in its session, and how many callers share it. */
export interface TicketRef {
  /** The number the session gave it, from 1; never reused. */
  readonly n: number;
  /** How many callers share it, from 1; frozen when it is first sent. */
  readonly callers: number;
}

/** A run: consecutive tickets of one session that hold a lock together, one caller after the other. */
export interface Grant {
  readonly session: string;
  /** The fencing token of the first caller; the others count up from it. */
  readonly firstToken: number;
  /** At least one. */
  readonly tickets: readonly TicketRef[];
}

/**
 * The largest token and count that is taken for one of ours: from there on nobody could count exactly. First tokens reach
 * it in the year 2255.
 */
export const COUNT_MAX = 9_000_000_000_000_000;
/** The largest fence, and count of arrivals, that is counted on from: with room for the runs that may follow before anybody looks again. */
export const FENCE_MAX: number = COUNT_MAX - 10 ** 12;
/** How many callers one ticket can have, as far as a grant can say. */
export const CALLERS_MAX = 999_999_999;

const TICKET = /^([1-9][0-9]{0,15}):([1-9][0-9]{0,8})$/;
const TOKEN = /^[1-9][0-9]{0,15}$/;
/** What a session id may look like: never `/`, `,` or `:`, so that it can be told apart inside a grant. */
const SESSION = /^[A-Za-z0-9_-]{1,64}$/;

/** Whether a value can be a stored count, or token. */
export function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= COUNT_MAX;
}

/** Whether a text can be the id of a session. */
export function isSessionId(text: unknown): text is string {
  return typeof text === 'string' && SESSION.test(text);
}

/** The stored form of one ticket inside a grant: `<n>:<callers>`. */
export function formatTicket(ticket: TicketRef): string {
  return `${ticket.n}:${ticket.callers}`;
}

/** The stored form: `<session>/<first token>/<n>:<callers>,…`. */
export function formatGrant(grant: Grant): string {
  return `${grant.session}/${grant.firstToken}/${grant.tickets.map(formatTicket).join(',')}`;
}

/** Reads a stored grant; null where the text is none (another tool wrote it). */
export function parseGrant(text: unknown): Grant | null {
  if (typeof text !== 'string') return null;
  const [session, token, list, ...rest] = text.split('/');
  if (rest.length > 0 || list === undefined || token === undefined) return null;
  if (!isSessionId(session) || !TOKEN.test(token)) return null;
  const tickets = parseTickets(list);
  if (tickets === null) return null;
  const grant = { session, firstToken: Number(token), tickets };
  return lastToken(grant) <= COUNT_MAX ? grant : null;
}

function parseTickets(list: string): TicketRef[] | null {
  const tickets: TicketRef[] = [];
  for (const part of list.split(',')) {
    const match = TICKET.exec(part);
    const n = Number(match?.[1]);
    if (match === null || n > COUNT_MAX) return null;
    tickets.push({ n, callers: Number(match[2]) });
  }
  return tickets;
}

/** How many callers a run serves. */
export function callersCount(tickets: readonly TicketRef[]): number {
  return tickets.reduce((sum, ticket) => sum + ticket.callers, 0);
}

/** The last fencing token of a grant; equals the lock document's `fence` when that grant is written. */
export function lastToken(grant: Grant): number {
  return grant.firstToken + callersCount(grant.tickets) - 1;
}

/** The `_id` of a ticket document. */
export function ticketId(session: string, n: number): string {
  return `${session}/${n}`;
}
