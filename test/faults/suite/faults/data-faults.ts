/**
 * Faults of what is stored and of how it is told: cursors that are killed, a position in the oplog that is gone,
 * documents deleted and the collection dropped by hand, and clocks of the servers that differ.
 */
import type { Timestamp } from 'mongodb';
import { HELD, OPEN } from '../bridge.js';
import type { Member } from '../cluster.js';
import { CLOCK_SKEW_MS } from '../settings.js';
import { pass } from '../waiting.js';
import { ANYWHERE, anyProcess, type Environment, type NeedyFault, ON_LINUX, type Scene } from './fault.js';
import { STEPDOWN } from './server-faults.js';

const killCursors: NeedyFault = {
  name: 'cursors of the streams killed',
  needs: [],
  available: ANYWHERE,
  inject: async ({ observer, disturbances }) => {
    await disturbances.during({ fault: killCursors.name, streamsOnly: true }, async () => {
      const cursors = (await observer.streams().catch(() => [])).map(({ cursor }) => cursor);
      if (cursors.length > 0) await observer.killCursors(cursors).catch(() => {});
    });
  },
};

const killOps: NeedyFault = {
  name: 'reads of the streams interrupted',
  needs: [],
  available: ANYWHERE,
  inject: async ({ observer, disturbances }) => {
    await disturbances.during({ fault: killOps.name, streamsOnly: true }, async () => {
      for (const { opid } of await observer.streams().catch(() => []))
        if (opid !== undefined)
          await observer.client
            .db('admin')
            .command({ killOp: 1, op: opid })
            .catch(() => {});
    });
  },
};

/** So much is written while a process hears nothing that the oplog does not reach back to where its stream was. */
const deadPosition: NeedyFault = {
  name: 'position of a stream gone from the oplog',
  needs: ['bridge', 'small oplog'],
  available: ON_LINUX,
  inject: async (scene, signal) => {
    const { cluster, disturbances } = scene;
    const victims = anyProcess(scene);
    await disturbances.during({ fault: deadPosition.name, processes: victims.map(({ name }) => name) }, async () => {
      const all = victims.flatMap(({ name }) => cluster.members.map(({ index }) => ({ name, index })));
      for (const { name, index } of all) cluster.bridge.set(name, index, HELD);
      await rollOplogOver(scene, signal);
      for (const { name, index } of all) {
        cluster.bridge.reset(name, index);
        cluster.bridge.set(name, index, OPEN);
      }
    });
  },
};

const FLOOD_LIMIT_MS = 8_000;
const FLOOD_DOCUMENT = 'x'.repeat(200_000);

async function rollOplogOver({ observer }: Scene, signal: AbortSignal): Promise<void> {
  const oplog = observer.client.db('local').collection<{ ts: Timestamp }>('oplog.rs');
  const end = await oplog.find().sort({ $natural: -1 }).limit(1).next();
  const flood = observer.db.collection('flood');
  const endAt = performance.now() + FLOOD_LIMIT_MS;
  while (!signal.aborted && performance.now() < endAt) {
    await flood.insertMany(Array.from({ length: 10 }, () => ({ text: FLOOD_DOCUMENT })));
    await flood.deleteMany({});
    const first = await oplog.find().sort({ $natural: 1 }).limit(1).next();
    if (first !== null && end !== null && first.ts.greaterThan(end.ts)) return;
  }
}

/** A document recreated in the second that created it may have the tokens of the one before: that is documented. */
const CREATION_SECOND_MS = 1_100;

function deletion(name: string, act: (scene: Scene) => Promise<void>): NeedyFault {
  const inject = async (scene: Scene, signal: AbortSignal): Promise<void> => {
    await pass(CREATION_SECOND_MS, signal);
    if (signal.aborted) return;
    await scene.disturbances.during({ fault: name, deletes: true }, () => act(scene).catch(() => {}));
  };
  return { name, needs: [], available: ANYWHERE, inject };
}

const OFTEN_ENOUGH = 2;

function clocks(name: string, offsetMS: (scene: Scene) => number): NeedyFault {
  const inject = async (scene: Scene, signal: AbortSignal): Promise<void> => {
    const { cluster, disturbances } = scene;
    await disturbances.during({ fault: name }, async () => {
      for (const member of cluster.members as readonly Member[]) await member.setClock(offsetMS(scene));
      // The servers look at the file once a second.
      await pass(CREATION_SECOND_MS, signal);
      for (let time = 0; time < OFTEN_ENOUGH && !signal.aborted; time += 1) {
        await STEPDOWN.inject(scene, signal);
        await pass(1_000, signal);
      }
    });
  };
  const available = ({ clockLibrary }: Environment): true | string =>
    clockLibrary !== null || 'libfaketime is not installed (apt-get install libfaketime)';
  return { name, needs: ['clocks'], available, inject };
}

/** Any two members differ by less than `clockSkewMS`, and no clock steps by more. */
const SMALL_OFFSET_MS: number = 0.4 * CLOCK_SKEW_MS;
export const LARGE_OFFSET_MS = 15_000;

export const STREAMS: readonly NeedyFault[] = [killCursors, killOps];
export const POSITION: readonly NeedyFault[] = [deadPosition];
export const DELETIONS: readonly NeedyFault[] = [
  deletion('collection dropped', ({ observer }) => observer.dropLocks()),
  deletion('lock document deleted', async ({ observer, chance }) => {
    await observer.deleteLock(chance.pick(observer.keys as [string, ...string[]]));
  }),
];
export const SMALL_CLOCKS: readonly NeedyFault[] = [
  clocks('clocks of the members differ within clockSkewMS, and the primary changes', ({ chance }) =>
    chance.between(-SMALL_OFFSET_MS, SMALL_OFFSET_MS),
  ),
];
export const LARGE_CLOCKS: readonly NeedyFault[] = [
  clocks('clocks of the members differ by far more than clockSkewMS, and the primary changes', ({ chance }) =>
    chance.between(-LARGE_OFFSET_MS, LARGE_OFFSET_MS),
  ),
];
