// Where a tile lies on the page: parts of the way from the left and from the top, so that it
// stays on the page when the phone is turned.

export interface Place {
  /** 0 at the left edge, 1 at the right. */
  x: number;
  /** 0 at the top, 1 at the bottom. */
  y: number;
}

/** Over the large picture's upper right corner, below the header of a phone held upright. */
export const START: Place = { x: 1, y: 0.09 };

const within = (part: number) => Math.min(1, Math.max(0, part));

export function moved({ x, y }: Place, right: number, down: number): Place {
  return { x: within(x + right), y: within(y + down) };
}

/** What was kept; `undefined` for nothing, or nothing of ours. */
export function readPlace(text: string | null): Place | undefined {
  try {
    const kept: unknown = JSON.parse(text ?? "");
    if (typeof kept !== "object" || kept === null) return undefined;
    const { x, y } = kept as Partial<Place>;
    if (!Number.isFinite(x) || !Number.isFinite(y)) return undefined;
    return moved({ x: 0, y: 0 }, Number(x), Number(y));
  } catch {
    return undefined;
  }
}
