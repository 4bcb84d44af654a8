/** A way to a server on which everything takes longer: a TCP proxy on loopback that keeps what is sent for a while, in order. */
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** The least time for which a timer of Node holds anything back. */
const TIMER_MIN_MS = 1;

export class SlowWay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(target: { readonly host: string; readonly port: number }, roundTripMS: number) {
    // Half of it each way; where that is shorter than a timer can be, all of it on the way back.
    const requestsMS = roundTripMS / 2 < TIMER_MIN_MS ? 0 : roundTripMS / 2;
    const answersMS = roundTripMS - requestsMS;
    this.#server = createServer((near) => {
      const far = connect({ ...target, noDelay: true });
      near.setNoDelay(true);
      for (const [from, to, delayMS] of [
        [near, far, requestsMS],
        [far, near, answersMS],
      ] as const) {
        this.#sockets.add(from);
        from.on('data', (chunk) => {
          if (delayMS === 0) to.write(chunk);
          else setTimeout(() => to.write(chunk), delayMS);
        });
        from.on('error', () => {});
        from.on('close', () => {
          to.destroy();
          this.#sockets.delete(from);
        });
      }
    });
  }

  /** `target`: host and port, as the server names itself. */
  static async to(target: string, { roundTripMS }: { roundTripMS: number }): Promise<SlowWay> {
    const [host = '', port = ''] = target.split(':');
    const way = new SlowWay({ host, port: Number(port) }, roundTripMS);
    await new Promise<void>((resolve) => way.#server.listen(0, '127.0.0.1', resolve));
    return way;
  }

  /** Host and port. */
  get address(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
