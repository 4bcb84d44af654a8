/**
 * The pipeline of the change stream: which events are delivered, and what of them. Pure; `feed.ts` opens it, and
 * `topology.ts` asks the server beforehand whether it would be opened.
 */
import type { Command } from './commands.js';

/** The stages of the stream. Everything in the match is pushed down to the scan of the oplog. */
export function streamStages({
  session,
  startAt,
}: {
  readonly session: string;
  readonly startAt?: unknown;
}): Command[] {
  const named = { $gte: `${session}/`, $lt: `${session}0` };
  return [
    { $changeStream: startAt === null || startAt === undefined ? {} : { startAtOperationTime: startAt } },
    {
      $match: {
        // A pipeline update whose diff is larger than the document is logged, and arrives, as a replacement.
        operationType: { $in: ['insert', 'update', 'replace'] },
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
        grant: { $ifNull: ['$updateDescription.updatedFields.grant', '$fullDocument.grant'] },
        forced: { $ifNull: ['$updateDescription.updatedFields.forced', '$fullDocument.forced'] },
        writtenAt: '$wallTime',
      },
    },
  ];
}
