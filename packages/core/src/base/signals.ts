/** The signals of this process. `shutdown.ts` listens; nothing else of the library does. */

/** The name of a signal, such as `SIGTERM`. */
export type ProcessSignal = NodeJS.Signals;

/** Listening to signals, and ending by one. */
export const signals: {
  listen(names: readonly ProcessSignal[], onSignal: (name: ProcessSignal) => void): () => void;
  raise(name: ProcessSignal): void;
} = {
  /** Until the result is called; then a signal does what it does without us. */
  listen(names, onSignal) {
    const listener = (name: ProcessSignal): void => onSignal(name);
    // biome-ignore lint/plugin: only where the application asks for it, and until it takes that back.
    for (const name of names) process.on(name, listener);
    return () => {
      for (const name of names) process.off(name, listener);
    };
  },
  /** Ends the process by the signal, where nobody else listens to it. */
  raise(name) {
    process.kill(process.pid, name);
  },
};
