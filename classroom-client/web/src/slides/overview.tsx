// All pages of a deck at a glance, to go to any of them.

import { useEffect, useRef } from "preact/hooks";
import { slideWords } from "../i18n/sections/slides.ts";
import type { DeckPage, Slides } from "../protocol/words.ts";
import { Button } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";
import type { Files } from "./asset.ts";
import { usePictureInSight } from "./picture.ts";

interface Props {
  files: Files;
  slides: Slides;
  onChoose: (page: number) => void;
  onClose: () => void;
}

export function Overview({ files, slides, onChoose, onClose }: Props) {
  const words = slideWords.value;
  const { deck, page } = slides;
  const current = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    current.current?.focus();
    current.current?.scrollIntoView({ block: "center" });
  }, []);
  return (
    <Dialog
      title={`${words.overview} · ${deck.title}`}
      onClose={onClose}
      testId="slides-grid"
      actions={<Button onClick={onClose}>{words.cancel}</Button>}
    >
      <ol class="slide-grid">
        {deck.pages.map((at, index) => {
          const number = index + 1;
          return (
            <li key={number}>
              <button
                ref={number === page ? current : null}
                type="button"
                aria-current={number === page ? "page" : undefined}
                onClick={() => onChoose(number)}
                data-testid={`slides-goto-${number}`}
              >
                <Thumbnail files={files} at={at} />
                <span>{at.title ? `${number} · ${at.title}` : number}</span>
              </button>
            </li>
          );
        })}
      </ol>
    </Dialog>
  );
}

function Thumbnail({ files, at }: { files: Files; at: DeckPage }) {
  const { asset, small, width, height } = at;
  const place = useRef<HTMLDivElement>(null);
  const shown = usePictureInSight(files, small ?? asset, place);
  return (
    <div ref={place} class="slide-small" style={{ aspectRatio: `${width} / ${height}` }}>
      {shown && <img src={shown.src} alt="" width={width} height={height} />}
    </div>
  );
}
