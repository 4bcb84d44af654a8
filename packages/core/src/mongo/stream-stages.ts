/**
 * The pipelines of the change streams: which events are delivered, and what of them. Pure; `feed.ts` opens them, and
 * `topology.ts` asks the server beforehand whether the first would be opened.
 */
import type { Command } from './commands.js';

// A pipeline update whose diff is larger than the document is logged, and arrives, as a replacement.
const WRITES: Command = { $in: ['insert', 'update', 'replace'] };

/** The stages of the stream of a session. Everything in the match is pushed down to the scan of the oplog. */
export function streamStages({
  session,
  startAt,
}: {
  readonly session: string;
  readonly startAt?: unknown;
}): Command[] {
  const named = { $gte: `${session}/`, $lt: `${session}0` };
  return [
    changesFrom(startAt),
    {
      $match: {
        operationType: WRITES,
        $or: [
          { 'updateDescription.updatedFields.grant': named },
          { 'fullDocument.grant': named },
          // A run of this session was ended by hand.
          { 'updateDescription.updatedFields.forced': named },
          { 'fullDocument.forced': named },
        ],
      },
    },
    {
      $project: {
        key: '$documentKey._id',
        grant: writtenValue('grant'),
        forced: writtenValue('forced'),
        trace: writtenValue('trace'),
        writtenAt: '$wallTime',
        operationTime: '$clusterTime',
      },
    },
  ];
}

/** What tells how a queue moves: who was granted the lock, and who came. */
const COUNTS = ['fence', 'arrivals', 'born'];

/** The stages of the stream of some lock documents: each change of these counts. */
export function watchStages({
  keys,
  startAt,
}: {
  readonly keys: readonly string[];
  readonly startAt?: unknown;
}): Command[] {
  return [
    changesFrom(startAt),
    {
      $match: {
        operationType: WRITES,
        'documentKey._id': { $in: keys },
        $or: [
          ...COUNTS.map((name) => ({ [`updateDescription.updatedFields.${name}`]: { $exists: true } })),
          { fullDocument: { $exists: true } },
        ],
      },
    },
    {
      $project: {
        key: '$documentKey._id',
        operationTime: '$clusterTime',
        ...Object.fromEntries(COUNTS.map((name) => [name, writtenValue(name)])),
      },
    },
  ];
}

/** The value that the write gave a field, as an update tells it or a whole document. */
function writtenValue(name: string): Command {
  return { $ifNull: [`$updateDescription.updatedFields.${name}`, `$fullDocument.${name}`] };
}

function changesFrom(startAt: unknown): Command {
  return { $changeStream: startAt === null || startAt === undefined ? {} : { startAtOperationTime: startAt } };
}
