/**
 * What was found, as the Markdown of README.md: one line for each run, and which rule is found by what. run.mjs
 * calls it when it records.
 */
import { cpus, totalmem } from 'node:os';
import { RULES, simulatedEconomies } from './rules.mjs';
import { CAUGHT, ECONOMY } from './runs.mjs';

const NOTHING = ' (nothing breaks)';

const PARTS = /** @type {const} */ ([
  ['configurations', 'Nothing may be found'],
  ['situations', 'Must occur'],
  ['rules', 'Without one rule'],
  ['economy', 'Without what is economy'],
]);

/**
 * @param {readonly import('./run.mjs').Result[]} results
 * @param {string} version what Spin says of itself
 */
export async function tablesOf(results, version) {
  const unexpectedCount = results.filter(({ passed }) => !passed).length;
  const seconds = results.reduce((sum, { found }) => sum + (Number(found.seconds) || 0), 0);
  const date = new Date().toISOString().slice(0, 10);
  const machine = `${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GB`;
  const counts = `${results.length} runs, ${results.length - unexpectedCount} as expected, ${unexpectedCount} not`;
  return [
    `${date}, ${version}, Node.js ${process.version}, ${machine}: ${counts}, ${(seconds / 60).toFixed(1)} minutes of one core for the searches.`,
    '',
    'Every search is exhaustive: none is cut off by depth, memory or time, none uses bit-state hashing. Where an error is found the figures are those until then;',
    'seconds are those of the processor; memory includes a table and a stack of 235 MB that every run begins with.',
    ...PARTS.flatMap(([part, title]) => [
      '',
      `### ${title}`,
      '',
      ...table(results.filter(({ job }) => job.part === part)),
    ]),
    '',
    '### What finds each rule',
    '',
    ...rulesTable(await simulatedEconomies()),
    '',
  ].join('\n');
}

/** @param {readonly import('./run.mjs').Result[]} results */
function table(results) {
  const head = ['Run', 'States stored', 'Depth', 'Seconds', 'MB', 'Expected', 'Found'];
  const rows = results.map(({ job, found, passed, text }) => [
    `${job.name.replace(/^(occurs|without|economy): /, '')} \`${switchesOf(job)}\``,
    found.states,
    found.depth,
    found.seconds,
    found.memory,
    job.expected === 'nothing' ? 'no error' : job.sought === undefined ? 'an error' : 'that it occurs',
    `${passed ? '' : '**not as expected:** '}${found.error ?? found.complaint ?? 'no error'}${passed && job.why ? ` (${text})` : ''}`,
  ]);
  return markdown(head, '|---|--:|--:|--:|--:|---|---|', rows);
}

/** @param {import('./jobs.mjs').Job} job */
function switchesOf({ defines, live }) {
  return `${defines}${live === undefined ? '' : ` -DLIVE=${live}`}`.replaceAll('-D', '');
}

/** @param {Set<string>} economies */
function rulesTable(economies) {
  const rows = RULES.map(({ rule, model = [], simulation = [], remark = '' }) => [
    rule,
    model.map((name) => `\`${name}\`${isEconomy(name) ? NOTHING : ''}`).join(', ') || '–',
    simulation.map((name) => `${name}${economies.has(name) ? NOTHING : ''}`).join('; ') || '–',
    [...model.map(whyOf), remark].filter(Boolean).join('; '),
  ]);
  return markdown(
    [
      'Condition or rule',
      'Model, without it',
      'Simulation, without it',
      'What is saved where nothing breaks, and other remarks',
    ],
    '|---|---|---|---|',
    rows,
  );
}

/** @param {string} name */
function isEconomy(name) {
  return !CAUGHT.some((caught) => caught.name === name);
}

/** @param {string} name */
function whyOf(name) {
  return ECONOMY.find((economy) => economy.name === name)?.why;
}

/**
 * @param {string[]} head
 * @param {string} line
 * @param {string[][]} rows
 */
function markdown(head, line, rows) {
  return [`| ${head.join(' | ')} |`, line, ...rows.map((cells) => `| ${cells.join(' | ')} |`)];
}
