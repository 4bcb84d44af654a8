/**
 * Rates over time and the two distributions. Each chart is a figure whose caption says what there is to see, with its numbers
 * in a table that can be unfolded; the drawing itself is hidden from readers of the page.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import UPlot from 'uplot';
import { BUCKET_ENDS_MS, type Distribution, type Figures } from '../wire.js';
import { rate, recentRate } from './summary.js';
import { bucketEnd, count, counted, duration, durationOrDash, timeOfDay } from './words.js';

const CHART_HEIGHT = 180;
const MINUTE_SECONDS_COUNT = 60;

export function Charts({ figures }: { readonly figures: Figures | null }) {
  if (figures === null) return null;
  const { waits, holds } = figures;
  return (
    <section aria-labelledby="charts-title" class="charts">
      <h2 id="charts-title">Last five minutes</h2>
      <RateFigure figures={figures} />
      <Bars title="Waiting time" one="wait" distribution={waits} />
      <Bars title="Hold time" one="run" distribution={holds} />
    </section>
  );
}

function RateFigure({ figures }: { readonly figures: Figures }) {
  const { handoffs, callers, lastSecond } = figures;
  const peak = Math.max(...handoffs);
  return (
    <figure aria-labelledby="rate-title" aria-describedby="rate-caption">
      <h3 id="rate-title">Handoffs per second</h3>
      <RateChart figures={figures} />
      <figcaption id="rate-caption">
        {rate(recentRate(handoffs))} handoffs and {rate(recentRate(callers))} callers granted per second over the last
        ten seconds; at most {count(peak)} handoffs in one.
      </figcaption>
      <details>
        <summary>By the minute</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">Minute until</th>
              <th scope="col">Handoffs</th>
              <th scope="col">Callers granted</th>
            </tr>
          </thead>
          <tbody>
            {minutes(figures).map(({ endIndex, handoffsCount, callersCount }) => (
              <tr key={endIndex}>
                <th scope="row">{timeOfDay((lastSecond - handoffs.length + 1 + endIndex) * 1_000).slice(0, 8)}</th>
                <td>{count(handoffsCount)}</td>
                <td>{count(callersCount)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}

function minutes({ handoffs, callers }: Figures) {
  const sum = (values: readonly number[], endIndex: number): number => {
    return values
      .slice(Math.max(0, endIndex - MINUTE_SECONDS_COUNT), endIndex)
      .reduce((total, each) => total + each, 0);
  };
  const ends = Array.from({ length: handoffs.length / MINUTE_SECONDS_COUNT }, (_, index) => {
    return handoffs.length - index * MINUTE_SECONDS_COUNT;
  });
  return ends.map((endIndex) => ({
    endIndex,
    handoffsCount: sum(handoffs, endIndex),
    callersCount: sum(callers, endIndex),
  }));
}

/** The drawing; it is made anew when its width or the colours change. */
function RateChart({ figures }: { readonly figures: Figures }) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<UPlot | null>(null);
  const look = useLook(place);
  useEffect(() => {
    if (place.current === null || look.width === 0) return;
    const made = new UPlot(chartOptions(place.current, look.width), dataOf(figures), place.current);
    chart.current = made;
    return () => {
      chart.current = null;
      made.destroy();
    };
  }, [look]);
  useEffect(() => chart.current?.setData(dataOf(figures)), [figures]);
  return <div class="rate" ref={place} aria-hidden="true" />;
}

function dataOf({ handoffs, callers, lastSecond }: Figures): UPlot.AlignedData {
  const seconds = handoffs.map((_, index) => lastSecond - handoffs.length + 1 + index);
  return [seconds, [...handoffs], [...callers]];
}

function chartOptions(place: HTMLElement, width: number): UPlot.Options {
  const colours = getComputedStyle(place);
  const colour = (name: string): string => colours.getPropertyValue(name).trim();
  const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false } };
  return {
    width,
    height: CHART_HEIGHT,
    cursor: { show: false },
    legend: { live: false },
    scales: { y: { range: (_, _least, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      { ...axis, values: (_, seconds) => seconds.map((second) => timeOfDay(second * 1_000).slice(0, 8)), space: 80 },
      axis,
    ],
    series: [
      {},
      { label: 'handoffs', stroke: colour('--accent'), width: 2, points: { show: false } },
      { label: 'callers granted', stroke: colour('--second'), width: 2, dash: [6, 4], points: { show: false } },
    ],
  };
}

interface Look {
  readonly width: number;
  readonly isDark: boolean;
}

function useLook(place: { readonly current: HTMLElement | null }): Look {
  const [look, setLook] = useState<Look>({ width: 0, isDark: false });
  useEffect(() => {
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    const update = (): void => {
      const next = { width: place.current?.clientWidth ?? 0, isDark: dark.matches };
      setLook((before) => (before.width === next.width && before.isDark === next.isDark ? before : next));
    };
    const sizes = new ResizeObserver(update);
    if (place.current !== null) sizes.observe(place.current);
    dark.addEventListener('change', update);
    return () => {
      sizes.disconnect();
      dark.removeEventListener('change', update);
    };
  }, []);
  return look;
}

interface BarsProps {
  readonly title: string;
  readonly one: string;
  readonly distribution: Distribution;
}

const BAR_WIDTH = 20;
const BARS_HEIGHT = 100;

function Bars({ title, one, distribution }: BarsProps) {
  const { counts, total } = distribution;
  const most = Math.max(1, ...counts);
  return (
    <figure aria-labelledby={`${one}s-title`} aria-describedby={`${one}s-caption`}>
      <h3 id={`${one}s-title`}>{title}</h3>
      <div class="bars" aria-hidden="true">
        <svg aria-hidden="true" viewBox={`0 0 ${counts.length * BAR_WIDTH} ${BARS_HEIGHT}`} preserveAspectRatio="none">
          {counts.map((value, index) => {
            const height = value === 0 ? 0 : Math.max(1, (value / most) * BARS_HEIGHT);
            const x = index * BAR_WIDTH + 1;
            return (
              <rect key={bucketName(index)} x={x} y={BARS_HEIGHT - height} width={BAR_WIDTH - 2} height={height} />
            );
          })}
        </svg>
        <p class="scale">
          <span>≤ 1 ms</span>
          <span>≤ 200 ms</span>
          <span>&gt; 5 min</span>
        </p>
      </div>
      <figcaption id={`${one}s-caption`}>{captionOf(distribution, counted(total, one))}</figcaption>
      <details>
        <summary>As a table</summary>
        <table>
          <thead>
            <tr>
              <th scope="col">{title}</th>
              <th scope="col">Count</th>
            </tr>
          </thead>
          <tbody>
            {counts.map((value, index) => (
              <tr key={bucketName(index)}>
                <th scope="row">{bucketName(index)}</th>
                <td>{count(value)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </details>
    </figure>
  );
}

function bucketName(index: number): string {
  const end = BUCKET_ENDS_MS[index];
  return end === undefined ? `over ${bucketEnd(BUCKET_ENDS_MS.at(-1) ?? 0)}` : `up to ${bucketEnd(end)}`;
}

function captionOf({ total, p50MS, p90MS, p99MS, maxMS }: Distribution, ofWhat: string): string {
  if (total === 0 || maxMS === null) return 'None yet.';
  const [half, most, nearly] = [p50MS, p90MS, p99MS].map(durationOrDash);
  return `${ofWhat}: half within ${half}, 90 % within ${most}, 99 % within ${nearly}, the longest ${duration(maxMS)}.`;
}
