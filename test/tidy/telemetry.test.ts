/** The tables of docs/telemetry.md, held against the sources: no name is in one and not in the other, and what they say of it agrees. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CHANNELS, EVENT_CHANNELS } from '#core/diagnostics.js';
import { ATTRIBUTES, METRICS, SCOPE_NAME, SCOPE_VERSION, SPAN_EVENTS, SPANS } from '#core/telemetry/names.js';
import { ROOT } from '../../tools/command.mjs';

const PAGE = 'docs/telemetry.md';

/** The rows of the table that begins with this heading, each as the texts of its cells. */
async function table(heading: string): Promise<string[][]> {
  const lines = (await readFile(join(ROOT, PAGE), 'utf8')).split('\n');
  const start = lines.findIndex((line) => line.startsWith(`| ${heading} |`));
  if (start < 0) throw new Error(`${PAGE} has no table "${heading}"`);
  const rows = lines.slice(start + 2);
  const end = rows.findIndex((line) => !line.startsWith('|'));
  return rows.slice(0, end).map((line) => line.split('|').slice(1, -1).map(plain));
}

const plain = (cell: string): string => cell.trim().replaceAll('`', '');
const firsts = async (heading: string): Promise<string[]> => (await table(heading)).map(([first = '']) => first);

test('the metrics are those of the source, with instrument, unit and description', async () => {
  const rows = (await table('Metric | Instrument')).map((cells) => cells.slice(0, 4));
  expect(rows).toEqual(
    Object.values(METRICS).map(({ name, instrument, unit, description }) => [name, instrument, unit, description]),
  );
});

test('spans, span events and attributes are those of the source', async () => {
  expect(await firsts('Span')).toEqual(Object.values(SPANS));
  expect(await firsts('Span event')).toEqual(Object.values(SPAN_EVENTS));
  expect(await firsts('Attribute')).toEqual(expect.arrayContaining(Object.values(ATTRIBUTES)));
  expect(await firsts('Attribute')).toHaveLength(Object.values(ATTRIBUTES).length);
});

test('the channels are those of the source', async () => {
  expect(await firsts('Channel')).toEqual([...Object.values(CHANNELS), ...Object.values(EVENT_CHANNELS)]);
});

test('attributes of metrics, and metrics to alert on, are among those', async () => {
  const attributes = (await table('Metric | Instrument')).flatMap(([, , , , cell = '']) => cell.split(', '));
  expect(new Set(attributes.filter((each) => each !== ''))).toEqual(
    new Set([ATTRIBUTES.operation, ATTRIBUTES.outcome, ATTRIBUTES.errorType, ATTRIBUTES.forced, ATTRIBUTES.resource]),
  );
  const alerts = (await firsts('Metric | Alert when')).flatMap((cell) => cell.match(/lock\.client\.[a-z.]+/g) ?? []);
  const names = Object.values(METRICS).map(({ name }) => name);
  expect(alerts.length).toBeGreaterThan(5);
  expect(alerts.filter((name) => !names.includes(name))).toEqual([]);
});

test('the instrumentation scope is the package, with its version', async () => {
  const { name, version } = JSON.parse(await readFile(join(ROOT, 'packages/core/package.json'), 'utf8'));
  expect([SCOPE_NAME, SCOPE_VERSION]).toEqual([name, version]);
});
