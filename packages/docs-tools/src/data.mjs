/**
 * Data blocks of the docs, parsed: JSON, JSON with comments, YAML. What they say is not looked at.
 */
import { parseAllDocuments } from 'yaml';

/**
 * @param {{ kind: string, code: string }} block
 * @returns {Promise<string[]>} what is wrong with it
 */
export async function dataProblems({ kind, code }) {
  if (kind === 'yaml') return parseAllDocuments(code).flatMap(({ errors }) => errors.map(({ message }) => message));
  if (kind === 'jsonc') {
    // The compiler takes half a second to load.
    const { default: ts } = await import('typescript');
    const { error } = ts.parseConfigFileTextToJson('block.jsonc', code);
    return error === undefined ? [] : [ts.flattenDiagnosticMessageText(error.messageText, '\n')];
  }
  try {
    JSON.parse(code);
    return [];
  } catch (error) {
    return [String(error)];
  }
}
