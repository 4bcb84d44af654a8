/**
 * The runs of runs.mjs as what is to be searched, and what each must find. run.mjs does them.
 */
import { CAUGHT, CONFIGURATIONS, ECONOMY, SITUATIONS } from './runs.mjs';

const QUEUE = /** @type {const} */ ('queue');
const NOTHING = /** @type {const} */ ('nothing');
const SOMETHING = /** @type {const} */ ('something');

/**
 * @typedef {object} Job
 * @property {string} name
 * @property {'queue' | 'lease'} model
 * @property {string} defines
 * @property {number} [live] the caller whose progress is checked; absent: safety
 * @property {'nothing' | 'something'} expected what is to be found
 * @property {string} [sought] how that begins
 * @property {string} [why] what is saved, where nothing is found without a rule
 * @property {string} [part] of which of the tables it is
 */

/**
 * What takes a moment first.
 * @returns {Job[]}
 */
export function jobs() {
  return [
    ...SITUATIONS.map(({ name, defines }) => ({
      name: `occurs: ${name}`,
      model: QUEUE,
      defines: `${defines} -DWITNESS=${name}`,
      expected: SOMETHING,
      sought: 'it occurs',
      part: 'situations',
    })),
    ...CAUGHT.map(({ name, rule, model, defines, live }) => ({
      name: `without: ${rule}`,
      model: model ?? QUEUE,
      defines: `${defines} -D${name}`,
      ...(live !== undefined && { live }),
      expected: SOMETHING,
      part: 'rules',
    })),
    ...CONFIGURATIONS.map((job) => ({ ...job, expected: NOTHING, part: 'configurations' })),
    ...ECONOMY.flatMap(economyJobs),
  ];
}

/**
 * A rule that only saves something; and, where another does its work too, both switched off.
 * @param {(typeof ECONOMY)[number]} rule
 * @returns {Job[]}
 */
function economyJobs({ name, rule, model: only, defines, why, caughtWith }) {
  const model = only ?? QUEUE;
  const alone = `${defines} -D${name}`;
  const part = 'economy';
  /** @type {Job[]} */
  const jobs = [{ name: `economy: ${rule}`, model, defines: alone, expected: NOTHING, why, part }];
  if (caughtWith === undefined) return jobs;
  const both = { name: `without: ${rule}, and ${caughtWith}`, model, defines: `${alone} -D${caughtWith}`, part };
  return [...jobs, { ...both, expected: SOMETHING }];
}
