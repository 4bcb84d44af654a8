/** How late an event came, by a server's clock that is compared with this process's own: whichever is right. */
import { describe, expect, it } from 'vitest';
import { ServerClock } from '#core/mongo/server-clock.js';
import { HandClock } from '../support/hand-clock.js';

/** A server whose clock is so far ahead of ours, and takes `roundTripMS` to answer, half of it each way. */
function server(aheadMS: number, roundTripMS = 0) {
  const clock = new HandClock();
  const compared = new ServerClock(clock);
  const now = (): Date => new Date(clock.atMS + aheadMS);
  const answer = async () => {
    clock.atMS += roundTripMS / 2;
    const value = { serverNow: now() };
    clock.atMS += roundTripMS / 2;
    return { value };
  };
  return { clock, compared, now, compare: () => compared.compare(answer as never) };
}

describe("the server's clock", () => {
  it.each([0, 86_400_000, -86_400_000])('may be %i ms ahead of ours, and the lag is the same', async (aheadMS) => {
    const { clock, compared, now, compare } = server(aheadMS);
    await compare();
    const writtenAt = now();
    clock.atMS += 250;
    expect(compared.lagOf(writtenAt)).toEqual({ lagMS: 250, uncertaintyMS: 0 });
  });

  it('is known no better than by half a round trip', async () => {
    const { clock, compared, now, compare } = server(70_000, 40);
    await compare();
    const writtenAt = now();
    clock.atMS += 5;
    expect(compared.lagOf(writtenAt)).toEqual({ lagMS: 5, uncertaintyMS: 20 });
  });

  it('is that of the last comparison', async () => {
    const { clock, compared, compare } = server(0);
    await compare();
    clock.atMS += 1_000;
    await compared.compare(async () => ({ value: { serverNow: new Date(clock.atMS + 300) } }) as never);
    expect(compared.lagOf(new Date(clock.atMS))).toEqual({ lagMS: 300, uncertaintyMS: 0 });
  });

  it('never makes an event come before it was written', async () => {
    const { compared, now, compare } = server(0);
    await compare();
    expect(compared.lagOf(new Date(now().getTime() + 900))).toEqual({ lagMS: 0, uncertaintyMS: 0 });
  });

  it('tells nothing before it was compared, or of what has no time', async () => {
    const { compared, now, compare } = server(0);
    expect(compared.lagOf(now())).toBeNull();
    expect(await compared.compare(async () => ({ value: null }) as never)).toEqual({ value: null });
    expect(compared.lagOf(now())).toBeNull();
    await compare();
    for (const writtenAt of [undefined, null, 5, 'text', {}, new Date(Number.NaN)])
      expect(compared.lagOf(writtenAt)).toBeNull();
  });
});
