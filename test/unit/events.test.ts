/** The emitter: a listener's failure is reported and harms nobody. */

import { describe, expect, it } from 'vitest';
import { SafeEmitter } from '#core/events.js';

const session = { session: 's' };

function emitter(): { events: SafeEmitter; failures: unknown[] } {
  const failures: unknown[] = [];
  return { events: new SafeEmitter((error) => failures.push(error)), failures };
}

describe('the emitter', () => {
  it('calls every listener of the event, in order, and says whether there was one', () => {
    const { events } = emitter();
    const seen: unknown[] = [];
    events.on('session:opened', (event) => seen.push(['a', event]));
    events.addListener('session:opened', (event) => seen.push(['b', event]));
    events.on('session:ended', (event) => seen.push(['other', event]));
    expect(events.emit('session:opened', session)).toBe(true);
    expect(events.emit('stream:closed', session)).toBe(false);
    expect(seen).toEqual([
      ['a', session],
      ['b', session],
    ]);
  });

  it('throws nothing for an error event that nobody listens to', () => {
    const { events, failures } = emitter();
    expect(events.emit('error', { error: new Error('x') })).toBe(false);
    expect(failures).toEqual([]);
  });

  it('reports what a listener throws, and calls the others', () => {
    const { events, failures } = emitter();
    const seen: string[] = [];
    const error = new Error('mine');
    events.on('session:opened', () => {
      throw error;
    });
    events.on('session:opened', () => {
      seen.push('other');
    });
    expect(events.emit('session:opened', session)).toBe(true);
    expect(failures).toEqual([error]);
    expect(seen).toEqual(['other']);
  });

  it('reports what the promise of a listener rejects with', async () => {
    const { events, failures } = emitter();
    const error = new Error('later');
    events.on('session:opened', async () => {
      throw error;
    });
    events.emit('session:opened', session);
    await new Promise((resolve) => setImmediate(resolve));
    expect(failures).toEqual([error]);
  });

  it('calls a listener of once no more than once, even when it throws', () => {
    const { events, failures } = emitter();
    let callsCount = 0;
    events.once('session:opened', () => {
      callsCount += 1;
      throw new Error('x');
    });
    events.emit('session:opened', session);
    events.emit('session:opened', session);
    expect({ callsCount, failuresCount: failures.length, left: events.listenerCount('session:opened') }).toEqual({
      callsCount: 1,
      failuresCount: 1,
      left: 0,
    });
  });

  it.each(['off', 'removeListener'] as const)('takes a listener away by what was given, with %s', (remove) => {
    const { events } = emitter();
    const seen: string[] = [];
    const listener = (): void => {
      seen.push('x');
    };
    events.on('session:opened', listener);
    events.once('session:opened', listener);
    events.on('session:ended', listener);
    expect(events.listeners('session:opened')).toEqual([listener, listener]);
    events[remove]('session:opened', listener);
    events.emit('session:opened', session);
    events.emit('session:ended', session);
    expect(seen).toEqual(['x']);
    events.removeAllListeners();
    expect(events.eventNames()).toEqual([]);
  });

  it('takes a listener of once away before it was called', () => {
    const { events } = emitter();
    const listener = (): void => {
      throw new Error('called');
    };
    events.once('session:opened', listener);
    events.off('session:opened', listener);
    expect(events.emit('session:opened', session)).toBe(false);
  });

  it('takes all listeners of an event away when none is named', () => {
    const { events } = emitter();
    events.on('session:opened', () => {});
    events.on('session:opened', () => {});
    events.off('session:opened');
    expect(events.listenerCount('session:opened')).toBe(0);
  });

  it('calls a listener on the context it was given with, else on the emitter', () => {
    const { events } = emitter();
    const seen: unknown[] = [];
    function listener(this: unknown): void {
      seen.push(this);
    }
    const context = { mine: true };
    events.on('session:opened', listener, context);
    events.on('session:opened', listener);
    events.emit('session:opened', session);
    expect(seen).toEqual([context, events]);
  });

  it('refuses what is not a function', () => {
    const { events } = emitter();
    expect(() => events.on('session:opened', 7 as never)).toThrow(TypeError);
  });
});
