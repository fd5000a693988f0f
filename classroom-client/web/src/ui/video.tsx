// A picture. Keeps the last frame on screen while its track is being exchanged.

import { useEffect, useRef } from "preact/hooks";

interface Props {
  track: MediaStreamTrack | undefined;
  label: string;
  /** Show it as a mirror does: one's own camera. */
  mirrored?: boolean;
  /** Show all of it (slides) instead of filling the frame (faces). */
  whole?: boolean;
  testId?: string;
}

export function Video({ track, label, mirrored = false, whole = false, testId }: Props) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(() => {
    const video = element.current;
    if (!video || !track) return;
    video.srcObject = new MediaStream([track]);
    // A muted picture may always play; an interrupted start is taken up by the next one.
    video.play().catch(() => undefined);
  }, [track]);
  const look = ["video", mirrored && "video-mirrored", whole && "video-whole"];
  return (
    <video
      ref={element}
      class={look.filter(Boolean).join(" ")}
      aria-label={label}
      data-testid={testId}
      autoplay
      playsinline
      muted
      disablePictureInPicture
    />
  );
}
