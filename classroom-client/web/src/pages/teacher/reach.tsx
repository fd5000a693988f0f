// What of the lesson reaches a classroom's school, where that is less than everything: the
// teacher then speaks to what the class sees.

import { Signal as Bars } from "lucide";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import type { Member, SchoolRung } from "../../protocol/words.ts";
import { Icon } from "../../ui/icon.tsx";

/** What reaches a member's school: by its own node, else by any of the school's. */
export function reachOf(rungs: readonly SchoolRung[], member: Member): SchoolRung | undefined {
  return (
    rungs.find((rung) => rung.node === member.node) ??
    rungs.find((rung) => rung.school === member.school)
  );
}

interface Props {
  rung: SchoolRung | undefined;
  /** How long it has been so. */
  forMs: (rung: SchoolRung) => number;
}

export function Reach({ rung, forMs }: Props) {
  if (!rung || rung.rung === "full") return null;
  const words = t.value.teacher;
  const since = words.reachedFor(clock(Math.max(0, forMs(rung))));
  return (
    <span
      class="room-reach"
      data-testid={`reach-${rung.school}`}
      data-rung={rung.rung}
      title={`${words.reachedBecause[rung.reason]} · ${since}`}
    >
      <Icon of={Bars} size={14} />
      {words.reaches[rung.rung]}
    </span>
  );
}
