// Which m-line of the watch connection shows which track. Pure, so that the rule that a
// picture never jumps to another m-line while it is watched can be tested as a value.

import { type Kind, type TrackId, trackKind, type Voice } from "../protocol/words.ts";

/** What an m-line may show. */
export type Shown = TrackId | Voice;

export interface SlotState {
  mid: string;
  kind: Kind;
  track: Shown | null;
}

export interface SlotPlan {
  /** M-lines to bind anew. */
  changes: { mid: string; track: Shown | null }[];
  /** M-lines missing, by kind: offer more, then plan again. */
  missing: Record<Kind, number>;
}

/** What has to change for exactly `wanted` to be shown. */
export function planSlots(slots: readonly SlotState[], wanted: readonly Shown[]): SlotPlan {
  const want = new Set(wanted);
  const shown = new Set<Shown>();
  const free: SlotState[] = [];
  for (const slot of slots) {
    if (slot.track !== null && want.has(slot.track)) shown.add(slot.track);
    else free.push(slot);
  }
  const changes: SlotPlan["changes"] = [];
  const missing = { audio: 0, video: 0 };
  for (const track of want) {
    if (shown.has(track)) continue;
    const kind = trackKind(track);
    // An empty m-line first: the last picture of another then never shows for a moment.
    let place = free.findIndex((slot) => slot.kind === kind && slot.track === null);
    if (place < 0) place = free.findIndex((slot) => slot.kind === kind);
    const [slot] = place < 0 ? [] : free.splice(place, 1);
    if (slot) changes.push({ mid: slot.mid, track });
    else missing[kind] += 1;
  }
  for (const slot of free) if (slot.track !== null) changes.push({ mid: slot.mid, track: null });
  return { changes, missing };
}
