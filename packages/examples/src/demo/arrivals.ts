/**
 * Tells when the server has acknowledged a caller's arrival in the queue: from then on nobody who calls later may come
 * before it. The library does not say so, because nobody needs to know; here it is read off the driver's command events.
 * For one lock of one client, over a MongoClient with `monitorCommands`. A contender calls it.
 */
import type { LockClient } from 'mongo-distributed-locks';
import type { CommandFailedEvent, CommandStartedEvent, CommandSucceededEvent, MongoClient } from 'mongodb';

export interface ArrivalWatch {
  readonly client: MongoClient;
  readonly locks: LockClient;
  readonly collectionName: string;
  /** Called with the `label` of each call, once, when its arrival is acknowledged. */
  readonly onArrived: (label: string) => void;
}

/** Watches until the two clients are gone. An arrival it cannot be sure of is never reported. */
export function watchArrivals({ client, locks, collectionName, onArrived }: ArrivalWatch): void {
  /** Callers whose arrival is about to be sent: the event comes right before the command. */
  let announced: string[] = [];
  const sent = new Map<number, string[]>();

  locks.on('waiting', ({ label }) => {
    if (label !== undefined) announced.push(label);
  });
  locks.on('session:lost', () => {
    announced = [];
    sent.clear();
  });
  client.on('commandStarted', ({ requestId, command }: CommandStartedEvent) => {
    if (!isArrival(command, collectionName)) return;
    sent.set(requestId, announced);
    announced = [];
  });
  client.on('commandSucceeded', ({ requestId, reply }: CommandSucceededEvent) => {
    const callers = sent.get(requestId) ?? [];
    sent.delete(requestId);
    if (isAcknowledged(reply)) for (const caller of callers) onArrived(caller);
  });
  client.on('commandFailed', ({ requestId }: CommandFailedEvent) => sent.delete(requestId));
}

/** No other command of the library has several statements: the tickets, and the mark on the lock document. */
function isArrival(command: Readonly<Record<string, unknown>>, collectionName: string): boolean {
  return command.update === collectionName && Array.isArray(command.updates) && command.updates.length > 1;
}

function isAcknowledged(reply: unknown): boolean {
  const { ok, writeErrors, writeConcernError } = reply as Readonly<Record<string, unknown>>;
  return ok === 1 && writeErrors === undefined && writeConcernError === undefined;
}
