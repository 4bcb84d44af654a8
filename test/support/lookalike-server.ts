/**
 * A server that speaks the wire protocol and answers `hello` and `buildInfo` as it is told, and everything else with "no such command": for
 * tests of servers that only look like MongoDB, or are too old. It answers OP_MSG only, so its clients must set `serverApi`.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { BSON } from 'mongodb';

const OP_MSG = 2013;
const HEADER_BYTES = 16;
const BODY_OFFSET = HEADER_BYTES + 5;

/** The server; `close` ends it. */
export class LookalikeServer {
  readonly #server: Server;
  readonly #replies: Readonly<Record<string, object>>;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, replies: Readonly<Record<string, object>>) {
    this.#server = server;
    this.#replies = replies;
  }

  /** Starts one with its replies by command name. */
  static async start(replies: Readonly<Record<string, object>>): Promise<LookalikeServer> {
    const server = createServer();
    const lookalike = new LookalikeServer(server, replies);
    server.on('connection', (socket) => lookalike.#serve(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return lookalike;
  }

  get uri(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('The server does not listen');
    return `mongodb://127.0.0.1:${address.port}/?directConnection=true&serverMonitoringMode=poll`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    let pending = Buffer.alloc(0);
    this.#sockets.add(socket);
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= HEADER_BYTES && pending.length >= pending.readInt32LE(0)) {
        const message = pending.subarray(0, pending.readInt32LE(0));
        pending = pending.subarray(message.length);
        socket.write(this.#answer(message));
      }
    });
  }

  #answer(message: Buffer): Buffer {
    const [name = ''] = Object.keys(
      BSON.deserialize(message.subarray(BODY_OFFSET, BODY_OFFSET + message.readInt32LE(BODY_OFFSET))),
    );
    const reply = this.#replies[name] ?? {
      ok: 0,
      code: 59,
      codeName: 'CommandNotFound',
      errmsg: `no such command: ${name}`,
    };
    const body = BSON.serialize({ ok: 1, ...reply });
    const header = Buffer.alloc(BODY_OFFSET);
    header.writeInt32LE(BODY_OFFSET + body.length, 0);
    header.writeInt32LE(message.readInt32LE(4), 8);
    header.writeInt32LE(OP_MSG, 12);
    return Buffer.concat([header, body]);
  }
}
