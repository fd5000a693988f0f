import { signal } from "@preact/signals";
import { KeyRound } from "lucide";
import { libraryWords } from "../../i18n/sections/library.ts";
import { boot } from "../../lesson/boot.ts";
import { fragmentOf, holderOf } from "../../lesson/entry.ts";
import { mount } from "../../ui/mount.tsx";
import { StopPage } from "../../ui/stop.tsx";
import { Catalogue } from "./catalogue.tsx";
import { Player } from "./player.tsx";
import "./library.css";

const { token } = boot();
const fragment = fragmentOf(location.hash);
const holder = holderOf(token);
/** Who judges lessons takes notes beside a recording. */
const judge =
  holder?.role === "observer" || holder?.role === "operator" ? holder.member : undefined;
/** The lesson whose recording the visitor came for, if any. */
const lesson = fragment.get("lesson");

const open = signal(recordingOf(location.search));

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
      judge={judge}
      onBack={() => show(null)}
    />
  ) : (
    <Catalogue token={token} lesson={lesson} onOpen={show} />
  );
});
