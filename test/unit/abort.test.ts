/** Being told of an abort: one listener for a signal, none left behind. */
import { getEventListeners } from 'node:events';
import { describe, expect, it } from 'vitest';
import { onAbort } from '#core/base/abort.js';

const listenersCount = (signal: AbortSignal): number => getEventListeners(signal, 'abort').length;

describe('onAbort', () => {
  it('calls every callback once, in the order of the calls, with the reason in place', () => {
    const controller = new AbortController();
    const seen: unknown[] = [];
    for (const name of ['a', 'b', 'c']) onAbort(controller.signal, () => seen.push([name, controller.signal.reason]));
    controller.abort('why');
    controller.abort('again');
    expect(seen).toEqual([
      ['a', 'why'],
      ['b', 'why'],
      ['c', 'why'],
    ]);
    expect(listenersCount(controller.signal)).toBe(0);
  });

  it('has one listener for a thousand calls on one signal, and none when they are over', async () => {
    const warnings: string[] = [];
    const onWarning = (warning: Error): number => warnings.push(warning.name);
    process.on('warning', onWarning);
    const { signal } = new AbortController();
    const stops = Array.from({ length: 1_000 }, () => onAbort(signal, () => {}));
    expect(listenersCount(signal)).toBe(1);
    for (const stop of stops) stop();
    await new Promise((resolve) => setImmediate(resolve));
    process.off('warning', onWarning);
    expect(listenersCount(signal)).toBe(0);
    expect(warnings).toEqual([]);
  });

  it('does not call what was taken back, and taking back twice takes nothing else', () => {
    const controller = new AbortController();
    const seen: string[] = [];
    const callback = (): number => seen.push('same');
    const stop = onAbort(controller.signal, callback);
    onAbort(controller.signal, callback);
    stop();
    stop();
    controller.abort();
    expect(seen).toEqual(['same']);
  });

  it('can be used again on a signal after its last callback went', () => {
    const controller = new AbortController();
    const seen: string[] = [];
    const stop = onAbort(controller.signal, () => seen.push('first'));
    stop();
    onAbort(controller.signal, () => seen.push('second'));
    stop();
    expect(listenersCount(controller.signal)).toBe(1);
    controller.abort();
    expect(seen).toEqual(['second']);
  });

  it('calls the others when one throws', () => {
    const controller = new AbortController();
    const seen: string[] = [];
    onAbort(controller.signal, () => {
      throw new Error('mine');
    });
    onAbort(controller.signal, () => seen.push('other'));
    controller.abort();
    expect(seen).toEqual(['other']);
  });

  it('does not call what another callback took back while the signal aborted', () => {
    const controller = new AbortController();
    const seen: string[] = [];
    let stopSecond = (): void => {};
    onAbort(controller.signal, () => stopSecond());
    stopSecond = onAbort(controller.signal, () => seen.push('second'));
    controller.abort();
    expect(seen).toEqual([]);
  });

  it('keeps signals apart', () => {
    const [one, two] = [new AbortController(), new AbortController()];
    const seen: string[] = [];
    onAbort(one.signal, () => seen.push('one'));
    onAbort(two.signal, () => seen.push('two'));
    two.abort();
    expect(seen).toEqual(['two']);
    expect(listenersCount(one.signal)).toBe(1);
  });

  it('calls nothing and leaves nothing on a signal that is aborted already', () => {
    const signal = AbortSignal.abort();
    const seen: string[] = [];
    onAbort(signal, () => seen.push('late'))();
    expect(seen).toEqual([]);
    expect(listenersCount(signal)).toBe(0);
  });
});
