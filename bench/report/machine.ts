/** On what was measured: machine, versions, date, and how busy it was. The command line puts it at the head of every report. */
import { cpus, loadavg, release, totalmem } from 'node:os';
import type { MongoClient } from 'mongodb';

export interface Machine {
  readonly date: string;
  readonly processor: string;
  readonly coresCount: number;
  readonly memoryGB: number;
  readonly system: string;
  readonly node: string;
  readonly mongodb: string;
  /** Over the minute before the first round, and before this was written. */
  readonly loadBefore: number;
  readonly loadAfter: number;
}

/** A second program on a machine of two cores is enough to spoil a percentile. */
export const QUIET_LOAD = 1.5;

export function loadNow(): number {
  return loadavg()[0] ?? Number.NaN;
}

export async function machineOf(mongo: MongoClient, loadBefore: number): Promise<Machine> {
  const { version } = await mongo.db('admin').command({ buildInfo: 1 });
  const all = cpus();
  return {
    date: new Date().toISOString().slice(0, 16).replace('T', ' '),
    processor: all[0]?.model.trim() ?? 'unknown',
    coresCount: all.length,
    memoryGB: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.version,
    mongodb: String(version),
    loadBefore,
    loadAfter: loadNow(),
  };
}
