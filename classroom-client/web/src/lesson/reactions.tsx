// The reactions to choose from: whether it was understood first, and larger.

import { CircleCheckBig, CircleQuestionMark, Heart, Laugh, PartyPopper, ThumbsUp } from "lucide";
import { classWords } from "../i18n/sections/class.ts";
import type { ReactionKind } from "../protocol/interactions.ts";
import { Icon } from "../ui/icon.tsx";

const ICONS = {
  understood: CircleCheckBig,
  "not-understood": CircleQuestionMark,
  "thumbs-up": ThumbsUp,
  clap: PartyPopper,
  heart: Heart,
  laugh: Laugh,
};

export const REACTIONS = Object.keys(ICONS) as ReactionKind[];

export function Reactions({ onPick }: { onPick: (reaction: ReactionKind) => void }) {
  const words = classWords.value.reaction;
  return (
    <div class="reactions">
      {REACTIONS.map((reaction) => (
        <button
          key={reaction}
          type="button"
          class="reaction"
          data-testid={`react-${reaction}`}
          onClick={() => onPick(reaction)}
        >
          <Icon of={ICONS[reaction]} size={28} />
          {words[reaction]}
        </button>
      ))}
    </div>
  );
}
