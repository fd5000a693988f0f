// How long a student waits for the page on a cheap phone behind a village's line: a browser slowed
// down four times, 1.5 Mbit/s, nothing in its cache.

import { aimed, byId, launch, test, visit } from "./harness.mjs";

const CPU_SLOWER = 4;
const LINE = { latency: 40, downloadThroughput: 1_500_000 / 8, uploadThroughput: 750_000 / 8 };
const AIM_MS = 2000;

export async function firstLoad({ links }) {
  const browser = await launch();
  await test("a student's page is there soon on a slow phone behind a slow line", async () => {
    let cdp;
    let bytes = 0;
    const page = await visit(browser, "first load", links.student, {
      size: [360, 740],
      before: async (fresh) => {
        cdp = await fresh.context().newCDPSession(fresh);
        await cdp.send("Network.enable");
        cdp.on("Network.loadingFinished", ({ encodedDataLength }) => {
          bytes += encodedDataLength;
        });
        await cdp.send("Network.emulateNetworkConditions", { offline: false, ...LINE });
        await cdp.send("Emulation.setCPUThrottlingRate", { rate: CPU_SLOWER });
        // In time is what can be pressed: it is there, painted, and the page is free to hear it.
        await fresh.addInitScript(() => {
          new MutationObserver((_changes, observer) => {
            if (!document.querySelector('[data-testid="hand"]:enabled')) return;
            observer.disconnect();
            requestAnimationFrame(() => {
              setTimeout(() => {
                window.__interactiveMs = performance.now();
              });
            });
          }).observe(document, { childList: true, subtree: true });
        });
      },
    });
    await page.waitForFunction(() => window.__interactiveMs > 0);
    const took = await page.evaluate(() => window.__interactiveMs);
    const loaded = bytes;
    await byId(page, "hand").click();
    await byId(page, "says").filter({ hasText: "已举手" }).waitFor();
    return `interactive after ${aimed(took, AIM_MS)}; ${(loaded / 1000).toFixed(0)} kB`;
  });
}
