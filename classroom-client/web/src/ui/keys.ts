// Keys that do what a tool does. They keep silent while someone types or a dialog is open.

import { useEffect } from "preact/hooks";

type Keys = Record<string, (() => void) | undefined>;

export function useKeys(keys: Keys): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
      const target = event.target as HTMLElement | null;
      if (target?.closest("input, select, textarea, dialog")) return;
      // A focused button takes Space and Enter for itself.
      if (target?.closest("button, a") && (event.key === " " || event.key === "Enter")) return;
      const action = keys[event.key === " " ? "Space" : event.key.toUpperCase()];
      if (!action) return;
      event.preventDefault();
      action();
    };
    document.addEventListener("keydown", onKey);
    return () => document.removeEventListener("keydown", onKey);
  });
}
