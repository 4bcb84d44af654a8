/** `dlocks ui`: the live page of all locks of one database, served until a signal ends it. */
import { hostname, userInfo } from 'node:os';
import type { Command } from 'commander';
import { addConnectionOptions, type Connection, type ConnectionFlags } from '../connection.js';
import { act, type Context, connected, interruptible } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { wholeNumber } from '../numbers.js';
import { notice } from '../terminal.js';
import { Board } from './board.js';
import { isLoopback } from './guard.js';
import { PageServer } from './server.js';

interface UiFlags extends ConnectionFlags {
  readonly port?: string;
  readonly host?: string;
  readonly allowHost?: readonly string[];
  readonly by?: string;
}

const HOST_DEFAULT = '127.0.0.1';
const PORT = { least: 0, most: 65_535 };
const PORT_DEFAULT = 7_583;

/** Adds the command. */
export function addUiCommand(program: Command, context: Context): void {
  const command = program
    .command('ui')
    .summary('serve a live page of the locks')
    .description(
      'Serves a live page: who holds what, the queues in order, and how long; holds can be ended by force there. Prints the address to open, whose token lets its bearer do all that.',
    )
    .option('--port <number>', `port to listen on, 0 for any that is free; default: ${PORT_DEFAULT}`)
    .option('--host <address>', `address to listen on; default: ${HOST_DEFAULT}, this machine alone`)
    .option('--allow-host <name...>', 'further names that browsers may call this server by')
    .option('--by <text>', 'who releases by force here, for the record; default: user and host');
  addConnectionOptions(command);
  act<UiFlags>(command, context, (flags) => ui(context, flags));
}

async function ui(context: Context, flags: UiFlags): Promise<number> {
  const port = flags.port === undefined ? PORT_DEFAULT : wholeNumber('--port', flags.port, PORT);
  return connected(context, flags, async (connection) => {
    const { db, collectionName } = connection;
    const board = new Board({ db, collectionName });
    try {
      await interruptible(context, connection.connect());
      await interruptible(context, board.open());
      return await serve(context, flags, { connection, board, port });
    } finally {
      await board.close();
    }
  });
}

interface Served {
  readonly connection: Connection;
  readonly board: Board;
  readonly port: number;
}

/** Until a signal asks for an end, which is how this command ends well. */
async function serve(context: Context, flags: UiFlags, { connection, board, port }: Served): Promise<number> {
  const { db, collectionName, locks } = connection;
  const { host = HOST_DEFAULT, allowHost: allowedHosts = [], by = whoever() } = flags;
  const server = new PageServer({
    board,
    introduction: { database: db.databaseName, collection: collectionName, by },
    host,
    port,
    allowedHosts,
    forceRelease: (request) => locks.forceRelease({ ...request, by }),
  });
  try {
    announce(context, flags, { url: await server.listen(), host });
    await ended(context.signals.interrupted);
    return EXIT.OK;
  } finally {
    await server.close();
  }
}

function announce({ terminal }: Context, { json }: UiFlags, { url, host }: { url: string; host: string }): void {
  if (json) terminal.out.json({ url });
  else terminal.out.line(url);
  if (isLoopback(host)) return;
  const warning = `listening on ${host}: who has the address above, or reads it on its way (there is no TLS), may end holds.`;
  notice(terminal, warning, { json, event: 'warning' });
}

/** Who is at the keyboard, as far as the system knows. */
function whoever(): string {
  const host = hostname();
  try {
    return `${userInfo().username}@${host}`;
  } catch {
    return host; // a user without a name, as in containers
  }
}

function ended(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
