/** What this machine has for the fault suite. */
import { clockLibrary } from '../../../tools/faketime.mjs';
import type { Environment } from './faults/fault.js';

export async function environmentOfThisMachine(): Promise<Environment> {
  return { platform: process.platform, clockLibrary: await clockLibrary() };
}
