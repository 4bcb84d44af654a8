/**
 * Links inside the repository: the file exists, and so does the heading. What lies outside is only looked at for its form, for a check must not
 * depend on somebody else's server.
 */
import { posix } from 'node:path';

/**
 * One sentence for each link that leads nowhere.
 * @param {readonly import('./markdown.mjs').Page[]} pages
 * @param {readonly string[]} files every file that a link may lead to
 */
export function brokenLinks(pages, files) {
  const known = new Set(files);
  const folders = new Set(files.flatMap(foldersOf));
  const byName = new Map(pages.map((page) => [page.name, page]));
  return pages.flatMap((page) =>
    page.links.flatMap(({ line, target }) => {
      const wrong = problemOf(target, page.name, { known, folders, byName });
      return wrong === undefined ? [] : [`${page.name}:${line} links to ${target}: ${wrong}`];
    }),
  );
}

/** @param {string} file */
function foldersOf(file) {
  const parts = file.split('/').slice(0, -1);
  return parts.map((_, index) => parts.slice(0, index + 1).join('/'));
}

/**
 * @param {string} target
 * @param {string} from
 * @param {{ known: Set<string>, folders: Set<string>, byName: Map<string, import('./markdown.mjs').Page> }} where
 */
function problemOf(target, from, { known, folders, byName }) {
  if (/^[a-z][a-z0-9+.-]*:/i.test(target)) return outside(target);
  const [path = '', anchor] = target.split('#', 2);
  const file = path === '' ? from : posix.join(posix.dirname(from), decodeURI(path)).replace(/\/$/, '');
  if (!known.has(file) && !folders.has(file)) return 'there is no such file';
  if (anchor === undefined) return undefined;
  const page = byName.get(file);
  if (page === undefined) return 'only pages have anchors that are checked';
  return page.anchors.has(decodeURIComponent(anchor)) ? undefined : 'that page has no such heading';
}

/** @param {string} target */
function outside(target) {
  if (target.startsWith('mailto:')) return undefined;
  return target.startsWith('https://') && URL.canParse(target) ? undefined : 'neither a path nor an https address';
}
