/** Which texts are IP addresses. */
import { isIP } from 'node:net';

/** 4 or 6: the version of IP that a text is an address of; 0: it is none. An address with a zone is none here. */
export function ipVersionOf(text: string): number {
  return text.includes('%') ? 0 : isIP(text);
}
