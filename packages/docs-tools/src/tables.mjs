/**
 * The tables of options, errors and events as the docs show them, made from the sources and put between the markers of a page:
 * `<!-- table: errors -->` … `<!-- /table -->`. `npm run fix:docs` writes them; the tests hold the committed text against them.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ROOT } from '../../../tools/command.mjs';
import { readSource } from './source.mjs';

/** @typedef {import('./source.mjs').Source} Source */
/** @typedef {import('./source.mjs').Member} Member */
/** @typedef {number | ((leaseMS: number) => number)} Limit */
/** @typedef {Readonly<Record<string, { unit: string, fallback: Limit, min: number, max: Limit, maxName?: string, reason: string }>>} Numbers the core's `NUMBER_OPTIONS` */
/** @typedef {{ options: Source, errors: Source, events: Source, numbers: Numbers }} Sources */

const DAY_MS = 86_400_000;
const MARKED = /(<!-- table: ([\w-]+) -->\n)([\s\S]*?)(<!-- \/table -->)/g;

/** @type {Record<string, (sources: Sources) => string>} */
const TABLES = {
  options: optionsTable,
  sources: sourcesTable,
  errors: errorsTable,
  events: eventsTable,
};

/**
 * @param {string} [root]
 * @returns {Promise<Sources>}
 */
export async function readSources(root = ROOT) {
  const [options, errors, events] = await Promise.all(
    ['options.ts', 'errors.ts', 'events.ts'].map((name) => readSource(name, root)),
  );
  if (options === undefined || errors === undefined || events === undefined)
    throw new Error('The sources are not to be had.');
  const numbers = /** @type {Numbers | undefined} */ (options.constants.get('NUMBER_OPTIONS'));
  if (numbers === undefined) throw new Error('The sources have no table of options any more.');
  return { options, errors, events, numbers };
}

/**
 * The page with every marked table as the sources give it.
 * @param {string} text
 * @param {Sources} sources
 */
export function withTables(text, sources) {
  return text.replace(MARKED, (_, opening, name, _old, closing) => {
    const table = TABLES[name];
    if (table === undefined)
      throw new Error(`There is no table "${name}"; there are ${Object.keys(TABLES).join(', ')}.`);
    return `${opening}\n${table(sources)}\n\n${closing}`;
  });
}

/**
 * The pages that hold other tables than the sources give.
 * @param {readonly string[]} names
 * @param {Sources} sources
 * @param {{ fixes?: 'fix', root?: string }} [how]
 * @returns {Promise<string[]>}
 */
export async function stalePages(names, sources, { fixes, root = ROOT } = {}) {
  const stale = [];
  for (const name of names) {
    const text = await readFile(join(root, name), 'utf8').catch(() => '');
    const fresh = withTables(text, sources);
    if (fresh === text) continue;
    stale.push(name);
    if (fixes) await writeFile(join(root, name), fresh);
  }
  return stale;
}

/**
 * Numbers that a doc comment says and the table of the options does not.
 * @param {Sources} sources
 */
export function disagreements({ options, numbers }) {
  return membersOf(options, 'LockSettings').flatMap(({ name, doc }) => {
    const row = numbers[name];
    if (row === undefined) return [];
    const [, fallback] = /\bdefault (\d[\d,]*\d|\d)/.exec(doc) ?? [];
    const [, min] = /\bfrom (\d[\d,]*) to\b/i.exec(doc) ?? [];
    const [, max] = /\bfrom [\d,]+ to (\d[\d,]*\d|\d)/i.exec(doc) ?? [];
    /** @type {[string | undefined, Limit, string][]} */
    const said = [
      [fallback, row.fallback, 'default'],
      [min, row.min, 'minimum'],
      [max, row.max, 'maximum'],
    ];
    return said
      .filter(([text, value]) => text !== undefined && text !== count(amountOf(value, numbers)))
      .map(([text, , what]) => `${name}: its doc comment has ${text} for the ${what}`);
  });
}

/** @param {Sources} sources */
function optionsTable({ options, numbers }) {
  const rows = membersOf(options, 'LockSettings').map((member) => {
    // What the doc comment says and the reason of the limits, no sentence twice.
    const what = [...purpose(member.doc), ...sentences(numbers[member.name]?.reason ?? '')];
    return [code(member.name), fallbackOf(member, numbers), rangeOf(member, numbers), [...new Set(what)].join(' ')];
  });
  return table(['Option', 'Default', 'Range', 'What it is for'], rows);
}

