/**
 * The connections of the live page's server. One on which the token has come stays; of all others the oldest is closed
 * when there are too many. So a stranger can neither fill the server nor keep the owner out, however many connections
 * they open. `server.ts` makes one.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/**
 * Connections on which no token has come yet. More than a listening socket queues up (511 in Node): connections that
 * are accepted together are then read before any of them is closed, the owner's among them.
 */
const STRANGERS_MAX = 1_024;
/** Connections on which the token has come: 32 windows with an event stream, and what each asks beside it. */
const OWNERS_MAX = 256;

/** See above. */
export class Connections {
  /** Oldest first. */
  readonly #strangers = new Set<Socket>();
  readonly #owners = new Set<Socket>();

  constructor(server: Server) {
    server.on('connection', (socket) => this.#add(socket));
  }

  /** The token has come on this connection. */
  trust(socket: Socket): void {
    if (this.#owners.size >= OWNERS_MAX || !this.#strangers.delete(socket)) return;
    this.#owners.add(socket);
  }

  #add(socket: Socket): void {
    this.#strangers.add(socket);
    socket.once('close', () => {
      this.#strangers.delete(socket);
      this.#owners.delete(socket);
    });
    const [oldest] = this.#strangers;
    if (this.#strangers.size > STRANGERS_MAX) oldest?.destroy();
  }
}
