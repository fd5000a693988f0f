import { signal } from "@preact/signals";
import { KeyRound } from "lucide";
import { libraryWords } from "../../i18n/sections/library.ts";
import { boot } from "../../lesson/boot.ts";
import { fragmentOf, holderOf } from "../../lesson/entry.ts";
import { readKept } from "../../review/book.ts";
import { mount } from "../../ui/mount.tsx";
import { StopPage } from "../../ui/stop.tsx";
import { Catalogue } from "./catalogue.tsx";
import { Player } from "./player.tsx";
import "./library.css";

const { token } = boot();
const fragment = fragmentOf(location.hash);
const role = holderOf(token)?.role;
/** Who judges lessons takes notes beside a recording; what was noted in the lesson comes along. */
const review =
  role === "observer" || role === "operator" ? readKept(fragment.get("review")) : undefined;
if (fragment.has("review")) {
  fragment.delete("review");
  const rest = fragment.toString();
  history.replaceState(null, "", `${location.pathname}${location.search}${rest && `#${rest}`}`);
}
/** The lesson whose recording the visitor came for, if any. */
const lesson = fragment.get("lesson");

/** The recording that was asked for first: what was brought along is about it. */
const came = recordingOf(location.search);
const open = signal(came);

function recordingOf(search: string): string | null {
  return new URLSearchParams(search).get("recording");
}

function show(recording: string | null): void {
  const search = recording ? `?recording=${encodeURIComponent(recording)}` : "";
  history.pushState(null, "", `${location.pathname}${search}`);
  open.value = recording;
  window.scrollTo(0, 0);
}

window.addEventListener("popstate", () => {
  open.value = recordingOf(location.search);
});

mount(() => {
  if (!token) {
    return (
      <StopPage icon={KeyRound} title={libraryWords.value.title} testId="stop-address">
        <p>{libraryWords.value.noToken}</p>
      </StopPage>
    );
  }
  return open.value ? (
    <Player
      key={open.value}
      id={open.value}
      token={token}
      review={open.value === came ? review : review && { notes: [] }}
      onBack={() => show(null)}
    />
  ) : (
    <Catalogue token={token} lesson={lesson} onOpen={show} />
  );
});
