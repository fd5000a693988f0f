// Why a camera, microphone or screen can't be used, in kinds that have advice for people.

export type MediaProblem =
  /** The person or the browser's settings said no. */
  | "denied"
  /** The operating system keeps the browser from it. */
  | "denied-by-system"
  /** There is none. */
  | "missing"
  /** Another program has it. */
  | "busy"
  /** The page is not on HTTPS (or localhost): browsers give no camera then. */
  | "insecure"
  /** It was unplugged while in use. */
  | "unplugged"
  | "unknown";

/** Sorts what `getUserMedia` or `getDisplayMedia` threw. */
export function mediaProblem(error: unknown, secure: boolean): MediaProblem {
  if (!secure) return "insecure";
  const { name, message } = error as { name?: string; message?: string };
  switch (name) {
    case "NotAllowedError":
      return /system/i.test(message ?? "") ? "denied-by-system" : "denied";
    case "SecurityError":
      return "denied";
    case "NotFoundError":
    case "OverconstrainedError":
      return "missing";
    case "NotReadableError":
    case "AbortError":
      return "busy";
    default:
      return "unknown";
  }
}
