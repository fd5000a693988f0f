// The visible way to sound where the browser wants a touch first.

import { Volume2 } from "lucide";
import { t } from "../i18n/index.ts";
import { Button } from "../ui/controls.tsx";
import type { LessonSession } from "./session.ts";

export function SoundGate({ session }: { session: LessonSession }) {
  if (!session.sounds.blocked.value) return null;
  return (
    <div class="sound-gate">
      <Button
        look="accent"
        icon={Volume2}
        testId="play-sound"
        title={t.value.sound.blocked}
        onClick={() => session.sounds.unblock()}
      >
        {t.value.sound.play}
      </Button>
    </div>
  );
}
