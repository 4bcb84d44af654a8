#!/usr/bin/env node
/**
 * `dlocks`: the process around the program. It hides what others could read of its command line, then runs one command,
 * and ends with its exit code. The program is loaded after that: it takes most of the time until then.
 */
import { hideArguments } from './process-title.js';

/** No timer or connection of ours may keep a process that is done. */
const LINGER_MS = 2_000;

const args = process.argv.slice(2);
hideArguments(process, args);
const { main } = await import('./run.js');
process.exitCode = await main(args);
setTimeout(() => process.exit(), LINGER_MS).unref();