/** @param {Sources} sources */
function sourcesTable({ options }) {
  const rows = [...options.declared.values()]
    .filter(({ name }) => /^\w+Source$/.test(name))
    .map(({ members, doc }) => {
      const names = members.filter(({ type }) => type !== 'undefined');
      return [names.map(({ name, optional }) => code(optional ? `${name}?` : name)).join(', '), doc];
    });
  return table(['Given', 'What it is'], rows);
}

/** @param {Sources} sources */
function errorsTable({ errors }) {
  const rows = errorClasses(errors).map(({ name, value, retryable, when, remedy, facts }) => {
    return [code(value), code(name), retryable, when, remedy, facts];
  });
  return table(['`code`', 'Class', 'Retryable', 'When', 'What to do', 'Facts'], rows);
}

/** @param {Source} errors */
function errorClasses(errors) {
  return [...errors.declared.values()].flatMap(({ name, doc, members }) => {
    const value = members.find((member) => member.name === 'code')?.type;
    if (value === undefined || !/^'\w+'$/.test(value)) return [];
    const [what = '', remedy = ''] = doc.split(' What to do: ');
    if (remedy === '') throw new Error(`${name}: its doc comment does not say "What to do: …".`);
    const facts = members.filter((member) => member.name !== 'code' && member.name !== 'retryable');
    return [
      {
        name,
        value: value.slice(1, -1),
        retryable: members.find((member) => member.name === 'retryable')?.type === 'true' ? 'yes' : 'no',
        when: capital(what.replace(/^`\w+`: /, '')),
        remedy: capital(remedy),
        facts: facts.map((member) => code(member.name)).join(', '),
      },
    ];
  });
}

/** @param {Sources} sources */
function eventsTable({ events }) {
  const rows = membersOf(events, 'LockEvents').map(({ name, type, doc }) => {
    const payload = /: (\w+)/.exec(type)?.[1] ?? '';
    const what = doc === '' ? (events.declared.get(payload)?.doc ?? '') : doc;
    const fields = membersOf(events, payload).map((field) => code(field.optional ? `${field.name}?` : field.name));
    return [code(name), what, code(payload), fields.join(', ')];
  });
  return table(['Event', 'When', 'Payload', 'Fields'], rows);
}

/**
 * The members of an interface, those of what it extends first.
 * @param {Source} source
 * @param {string} name
 * @returns {Member[]}
 */
function membersOf(source, name) {
  const declared = source.declared.get(name);
  if (declared === undefined) throw new Error(`The sources have no "${name}".`);
  const inherited = declared.parents.filter((parent) => source.declared.has(parent));
  return [...inherited.flatMap((parent) => membersOf(source, parent)), ...declared.members];
}

/** @param {Member} member @param {Numbers} numbers */
function fallbackOf({ name, doc }, numbers) {
  const row = numbers[name];
  if (row === undefined) return /\bdefault:? ([^.;]*(?:\.\w[^.;]*)*)/i.exec(doc)?.[1] ?? '';
  const value = count(amountOf(row.fallback, numbers));
  return typeof row.fallback === 'function' ? `${value} (with the default lease)` : value;
}

/** @param {Member} member @param {Numbers} numbers */
function rangeOf({ name, doc }, numbers) {
  const row = numbers[name];
  if (row === undefined) return /up to [\d,]+ \w+/i.exec(doc)?.[0].toLowerCase() ?? '';
  const max = amountOf(row.max, numbers);
  const highest = row.unit === 'ms' && max === DAY_MS ? 'a day' : count(max);
  return `${count(row.min)} to ${row.maxName?.replace(/\b\w+MS\b/, code) ?? highest}`;
}

/** @param {Limit} limit @param {Numbers} numbers @returns {number} */
function amountOf(limit, numbers) {
  if (typeof limit === 'number') return limit;
  return limit(Number(numbers.leaseDurationMS?.fallback));
}

/** A doc comment without the sentences that the columns beside it say. @param {string} doc */
function purpose(doc) {
  return sentences(doc).filter(
    (sentence) => !/^(Milliseconds\b|From [\d,]+ to\b|Up to [\d,]+ \w+)|\bdefault\b/i.test(sentence),
  );
}

const sentences = (/** @type {string} */ text) => text.split(/(?<=\.) (?=[A-Z`"])/);
const capital = (/** @type {string} */ text) => text.charAt(0).toUpperCase() + text.slice(1);
const count = (/** @type {number} */ value) => value.toLocaleString('en-US');
const code = (/** @type {string} */ text) => `\`${text}\``;

/**
 * @param {string[]} head
 * @param {string[][]} rows
 */
function table(head, rows) {
  const line = (/** @type {string[]} */ cells) => `| ${cells.map((cell) => cell.replace(/\|/g, '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}
