// How someone enters: which page, which lesson, with which token.

/** What the address says. The token never leaves the fragment, so no server logs it. */
export interface Entry {
  lesson: string;
  token: string;
  lang: string | null;
}

const TOKEN_KEY = "cloudschool.token:";

/** The lesson in `/teacher/{lesson}` and its kin; empty where there is none. */
export function lessonOf(path: string): string {
  const [, , lesson = ""] = path.split("/");
  try {
    return decodeURIComponent(lesson);
  } catch {
    return "";
  }
}

/** The fragment's parameters; an address without `=` has none. */
export function fragmentOf(hash: string): URLSearchParams {
  return new URLSearchParams(hash.replace(/^#/, ""));
}

/**
 * Reads the address, keeps the token for a reload of this tab, and takes it out of the
 * address bar: a teacher's shared screen shows it to the whole school.
 */
export function readEntry(): Entry {
  const fragment = fragmentOf(location.hash);
  const lesson = lessonOf(location.pathname);
  const key = TOKEN_KEY + location.pathname;
  const given = fragment.get("token");
  if (given) {
    sessionStorage.setItem(key, given);
    fragment.delete("token");
    const rest = fragment.toString();
    history.replaceState(null, "", location.pathname + location.search + (rest ? `#${rest}` : ""));
  }
  return {
    lesson,
    token: given ?? sessionStorage.getItem(key) ?? "",
    lang: fragment.get("lang"),
  };
}

/** `address` with the token (and more) in its fragment. */
export function withToken(address: string, fragment: Record<string, string>): string {
  const url = new URL(address, location.href);
  const parameters = fragmentOf(url.hash);
  for (const [key, value] of Object.entries(fragment)) parameters.set(key, value);
  url.hash = parameters.toString();
  return url.href;
}

/** Roles with a page of their own, which is called like them. */
const OWN_PAGES = ["teacher", "classroom", "student", "assistant", "observer"] as const;

/** The page a role belongs to. */
export function pageOfRole(role: string): (typeof OWN_PAGES)[number] {
  // Who looks after the installation looks on from a student's seat.
  return OWN_PAGES.find((page) => page === role) ?? "student";
}

/** What a token says of who holds it; the node checks it, this only reads. */
export interface Holder {
  member: string;
  role: string;
  lesson?: string;
}

export function holderOf(token: string): Holder | undefined {
  try {
    const payload = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(payload), (c) => c.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    const { sub, role, lesson } = claims as { sub?: unknown; role?: unknown; lesson?: unknown };
    if (typeof role !== "string") return undefined;
    const holder = { member: typeof sub === "string" ? sub : "", role };
    return typeof lesson === "string" ? { ...holder, lesson } : holder;
  } catch {
    return undefined;
  }
}
