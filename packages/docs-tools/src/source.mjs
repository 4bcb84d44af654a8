/**
 * What the sources of the core say about options, errors and events: names, doc comments, the values of constants. Read from the text of the files
 * through TypeScript's parser, with no type checking, so that it takes no time. `tables.mjs` makes tables of it.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import ts from 'typescript';
import { ROOT } from '../../../tools/command.mjs';

/** @typedef {{ name: string, optional: boolean, type: string, doc: string }} Member */
/** @typedef {{ name: string, doc: string, parents: string[], members: Member[] }} Declared */

/**
 * @typedef {object} Source
 * @property {Map<string, Declared>} declared interfaces and classes by name
 * @property {Map<string, unknown>} constants values at the top level that follow from the file alone
 */

/**
 * @param {string} file in `packages/core/src`
 * @param {string} [root]
 */
export async function readSource(file, root = ROOT) {
  const path = join(root, 'packages/core/src', file);
  return parseSource(file, await readFile(path, 'utf8'));
}

/**
 * @param {string} name
 * @param {string} text
 * @returns {Source}
 */
export function parseSource(name, text) {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.ES2022, true);
  /** @type {Source} */
  const source = { declared: new Map(), constants: new Map() };
  for (const statement of file.statements) {
    if (ts.isInterfaceDeclaration(statement) || ts.isClassDeclaration(statement)) {
      const declared = declaredOf(statement);
      source.declared.set(declared.name, declared);
    }
    if (ts.isVariableStatement(statement)) readConstants(statement, source.constants);
  }
  return source;
}

/**
 * @param {ts.InterfaceDeclaration | ts.ClassDeclaration} node
 * @returns {Declared}
 */
function declaredOf(node) {
  const parents = (node.heritageClauses ?? []).flatMap(({ types }) => types.map((type) => type.expression.getText()));
  /** @type {Member[]} */
  const members = [];
  for (const member of node.members) {
    if (!ts.isPropertySignature(member) && !ts.isPropertyDeclaration(member)) continue;
    const initializer = ts.isPropertyDeclaration(member) ? member.initializer : undefined;
    members.push({
      name: ts.isStringLiteral(member.name) ? member.name.text : member.name.getText(),
      optional: member.questionToken !== undefined,
      type: (member.type ?? initializer)?.getText() ?? '',
      doc: docOf(member),
    });
  }
  return { name: node.name?.text ?? '', doc: docOf(node), parents, members };
}

/**
 * The doc comment of a node as one line of text.
 * @param {ts.Node} node
 */
function docOf(node) {
  const [doc] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc).slice(-1);
  const text = ts.getTextOfJSDocComment(doc?.comment) ?? '';
  return text.replace(/\s+/g, ' ').trim();
}

/**
 * Strings, numbers, templates and objects, functions in them too; what needs more than the constants before it is left out.
 * @param {ts.VariableStatement} statement
 * @param {Map<string, unknown>} constants
 */
function readConstants(statement, constants) {
  for (const { name, initializer } of statement.declarationList.declarations) {
    if (initializer === undefined) continue;
    const script = ts.transpileModule(`const evaluated = ${initializer.getText()};`, {
      compilerOptions: { target: ts.ScriptTarget.ES2022 },
    });
    try {
      const value = new Function(...constants.keys(), `${script.outputText}\nreturn evaluated;`)(...constants.values());
      constants.set(name.getText(), value);
    } catch {
      // It speaks of imports, or of functions of the file.
    }
  }
}
