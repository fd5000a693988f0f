// Why a camera, microphone or screen can't be used, and what helps.

import { CircleAlert } from "lucide";
import { t } from "../i18n/index.ts";
import type { MediaProblem } from "../media/problem.ts";
import type { Kind } from "../protocol/words.ts";
import { Button } from "../ui/controls.tsx";
import { Icon } from "../ui/icon.tsx";

interface Props {
  of: "video" | "audio" | "both" | "screen";
  problem: MediaProblem;
  onRetry?: () => void;
}

export function MediaProblemView({ of, problem, onRetry }: Props) {
  const words = t.value.problem;
  const { what, advice } = words[problem];
  return (
    <div class="problem" role="alert" data-testid={`problem-${of}`} data-problem={problem}>
      <Icon of={CircleAlert} />
      <div>
        <p class="problem-what">
          {words[of]}
          {t.value.common.colon}
          {what}
        </p>
        <p>{advice}</p>
        {onRetry && <Button onClick={onRetry}>{t.value.check.retry}</Button>}
      </div>
    </div>
  );
}

/** What is wrong with camera and microphone; said once when it is the same with both. */
export function OwnMediaProblems(props: {
  problems: Partial<Record<Kind, MediaProblem>>;
  onRetry?: () => void;
}) {
  const { video, audio } = props.problems;
  const retry = props.onRetry ? { onRetry: props.onRetry } : {};
  if (video && video === audio) return <MediaProblemView of="both" problem={video} {...retry} />;
  return (
    <>
      {video && <MediaProblemView of="video" problem={video} {...retry} />}
      {audio && <MediaProblemView of="audio" problem={audio} {...retry} />}
    </>
  );
}
