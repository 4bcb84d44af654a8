/**
 * A contending process as a test sees it: asked questions, killed, suspended and continued. Processes are started once for a file, because a start
 * takes longer than most tests. What they run is `faults/children/contender.ts`.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Fact, FromChild, Question, Questions } from '../faults/children/messages.js';
import { eventually } from './eventually.js';

const PROGRAM = fileURLToPath(new URL('../faults/children/contender.ts', import.meta.url));
const START_LIMIT_MS = 25_000;
const ANSWER_LIMIT_MS = 20_000;

type FactOf<K extends Fact['kind']> = Extract<Fact, { kind: K }>;

/** One process. */
export class Contender {
  /** Everything it told, in order. */
  readonly facts: Fact[] = [];
  readonly #child: ChildProcess;
  readonly #answers = new Map<number, (message: FromChild) => void>();
  #output = '';
  #asked = 0;
  #ready = false;

  private constructor() {
    this.#child = fork(PROGRAM, [], { execArgv: ['--import', 'tsx'], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (text) => {
        this.#output += text;
      });
    }
    this.#child.on('message', (message: FromChild) => this.#hear(message));
  }

  /** Starts some at once. */
  static async start(count: number): Promise<Contender[]> {
    const started = Array.from({ length: count }, () => new Contender());
    try {
      await Promise.all(started.map((contender) => contender.#untilReady()));
    } catch (error) {
      await Promise.all(started.map((contender) => contender.kill()));
      throw error;
    }
    return started;
  }

  /** Asks, and waits for the answer. */
  async ask<Q extends Question>(question: Q, ask: Questions[Q]['ask']): Promise<Questions[Q]['answer']> {
    return this.expect(question, ask)();
  }

  /** Asks something that takes its time; the answer is waited for later. */
  expect<Q extends Question>(question: Q, ask: Questions[Q]['ask']): () => Promise<Questions[Q]['answer']> {
    this.#asked += 1;
    const number = this.#asked;
    let answered: FromChild | undefined;
    this.#answers.set(number, (message) => {
      answered = message;
    });
    this.#child.send({ number, question, ...ask });
    return async () => {
      const message = await eventually(() => answered, ANSWER_LIMIT_MS).catch(() => {
        throw new Error(`No answer to "${question}". ${this.#output}`);
      });
      if (message.kind === 'failed') throw new Error(`"${question}" failed: ${message.error}`);
      return (message as { answer: unknown }).answer as Questions[Q]['answer'];
    };
  }

  /** What it told of one kind. */
  told<K extends Fact['kind']>(kind: K): FactOf<K>[] {
    return this.facts.filter((fact): fact is FactOf<K> => fact.kind === kind);
  }

  /** Resolves when a caller was granted its lock. */
  async granted(caller: string, limitMS?: number): Promise<FactOf<'granted'>> {
    return eventually(() => this.told('granted').find((fact) => fact.caller === caller), limitMS);
  }

  /** `kill -9`; resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exit = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exit;
  }

  suspend(): void {
    this.#child.kill('SIGSTOP');
  }

  continue(): void {
    this.#child.kill('SIGCONT');
  }

  async #untilReady(): Promise<void> {
    await eventually(() => this.#ready, START_LIMIT_MS).catch(() => {
      throw new Error(`A process did not start. ${this.#output}`);
    });
  }

  #hear(message: FromChild): void {
    if (message.kind === 'ready') this.#ready = true;
    else if (message.kind === 'fact') this.facts.push(message.fact);
    else this.#answers.get(message.number)?.(message);
  }
}
