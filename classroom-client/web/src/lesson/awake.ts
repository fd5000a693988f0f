// Who watches a lesson touches nothing for long.

/** Keeps the screen from going dark in the middle of a lesson, where the browser can. */
export async function keepAwake(): Promise<void> {
  const hold = async () => {
    if (document.visibilityState === "visible" && "wakeLock" in navigator) {
      await navigator.wakeLock.request("screen").catch(() => undefined);
    }
  };
  // The browser lets go of it whenever the page is hidden.
  document.addEventListener("visibilitychange", () => void hold());
  await hold();
}
