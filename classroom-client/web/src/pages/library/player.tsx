// Plays one recording. hls.js comes only now: the list is there without it. It is the full
// build, because the light one has no separate audio playlists, and recordings have.

import { useSignal } from "@preact/signals";
import type Hls from "hls.js";
import { ArrowLeft, CircleAlert } from "lucide";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { getBlob, getJson } from "../../http/get.ts";
import { HttpProblem } from "../../http/problem.ts";
import { clock, dateTime } from "../../i18n/format.ts";
import { lang } from "../../i18n/index.ts";
import { libraryWords } from "../../i18n/sections/library.ts";
import { ReplayBook } from "../../review/replay.ts";
import { Review } from "../../review/review.tsx";
import { Button, LanguageSwitch } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { Notices, notify } from "../../ui/notices.tsx";
import { chapterAt, type Recording, recordingAddress, shelfOf } from "./api.ts";
import { ShownBeside, shownAt, useBeside } from "./beside.tsx";

interface Props {
  id: string;
  token: string;
  /** Who judges lessons, by their member; `undefined` for everybody else. */
  judge: string | undefined;
  onBack: () => void;
}

export function Player({ id, token, judge, onBack }: Props) {
  const video = useRef<HTMLVideoElement>(null);
  const item = useSignal<Recording | undefined>(undefined);
  const failed = useSignal<string | undefined>(undefined);
  const ended = useSignal(false);
  const chapter = useSignal(-1);
  /** Where the recording is, in milliseconds. */
  const at = useSignal(0);
  const captions = useSignal<{ lang: string; url: string }[]>([]);
  const book = useBook(id, token, judge);
  const words = libraryWords.value;

  useEffect(() => {
    let player: Hls | undefined;
    let gone = false;
    const begin = async () => {
      try {
        const recording = await getJson<Recording>(recordingAddress(id), token);
        if (gone) return;
        item.value = recording;
        document.title = recording.title;
        const element = video.current;
        if (!element) return;
        void fetchCaptions(recording, token).then((tracks) => {
          captions.value = tracks;
        });
        player = await play(element, recording.playlist, token, () => {
          failed.value = libraryWords.peek().playerFailed;
        });
        if (gone) player.destroy();
      } catch (error) {
        if (gone) return;
        const missing = error instanceof HttpProblem && error.status === 404;
        if (missing) failed.value = libraryWords.peek().notFound;
        else failed.value = error instanceof HttpProblem ? error.message : words.playerFailed;
      }
    };
    void begin();
    return () => {
      gone = true;
      player?.destroy();
      for (const { url } of captions.peek()) URL.revokeObjectURL(url);
    };
  }, [id]);

  const seek = (ms: number) => {
    if (video.current) video.current.currentTime = Math.max(0, ms) / 1000;
  };
  const look = ({ currentTarget }: { currentTarget: HTMLVideoElement }) => {
    at.value = Math.round(currentTarget.currentTime * 1000);
    chapter.value = chapterAt(item.peek()?.chapters ?? [], at.value);
  };
  const recording = item.value;
  const beside = useBeside(recording, token);
  const moment = shownAt(beside, at.value);
  const facts = recording
    ? [
        recording.teacher,
        recording.subject,
        recording.grade,
        dateTime(recording.startedMs, lang.value),
        clock(recording.durationMs),
      ]
    : [];
  return (
    <div
      class={`library player-page ${book ? "player-reviewed" : ""} ${beside ? "player-wide" : ""}`}
      data-testid="player-page"
    >
      <header class="library-head">
        <Button look="quiet" icon={ArrowLeft} onClick={onBack} testId="back">
          {words.back}
        </Button>
        <LanguageSwitch />
      </header>
      <main class="player-main">
        <div class="player-stage" data-beside={moment !== undefined}>
          <div class="frame player-frame">
            <video
              ref={video}
              class="video video-whole"
              controls
              playsinline
              aria-label={recording?.title ?? words.title}
              data-testid="player"
              onTimeUpdate={look}
              onSeeking={look}
              onPlaying={() => {
                ended.value = false;
              }}
              onEnded={() => {
                ended.value = true;
              }}
            >
              {captions.value.map(({ lang: of, url }, index) => (
                <track
                  key={of}
                  kind="captions"
                  srclang={of}
                  label={captionName(of)}
                  src={url}
                  default={index === 0}
                />
              ))}
            </video>
            {failed.value && (
              <div class="frame-empty player-failed" role="alert" data-testid="player-failed">
                <Icon of={CircleAlert} size={40} />
                <p>{failed.value}</p>
              </div>
            )}
          </div>
          {recording && beside && moment && (
            <ShownBeside beside={beside} moment={moment} atMs={recording.startedMs + at.value} />
          )}
        </div>
        {recording && book && (
          <Review
            book={book}
            nowMs={() => recording.startedMs + (video.current?.currentTime ?? 0) * 1000}
            time={(atMs) => clock(Math.max(0, atMs - recording.startedMs))}
            now={Math.floor(at.value / 1000)}
            name={recording.lesson}
            onSeek={(atMs) => seek(atMs - recording.startedMs)}
          />
        )}
        {recording && (
          <div class="player-about">
            <h1 class="player-title">{recording.title}</h1>
            <p class="player-facts">{facts.filter(Boolean).join(" · ")}</p>
            {recording.chapters && recording.chapters.length > 0 && (
              <nav aria-label={words.chapters} data-testid="chapters">
                <h2 class="player-chapters-title">{words.chapters}</h2>
                <ol class="player-chapters">
                  {recording.chapters.map(({ startMs, title }, index) => (
                    <li key={startMs}>
                      <button
                        type="button"
                        class="button button-quiet player-chapter"
                        aria-current={index === chapter.value ? "true" : undefined}
                        onClick={() => seek(startMs)}
                      >
                        <span class="player-chapter-time">{clock(startMs)}</span>
                        <span>{title}</span>
                      </button>
                    </li>
                  ))}
                </ol>
              </nav>
            )}
          </div>
        )}
        <p class="quiet" role="status" data-testid="player-state">
          {ended.value ? words.ended : ""}
        </p>
      </main>
      <Notices />
    </div>
  );
}

