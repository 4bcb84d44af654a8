/**
 * The plotted figures of one question as SVG: a row for each case, a bar for each figure with its spread, on a logarithmic scale. Written by hand, as
 * no small library draws without a browser; it reads in light and dark. Pure. The command line calls it.
 */
import type { Summary } from '../figures.js';
import type { QuestionResult } from '../rounds.js';
import { members } from './markdown.js';

const COLOURS = ['#2f6fb0', '#c8642b', '#3d8f5f'];
const LEFT = 330;
const WIDTH = 520;
const BAR = 13;
const GAP = 12;
const TOP = 62;

export function plotOf({ title, plotted, cases, membersCount }: QuestionResult): string | null {
  const figures = plotted.filter((name) => cases.some((each) => each.figures[name] !== undefined));
  const values = cases.flatMap((each) => figures.flatMap((name) => each.figures[name] ?? []));
  if (values.length === 0) return null;
  const x = scaleOf(values);
  const rowHeight = figures.length * BAR + GAP;
  const height = TOP + cases.length * rowHeight + 24;
  const rows = cases.map((each, row) => {
    const y = TOP + row * rowHeight;
    const bars = figures.map((name, index) => {
      const summary = each.figures[name];
      return summary === undefined ? '' : bar({ summary, x, y: y + index * BAR, colour: colour(index) });
    });
    return text({ at: [LEFT - 8, y + rowHeight / 2 - 2], anchor: 'end', content: each.name }) + bars.join('');
  });
  const legend = figures.map(
    (name, index) =>
      `<rect x="${12 + index * 190}" y="34" width="11" height="11" fill="${colour(index)}"/>` +
      text({ at: [28 + index * 190, 44], anchor: 'start', content: name }),
  );
  const about = `${title} (${members(membersCount)})`;
  const head = text({ at: [12, 20], anchor: 'start', content: about });
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${LEFT + WIDTH + 90}" height="${height}" font-family="sans-serif" font-size="12" fill="#777">\n` +
    `<title>${escaped(about)}</title>\n${[head, ...legend, ...rows].join('\n')}\n</svg>\n`
  );
}

/** From half the lowest to the highest. */
function scaleOf(summaries: readonly Summary[]): (value: number) => number {
  const lowest = Math.min(...summaries.map(({ min }) => min).filter((min) => min > 0)) / 2;
  const highest = Math.max(...summaries.map(({ max }) => max));
  return (value) => (WIDTH * Math.log(Math.max(value, lowest) / lowest)) / Math.log(highest / lowest);
}

function bar({
  summary,
  x,
  y,
  colour: fill,
}: {
  summary: Summary;
  x: (value: number) => number;
  y: number;
  colour: string;
}) {
  const { median, min, max } = summary;
  const middle = y + BAR / 2 - 1;
  return (
    `<rect x="${LEFT}" y="${y}" width="${x(median).toFixed(1)}" height="${BAR - 2}" fill="${fill}"/>` +
    `<line x1="${(LEFT + x(min)).toFixed(1)}" x2="${(LEFT + x(max)).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="#777"/>` +
    text({ at: [LEFT + x(max) + 5, y + BAR - 3], anchor: 'start', content: String(Number(median.toPrecision(3))) })
  );
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length] ?? '#777';
}

function text({ at: [x, y], anchor, content }: { at: [number, number]; anchor: string; content: string }): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escaped(content)}</text>`;
}

function escaped(content: string): string {
  return content.replace(/&/g, '&amp;').replace(/</g, '&lt;');
}
