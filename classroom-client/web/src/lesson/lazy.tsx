// A part of a page that is fetched when it is first shown, so that nobody waits for it who does
// not need it. While it comes it says so; where it does not come it can be asked for again.

import { RotateCw } from "lucide";
import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { classWords } from "../i18n/sections/class.ts";
import { Button } from "../ui/controls.tsx";

export function lazily<Props extends object>(
  load: () => Promise<ComponentType<Props>>,
): ComponentType<Props> {
  let ready: ComponentType<Props> | undefined;
  return function Lazily(props: Props) {
    const [attempt, setAttempt] = useState(0);
    const [at, setAt] = useState<"loading" | "ready" | "failed">(ready ? "ready" : "loading");
    useEffect(() => {
      if (ready) return;
      let shown = true;
      load()
        .then((component) => {
          ready = component;
          if (shown) setAt("ready");
        })
        .catch(() => {
          if (shown) setAt("failed");
        });
      return () => {
        shown = false;
      };
    }, [attempt]);
    const words = classWords.value;
    if (at === "ready" && ready) {
      const Ready = ready;
      return <Ready {...props} />;
    }
    return (
      <div class="lazy" role="status">
        {at === "failed" ? (
          <>
            <p>{words.loadFailed}</p>
            <Button
              icon={RotateCw}
              onClick={() => {
                setAt("loading");
                setAttempt(attempt + 1);
              }}
            >
              {words.loadAgain}
            </Button>
          </>
        ) : (
          <>
            <span class="spinner" />
            <p>{words.loading}</p>
          </>
        )}
      </div>
    );
  };
}
