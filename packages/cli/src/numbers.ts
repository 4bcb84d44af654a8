/** Whole numbers of the command line, with their range. */
import { usage } from './exit-codes.js';

/** The number; throws a usage failure that names the option and the range. */
export function wholeNumber(
  option: string,
  text: string,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw usage(`${option} must be a whole number from ${least} to ${most}.`);
}
