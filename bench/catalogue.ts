/** The questions, in the order in which they are asked. The command line and the targets read it. */
import type { Question } from './question.js';
import { BURST } from './questions/burst.js';
import { CRASH } from './questions/crash.js';
import { FAIRNESS } from './questions/fairness.js';
import { FIRST_LOCK } from './questions/first-lock.js';
import { HANDOFF } from './questions/handoff.js';
import { IDLE } from './questions/idle.js';
import { IN_PROCESS } from './questions/in-process.js';
import { KEYS_QUESTION } from './questions/keys.js';
import { MEMORY } from './questions/memory.js';
import { PEERS_QUESTION } from './questions/peers.js';
import { ROUND_TRIP } from './questions/round-trip.js';
import { STREAMS_QUESTION } from './questions/streams.js';
import { UNCONTENDED } from './questions/uncontended.js';

export const QUESTIONS: readonly Question[] = [
  UNCONTENDED,
  HANDOFF,
  FAIRNESS,
  BURST,
  IN_PROCESS,
  PEERS_QUESTION,
  MEMORY,
  IDLE,
  KEYS_QUESTION,
  STREAMS_QUESTION,
  FIRST_LOCK,
  ROUND_TRIP,
  CRASH,
];