/** The notes and the sheet of who judges lessons, while the page shows the recording. */
function useBook(id: string, token: string, judge: string | undefined): ReplayBook | undefined {
  const book = useMemo(() => {
    if (judge === undefined) return undefined;
    const said = (sentence: string) => notify(sentence, { tone: "bad" });
    return new ReplayBook(localStorage, `${id}:${judge}`, shelfOf(id, token), said);
  }, [id, token, judge]);
  useEffect(() => () => book?.close(), [book]);
  return book;
}

/** Captions as the browser takes them: its own requests carry no token. */
async function fetchCaptions(
  recording: Recording,
  token: string,
): Promise<{ lang: string; url: string }[]> {
  const fetched = (recording.captions ?? []).map(async ({ lang: of, file }) => {
    const text = await getBlob(file, token);
    return { lang: of, url: URL.createObjectURL(text) };
  });
  const all = await Promise.allSettled(fetched);
  return all.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
}

/** A language by its own name: 中文, English. */
function captionName(of: string): string {
  try {
    return new Intl.DisplayNames([of], { type: "language" }).of(of) ?? of;
  } catch {
    return of;
  }
}

async function play(
  video: HTMLVideoElement,
  playlist: string,
  token: string,
  onFailed: () => void,
): Promise<Hls> {
  const { default: Player } = await import("hls.js");
  const hls = new Player({
    xhrSetup: (request) => request.setRequestHeader("Authorization", `Bearer ${token}`),
  });
  let recovered = false;
  hls.on(Player.Events.ERROR, (_event, data) => {
    if (!data.fatal) return;
    if (recovered) {
      onFailed();
      return;
    }
    recovered = true;
    if (data.type === Player.ErrorTypes.MEDIA_ERROR) hls.recoverMediaError();
    else if (data.type === Player.ErrorTypes.NETWORK_ERROR) hls.startLoad();
    else onFailed();
  });
  hls.loadSource(playlist);
  hls.attachMedia(video);
  // Where the browser wants a touch first, its own play button is there.
  hls.once(Player.Events.MANIFEST_PARSED, () => void video.play().catch(() => undefined));
  return hls;
}
