// Who drew what: the upper 21 bits of a member's Yjs client ids, and the keys of what it draws,
// name it. Nodes check both (`protocol/src/board.rs`), so nobody draws in another's name.

/** FNV-1a (32 bit) of the member's id, folded to 21 bits. */
export function authorOf(member: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(member)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return ((hash ^ (hash >>> 21)) >>> 0) & 0x1fffff;
}

/** A Yjs client id for one page of the member, `random` being 32 bits of chance. */
export function clientId(member: string, random = randomWord()): number {
  return authorOf(member) * 2 ** 32 + random;
}

function randomWord(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
}

/** A new key for something this author draws. */
export function newKey(author: number): string {
  return `${author.toString(36)}.${(randomWord() * 2 ** 16 + (randomWord() & 0xffff)).toString(36)}`;
}
