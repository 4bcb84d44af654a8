/**
 * What every command of the store carries: a limit of time far below the age at which the server removes idle documents,
 * so that a command sent long ago cannot act on a document made anew (INV-02); and the concern without which what it answers
 * could be taken back. The answers of a server look the same without either. And that nothing of a trace is sent where there is none.
 */
import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import {
  clearArrivalsCommand,
  handoffCommand,
  rescueAbsentCommand,
  rescueVacantCommand,
  tryCommand,
  vacateCommand,
} from '#core/mongo/lock-commands.js';
import {
  arriveCommand,
  deleteTicketsCommand,
  deleteTicketsOfCommand,
  readAwaitedCommand,
  readGrantsCommand,
  readQueueCommand,
} from '#core/mongo/queue-commands.js';
import {
  condemnSessionCommand,
  endSessionCommand,
  openSessionCommand,
  readSessionsCommand,
  reapSessionCommand,
  renewSessionCommand,
} from '#core/mongo/session-commands.js';

const session = 's';
const key = 'lock:r/i';
const ticket = { n: 1, callers: 1 };
const grant = 's/1/1:1';
const leaseMS = 1_000;

/** The shortest age at which anything is removed. */
const TTL_MIN_MS = 3_600_000;

const WRITES = {
  TRY: tryCommand('c', { key, session, ticket }),
  ARRIVE: arriveCommand('c', { key, session, tickets: [ticket] }),
  HANDOFF: handoffCommand('c', { key, grant, next: 't/2/1:1', fence: 2 }),
  VACATE: vacateCommand('c', { key, grant, arrivals: 0, withoutSessions: [] }),
  'RESCUE of a vacant lock': rescueVacantCommand('c', { key, fence: 1, session, tickets: [ticket] }),
  'RESCUE of an absent lock': rescueAbsentCommand('c', { key, fence: null, session, tickets: [ticket] }),
  CLEAR: clearArrivalsCommand('c', { session, arrivals: [{ key, numbers: [1] }] }),
  LEAVE: deleteTicketsCommand('c', { ids: ['s/1'] }),
  BURY: deleteTicketsOfCommand('c', { session }),
  OPEN: openSessionCommand('c', { session, leaseMS, host: 'h', pid: 1 }),
  RENEW: renewSessionCommand('c', { session, leaseMS }),
  REAP: reapSessionCommand('c', { session, clockSkewMS: 0, leaseMS }),
  CONDEMN: condemnSessionCommand('c', { session }),
  END: endSessionCommand('c', { session }),
};

const READS = {
  PREFETCH: readQueueCommand('c', { key, withoutTickets: [], withoutSessions: [], limit: 1 }),
  PATROL: readAwaitedCommand('c', { keys: [key], ticketIds: [], headLimit: 1 }),
  AUDIT: readGrantsCommand('c', { session, after: null }),
  SESSIONS: readSessionsCommand('c', { sessions: [session] }),
};

describe('every write', () => {
  it.each(Object.entries(WRITES))('%s waits for a majority, and not for ever', (_, command) => {
    expect(command.writeConcern).toEqual({ w: 'majority', j: true });
    expect(command.maxTimeMS).toBeGreaterThan(0);
    expect(command.maxTimeMS).toBeLessThanOrEqual(TTL_MIN_MS / 60);
  });
});

describe('the trace of a release', () => {
  const trace = '$fence';
  const withTrace = {
    HANDOFF: handoffCommand('c', { key, grant, next: 't/2/1:1', fence: 2, trace }),
    VACATE: vacateCommand('c', { key, grant, arrivals: 0, withoutSessions: [], trace }),
  };
  const text = (command: object): string =>
    inspect(command, { depth: Number.POSITIVE_INFINITY, breakLength: Number.POSITIVE_INFINITY, compact: true });

  it('is a value in HANDOFF and in both outcomes of VACATE', () => {
    expect(withTrace.HANDOFF).toMatchObject({ updates: [{ u: { $set: { trace } } }] });
    expect(text(withTrace.VACATE).match(/trace: \{ '\$literal': '\$fence' \}/g)).toHaveLength(2);
    expect(text(withTrace.VACATE).match(/trace/g)).toHaveLength(2);
  });

  it.each(Object.entries(WRITES))('is nowhere in %s where there is none', (_, command) => {
    expect(text(command)).not.toContain('trace');
  });

  it('is all that differs', () => {
    expect(text(withTrace.HANDOFF).replace(/,\s*trace: '\$fence'/, '')).toBe(text(WRITES.HANDOFF));
    expect(text(withTrace.VACATE).replaceAll(/,\s*trace: \{ '\$literal': '\$fence' \}/g, '')).toBe(text(WRITES.VACATE));
  });
});

describe('every read', () => {
  it.each(Object.entries(READS))('%s does not take for ever', (_, command) => {
    expect(command.maxTimeMS).toBeGreaterThan(0);
  });
});
