// Slides with their ink, and the board, beside a recording: what the class was shown at the time
// the player is at. The board's code comes when something of a board is there to be shown.

import { useEffect, useState } from "preact/hooks";
import type { RecordedBoard } from "../../board/recorded.ts";
import { getBlob, getJson } from "../../http/get.ts";
import { libraryWords } from "../../i18n/sections/library.ts";
import type { Recording } from "./api.ts";
import { type Moment, momentAt, Pictures, type Shown, type ShownPage } from "./shown.ts";
import "../../slides/slides.css";

type Code = typeof import("../../board/recorded.ts");

/** What there is to show beside a recording. */
export interface Beside {
  shown: Shown;
  pictures: Pictures;
  board?: { code: Code; recorded: RecordedBoard };
}

/** Fetched with the recording; `undefined` until it is there, or where there is nothing. */
export function useBeside(recording: Recording | undefined, token: string): Beside | undefined {
  const [beside, setBeside] = useState<Beside | undefined>(undefined);
  const address = recording?.shown;
  useEffect(() => {
    if (!address) return;
    let pictures: Pictures | undefined;
    let gone = false;
    const fetched = async () => {
      const shown = await getJson<Shown>(address, token);
      if (gone) return;
      const folder = address.slice(0, address.lastIndexOf("/"));
      const store = new Pictures(shown, folder, token);
      pictures = store;
      setBeside({ shown, pictures: store });
      if (!shown.board) return;
      const [code, changes] = await Promise.all([
        import("../../board/recorded.ts"),
        getBlob(`${folder}/${shown.board}`, token).then((blob) => blob.arrayBuffer()),
      ]);
      if (gone) return;
      const read = code.readChanges(new Uint8Array(changes));
      setBeside({
        shown,
        pictures: store,
        board: { code, recorded: new code.RecordedBoard(read, (asset) => store.of(asset)) },
      });
    };
    // Picture and sound are there without it.
    fetched().catch(() => undefined);
    return () => {
      gone = true;
      pictures?.close();
      setBeside(undefined);
    };
  }, [address, token]);
  return beside;
}

interface Props {
  beside: Beside;
  moment: Moment;
  /** The moment that the player is at, milliseconds since the Unix epoch. */
  atMs: number;
}

export function ShownBeside({ beside, moment, atMs }: Props) {
  const { board } = beside;
  useEffect(() => board?.recorded.show(atMs), [board, atMs]);
  return (
    <section
      class="frame player-shown"
      aria-label={libraryWords.value.beside}
      data-testid="shown"
      data-show={moment.show}
    >
      {moment.show === "slides" ? (
        <Slide beside={beside} page={moment} />
      ) : (
        board && <board.code.BoardView board={board.recorded.board} bare />
      )}
    </section>
  );
}

/** A page with its ink. The one before stays until the picture is there, with its own. */
function Slide({ beside, page }: { beside: Beside; page: ShownPage }) {
  const [seen, see] = useState<{ page: ShownPage; src: string } | undefined>(undefined);
  const { pictures, board } = beside;
  const { deck, page: number, asset } = page;
  useEffect(() => {
    let over = false;
    const load = async () => {
      const src = await pictures.of(asset);
      const image = new Image();
      image.src = src;
      await image.decode();
      if (!over) see({ page, src });
    };
    // A picture that never came to the archive: its place says which page it was.
    load().catch(() => !over && see({ page, src: "" }));
    return () => {
      over = true;
    };
  }, [pictures, deck, number, asset]);
  if (!seen) return <div class="slides" />;
  const { width, height } = seen.page;
  const name = libraryWords.value.slide(seen.page.page, seen.page.title);
  return (
    <div class="slides" data-testid="shown-slide" data-page={seen.page.page}>
      <div
        class="slide-sheet"
        style={{ "--slide-ratio": width / height, aspectRatio: `${width} / ${height}` }}
      >
        {seen.src ? (
          <img
            class="slide-picture"
            src={seen.src}
            alt={name}
            width={width}
            height={height}
            data-testid="shown-picture"
          />
        ) : (
          <p class="slide-missing">{libraryWords.value.slideMissing(name)}</p>
        )}
        {board && (
          <board.code.BoardOverlay
            board={board.recorded.board}
            surface={board.code.slideSurface(seen.page.deck, seen.page.page)}
            aspect={width / height}
          />
        )}
      </div>
    </div>
  );
}

/** What is to be shown beside the player at `ms` of the recording, if anything. */
export function shownAt(beside: Beside | undefined, ms: number): Moment | undefined {
  const moment = beside && momentAt(beside.shown.moments, ms);
  // A board that was never written on was empty.
  return moment?.show === "board" && !beside?.shown.board ? undefined : moment;
}
