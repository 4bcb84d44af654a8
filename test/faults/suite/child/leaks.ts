/**
 * Leaks on purpose, beside a lock that is right: what the soak must find. `main.ts` of the child starts the one its
 * settings name; a process of a real run leaks nothing here.
 */
import type { MongoClient } from 'mongodb';
import type { LeakName, ProcessSettings } from '../facts.js';

const EVERY_MS = 250;
/** Of memory, each time; far more than a heap moves by itself, far less than would stop the process. */
const PIECE_LENGTH = 30_000;
/** Nothing of these ends by itself before the process does. */
const FAR_MS = 2 ** 30;

type Leak = (client: MongoClient, settings: ProcessSettings) => void;

const kept: unknown[] = [];

const LEAKS: Partial<Record<LeakName, Leak>> = {
  'keeps memory': () => {
    kept.push(Array.from({ length: PIECE_LENGTH }, (_, index) => index / 3));
  },
  'forgets cursors': (client, { dbName }) => {
    // Opened by its first look, and never looked at again.
    client
      .db(dbName)
      .collection('dlocks')
      .watch()
      .tryNext()
      .catch(() => {});
  },
  'forgets timers': () => {
    setTimeout(() => {}, FAR_MS);
  },
};

/** Leaks from now on, where that is what the variant is about. */
export function leak(settings: ProcessSettings, client: MongoClient): void {
  const act = LEAKS[settings.variant as LeakName];
  if (act !== undefined) setInterval(() => act(client, settings), EVERY_MS).unref();
}
