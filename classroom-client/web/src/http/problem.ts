// What a service of ours says when it does not do what was asked.

/** The node's refusal of an HTTP request, with its sentence (RFC 9457). */
export class HttpProblem extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }

  /** Whether the same request may succeed a little later. */
  get passing(): boolean {
    return this.status >= 500 || this.status === 408 || this.status === 409 || this.status === 429;
  }
}

/** Reads what went wrong from a response that is not a success. */
export async function problemOf(response: Response): Promise<HttpProblem> {
  let detail = `HTTP ${response.status}`;
  try {
    const problem: unknown = await response.json();
    if (typeof problem === "object" && problem !== null) {
      const { detail: said, title } = problem as { detail?: unknown; title?: unknown };
      if (typeof said === "string" && said) detail = said;
      else if (typeof title === "string" && title) detail = title;
    }
  } catch {
    // Not from our node (a proxy, perhaps): the status has to do.
  }
  return new HttpProblem(response.status, detail);
}
