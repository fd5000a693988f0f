// How long to wait before trying again.

const FIRST_MS = 500;
/** A class waits in front of a screen: try again often enough … */
const LONGEST_MS = 8_000;

/**
 * Milliseconds before the given attempt (0 is the first after a break). `random` in 0…1
 * spreads it by a quarter each way: … and not all schools at once when a node comes back.
 */
export function retryDelay(attempt: number, random: number): number {
  return Math.min(FIRST_MS * 2 ** attempt, LONGEST_MS) * (0.75 + random * 0.5);
}
