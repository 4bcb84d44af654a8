#!/usr/bin/env node
/**
 * `dlocks`: the process around the program. It reads the command line, runs one command, and ends with its exit code.
 */
import { createProgram } from './program.js';
import { processTerminal } from './terminal.js';

await createProgram(processTerminal()).parseAsync();
