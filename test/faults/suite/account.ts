/**
 * What the members of the set have open for the processes of a run, by the servers' own account: cursors on the locks, and
 * connections. `looks.ts` compares it with what the processes that are alive may have. Reads, and ends nothing.
 */
import type { Document } from 'mongodb';
import type { Cluster, Member } from './cluster.js';
import type { History } from './history.js';
import { DB_NAME } from './stage.js';

export interface OpenCursor {
  /** The process; `UNKNOWN` where it cannot be told. */
  readonly owner: string;
  /** Whether somebody still reads it. */
  readonly read: boolean;
  /** When it was used last: wall clock, as the server has it. */
  readonly usedAt: number;
}

export interface Account {
  /** On the locks, of all members. */
  readonly cursors: readonly OpenCursor[];
  /** By process, to the member to which it has most; those that watch the member are among them. */
  readonly connections: ReadonlyMap<string, number>;
  /** `metrics.cursor.open.total` of all members together: replication and the harness have some too. */
  readonly allCursorsCount: number;
}

const UNKNOWN = 'unknown';
const LOCKS = `${DB_NAME}.dlocks`;
const EVERYTHING = { $currentOp: { idleCursors: true, idleConnections: true, allUsers: true } };
/** Three pulses of a stream: whoever reads a cursor has asked for more within them. */
const READ_WITHIN_MS = 3_000;

export async function accountOf(cluster: Cluster, history: History): Promise<Account> {
  const accounts = await Promise.all(cluster.members.map((member) => accountAt(member, history)));
  const connections = new Map<string, number>();
  for (const [owner, count] of accounts.flatMap((account) => [...account.connections]))
    connections.set(owner, Math.max(count, connections.get(owner) ?? 0));
  return {
    cursors: accounts.flatMap(({ cursors }) => cursors),
    connections,
    allCursorsCount: accounts.reduce((total, { allCursorsCount }) => total + allCursorsCount, 0),
  };
}

async function accountAt(member: Member, { processOf }: History): Promise<Account> {
  const found = await member.client.db('admin').aggregate([EVERYTHING]).toArray();
  const { metrics } = await member.command({ serverStatus: 1 });
  const cursors = new Map<string, OpenCursor>();
  const connections = new Map<string, Set<unknown>>();
  const names = new Set(processOf.values());
  for (const operation of found) {
    const { ns, cursor, appName, connectionId } = operation;
    if (ns === LOCKS && cursor?.cursorId !== undefined)
      cursors.set(String(cursor.cursorId), cursorIn(operation, processOf));
    if (names.has(appName) && connectionId !== undefined)
      connections.set(appName, (connections.get(appName) ?? new Set()).add(connectionId));
  }
  return {
    cursors: [...cursors.values()],
    connections: new Map([...connections].map(([name, ids]) => [name, ids.size])),
    allCursorsCount: Number(metrics.cursor.open.total),
  };
}

/** An idle cursor does not say whose it is, but the command that opened it names a lock session. */
function cursorIn({ cursor, type }: Document, processOf: ReadonlyMap<string, string>): OpenCursor {
  const usedAt = Number(cursor.lastAccessDate);
  const read = type === 'op' || Date.now() - usedAt <= READ_WITHIN_MS;
  return { owner: processOf.get(sessionIn(cursor.originatingCommand)) ?? UNKNOWN, read, usedAt };
}

/** As the stream's own filter has it: grants from `<session>/` on. */
function sessionIn(command: unknown): string {
  return /"\$gte":"([^"/]+)\/"/.exec(JSON.stringify(command ?? {}))?.[1] ?? '';
}
