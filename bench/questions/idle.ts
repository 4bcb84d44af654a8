/** What a client costs that does nothing, that waits, and that holds: commands by the driver's monitoring. */
import { type Lock, LockClient } from 'mongo-distributed-locks';
import { type CommandStartedEvent, MongoClient } from 'mongodb';
import { nowMS, pause } from '../clock.js';
import type { Case, Question } from '../question.js';
import type { Stage } from '../stage.js';

const IDLE_MS = 500;
const WINDOWS_COUNT = 3;
/** The defaults, so that what is counted is what a user pays. */
const LEASE_MS = 30_000;

type State = 'idle' | 'holding' | 'waiting';

function resting(name: string, state: State): Case {
  return {
    name,
    async measure(stage: Stage) {
      const subject = { resource: 'bench', id: stage.freshKey() };
      const mongo = await new MongoClient(stage.uri, { monitorCommands: true }).connect();
      const settings = { dbName: stage.dbName, idleMS: IDLE_MS, leaseDurationMS: LEASE_MS };
      const other = new LockClient({ client: stage.mongo, ...settings });
      const locks = new LockClient({ client: mongo, ...settings });
      const undo = await settle(state, { locks, other, subject });
      const counts = { commands: 0, stream: 0 };
      mongo.on('commandStarted', ({ commandName }: CommandStartedEvent) => {
        counts[commandName === 'getMore' ? 'stream' : 'commands'] += 1;
      });
      const fromAt = nowMS();
      await pause(stage.scale.windowMS * (stage.scale.tiny ? 1 : WINDOWS_COUNT));
      const seconds = (nowMS() - fromAt) / 1_000;
      const { commands, stream } = counts;
      await undo();
      await Promise.all([locks.close(), other.close()]);
      await mongo.close();
      return {
        'commands per second': commands / seconds,
        'of the change stream, per second': stream / seconds,
        commands,
      };
    },
  };
}

interface Clients {
  readonly locks: LockClient;
  readonly other: LockClient;
  readonly subject: { readonly resource: string; readonly id: string };
}

/** Resolves when the client is in that state, and all that led to it is over. */
async function settle(state: State, { locks, other, subject }: Clients): Promise<() => Promise<unknown>> {
  const ended = new Promise((resolve) => locks.once('session:ended', resolve));
  if (state === 'idle') {
    const lock = await other.lock(subject);
    const waiting = locks.lock(subject);
    await once(locks, 'stream:opened');
    await lock.unlock();
    await (await waiting).unlock();
    await ended;
    await pause(200);
    return async () => {};
  }
  if (state === 'holding') return releasing(await locks.lock(subject));
  const lock = await other.lock(subject);
  const waiting = locks.lock(subject);
  await once(locks, 'stream:opened');
  await pause(200);
  return async () => {
    await lock.unlock();
    await (await waiting).unlock();
  };
}

function releasing(lock: Lock): () => Promise<unknown> {
  return () => lock.unlock();
}

function once(locks: LockClient, name: 'stream:opened'): Promise<unknown> {
  return new Promise((resolve) => locks.once(name, resolve));
}

export const NOTHING = 'idle, after it waited, held and released';

export const IDLE: Question = {
  name: 'idle',
  title: 'what it costs to do nothing',
  method:
    'One client with the default lease in the state that the case names, watched for three windows; commands by the driver’s monitoring of that ' +
    'client. The server asks the driver for nothing; the driver’s own connection checks are not counted. A stream’s `getMore`s are answered at least ' +
    'once a second.',
  cases: async () => [
    resting(NOTHING, 'idle'),
    resting('holding one lock', 'holding'),
    resting('waiting for one lock', 'waiting'),
  ],
};
