/**
 * What a MongoClient sends, by the driver's own command monitoring. What belongs to the change stream (its cursor) is told apart from the rest,
 * because a stream asks for more all the time whatever happens. Used by tests that count.
 */
import type { CommandStartedEvent, MongoClient } from 'mongodb';

/** One command as it was sent. */
export interface SentCommand {
  readonly name: string;
  readonly database: string;
  /** The collection; empty for commands without one. */
  readonly collection: string;
  readonly command: Readonly<Record<string, unknown>>;
}

/** The commands of one client, oldest first. */
export class CommandLog {
  readonly #all: SentCommand[] = [];

  /** `client` must have been made with `monitorCommands: true`. */
  constructor(client: MongoClient) {
    client.on('commandStarted', (event) => this.#all.push(sentCommand(event)));
  }

  /** Everything sent so far. */
  get all(): readonly SentCommand[] {
    return this.#all;
  }

  /** Everything sent so far but what the change stream's cursor needs, and the good-bye of a closing client. */
  get sent(): readonly SentCommand[] {
    return this.#all.filter((command) => !ofStream(command) && command.name !== 'endSessions');
  }

  /** The names of `sent`, with the collection's suffix where it is not the one of the locks: `update`, `findAndModify.sessions`. */
  get names(): readonly string[] {
    return this.sent.map(({ name, collection }) => (collection.endsWith('.sessions') ? `${name}.sessions` : name));
  }

  /** Forgets what was sent. */
  clear(): void {
    this.#all.length = 0;
  }
}

function sentCommand({ commandName, databaseName, command }: CommandStartedEvent): SentCommand {
  const given: Record<string, unknown> = command;
  const collection = commandName === 'getMore' ? given.collection : given[commandName];
  return {
    name: commandName,
    database: databaseName,
    collection: typeof collection === 'string' ? collection : '',
    command: { ...given },
  };
}

function ofStream({ name, command }: SentCommand): boolean {
  if (name === 'getMore' || name === 'killCursors') return true;
  const stages = Array.isArray(command.pipeline) ? (command.pipeline as Record<string, unknown>[]) : [];
  return stages[0]?.$changeStream !== undefined;
}
