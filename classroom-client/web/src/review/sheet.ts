// An observer's sheet: lines with points, changed here until they are submitted. Pure.

import type { Score } from "../protocol/interactions.ts";

/** As the lesson takes it. */
export const MOST_ROWS = 30;
export const CRITERION_MOST = 60;
const POINTS_MOST = 100;

/** A sheet with every criterion at ten points, none given yet. */
export function defaultSheet(criteria: Record<string, string>): Score[] {
  return Object.values(criteria).map((criterion) => ({ criterion, points: 0, of: 10 }));
}

function within(value: number, most: number): number {
  return Number.isFinite(value) ? Math.min(most, Math.max(0, Math.round(value))) : 0;
}

/** A line with another text, or other points; never more points than there are. */
export function withRow(sheet: readonly Score[], at: number, change: Partial<Score>): Score[] {
  return sheet.map((row, index) => {
    if (index !== at) return row;
    const next = { ...row, ...change };
    const of = Math.max(1, within(next.of, POINTS_MOST));
    return {
      criterion: next.criterion.slice(0, CRITERION_MOST),
      of,
      points: within(next.points, of),
    };
  });
}

export function total(sheet: readonly Score[]): { points: number; of: number } {
  return {
    points: sheet.reduce((sum, row) => sum + row.points, 0),
    of: sheet.reduce((sum, row) => sum + row.of, 0),
  };
}

/** What can be submitted: lines that say what they are about. */
export function submittable(sheet: readonly Score[]): Score[] {
  return sheet
    .map((row) => ({ ...row, criterion: row.criterion.trim() }))
    .filter((row) => row.criterion !== "");
}

export function sameSheet(a: readonly Score[], b: readonly Score[]): boolean {
  return (
    a.length === b.length &&
    a.every((row, at) => {
      const other = b[at];
      return (
        row.criterion === other?.criterion && row.points === other.points && row.of === other.of
      );
    })
  );
}

/** What was kept of a sheet; `undefined` for nothing, or nothing of ours. */
export function readSheet(text: string | null): Score[] | undefined {
  try {
    const kept: unknown = JSON.parse(text ?? "");
    if (!Array.isArray(kept)) return undefined;
    const rows = (kept as Partial<Score>[]).flatMap((row) =>
      typeof row?.criterion === "string" && Number.isFinite(row.points) && Number.isFinite(row.of)
        ? [{ criterion: row.criterion, points: Number(row.points), of: Number(row.of) }]
        : [],
    );
    return rows.slice(0, MOST_ROWS);
  } catch {
    return undefined;
  }
}
