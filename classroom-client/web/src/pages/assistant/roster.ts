// The names of a class, typed once and kept on this phone alone: what is reported are numbers of
// the list, never names. Pure but for the store it is given.

/** As many as a head count may tick. */
export const MOST_NAMES = 200;
/** The longest name, in characters. */
const NAME_MOST = 40;

export interface Pupil {
  /** The pupil's number on the list; kept when others come or go. */
  id: string;
  name: string;
}

export type Store = Pick<Storage, "getItem" | "setItem" | "removeItem">;

const rosterKey = (school: string, classroom: string) =>
  `cloudschool.roster:${school}:${classroom}`;

/**
 * The list as it was typed, one name a line. Who was on it before keeps the number; two of one
 * name are two pupils.
 */
export function readNames(typed: string, before: readonly Pupil[]): Pupil[] {
  const names = typed
    .split(/[\n\r]+/)
    .map((line) => line.replace(/\s+/g, " ").trim().slice(0, NAME_MOST))
    .filter((name) => name !== "")
    .slice(0, MOST_NAMES);
  const known = [...before];
  const taken = new Set(before.map(({ id }) => id));
  let next = 1;
  return names.map((name) => {
    const at = known.findIndex((pupil) => pupil.name === name);
    const [same] = at < 0 ? [] : known.splice(at, 1);
    if (same) return same;
    while (taken.has(String(next))) next += 1;
    const id = String(next);
    taken.add(id);
    return { id, name };
  });
}

export class Roster {
  readonly #store: Store;
  readonly #key: string;

  constructor(store: Store, school: string, classroom: string) {
    this.#store = store;
    this.#key = rosterKey(school, classroom);
  }

  load(): Pupil[] {
    try {
      const kept: unknown = JSON.parse(this.#store.getItem(this.#key) ?? "[]");
      if (!Array.isArray(kept)) return [];
      return (kept as Partial<Pupil>[]).flatMap(({ id, name }) =>
        typeof id === "string" && typeof name === "string" ? [{ id, name }] : [],
      );
    } catch {
      return [];
    }
  }

  save(pupils: readonly Pupil[]): void {
    if (pupils.length === 0) this.#store.removeItem(this.#key);
    else this.#store.setItem(this.#key, JSON.stringify(pupils));
  }
}

/** A count within what the lesson takes. */
export function countOf(typed: string | number, most = 200): number {
  const value = typeof typed === "number" ? typed : Number.parseInt(typed.normalize("NFKC"), 10);
  return Number.isFinite(value) ? Math.min(most, Math.max(0, Math.trunc(value))) : 0;
}
