/** Advisory locks of one PostgreSQL server: a session waits inside the server, so each caller has a connection of its own. */
import { packageOfPeer } from './package-of-peer.js';
import type { Peer } from './peer.js';

interface Connection {
  connect(): Promise<void>;
  query(text: string, values: readonly unknown[]): Promise<unknown>;
  end(): Promise<void>;
}

interface PostgresPackage {
  readonly Client: new (settings: { connectionString: string }) => Connection;
}

export const POSTGRES: Peer = {
  name: 'PostgreSQL advisory locks',
  how: 'each waiter blocks a connection, inside the server',
  server: 'postgres',
  async connect({ address, key }) {
    const { Client } = packageOfPeer<PostgresPackage>('pg');
    const connections = new Map<number, Promise<Connection>>();
    const connectionOf = (caller: number): Promise<Connection> => {
      const known = connections.get(caller);
      if (known !== undefined) return known;
      const client = new Client({ connectionString: address });
      const connecting = client.connect().then(() => client);
      connections.set(caller, connecting);
      return connecting;
    };
    return {
      async acquire(caller) {
        const connection = await connectionOf(caller);
        await connection.query('SELECT pg_advisory_lock(hashtext($1))', [key]);
        return () => connection.query('SELECT pg_advisory_unlock(hashtext($1))', [key]);
      },
      async close() {
        for (const connection of connections.values()) await (await connection).end();
      },
    };
  },
};
