/** Advisory locks of one PostgreSQL server: a session waits inside the server, so each waiter has a connection of its own. */
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
    const all: Connection[] = [];
    const idle: Connection[] = [];
    const anyConnection = async (): Promise<Connection> => {
      const free = idle.pop();
      if (free !== undefined) return free;
      const connection = new Client({ connectionString: address });
      all.push(connection);
      await connection.connect();
      return connection;
    };
    return {
      async acquire() {
        const connection = await anyConnection();
        await connection.query('SELECT pg_advisory_lock(hashtext($1))', [key]);
        return async () => {
          await connection.query('SELECT pg_advisory_unlock(hashtext($1))', [key]);
          idle.push(connection);
        };
      },
      async close() {
        for (const connection of all) await connection.end();
      },
    };
  },
};
