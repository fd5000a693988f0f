// What we hold to be good for children in front of a screen at home. A school that sees it
// otherwise changes these numbers; nothing else depends on them. None of it applies to a
// classroom, where a teacher is in the room.

/** Looking at the screen for so long asks for a rest of the eyes: 20 minutes. */
export const LOOK_MS = 20 * 60_000;

/** The rest: 20 seconds of looking far away, the least at which the eye relaxes its focus. */
export const REST_MS = 20_000;

/** A rest put off is asked for again after this. */
export const PUT_OFF_MS = 2 * 60_000;

/** In one day at home; after it the lesson goes on by sound alone unless the child wants pictures. */
export const DAY_MS = 120 * 60_000;

/** Time away from the screen that counts as a rest without being asked. */
export const AWAY_RESTS_MS = 60_000;
