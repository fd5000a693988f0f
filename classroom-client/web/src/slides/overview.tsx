// All pages of a deck at a glance, to go to any of them.

import { useEffect, useRef } from "preact/hooks";
import { slideWords } from "../i18n/sections/slides.ts";
import type { Slides } from "../protocol/words.ts";
import { Button } from "../ui/controls.tsx";
import { Dialog } from "../ui/dialog.tsx";
import { assetUrl } from "./asset.ts";

interface Props {
  lesson: string;
  slides: Slides;
  onChoose: (page: number) => void;
  onClose: () => void;
}

export function Overview({ lesson, slides, onChoose, onClose }: Props) {
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
        {deck.pages.map(({ asset, small, width, height, title }, index) => {
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
                <img
                  src={assetUrl(lesson, small ?? asset)}
                  alt=""
                  width={width}
                  height={height}
                  loading="lazy"
                />
                <span>{title ? `${number} · ${title}` : number}</span>
              </button>
            </li>
          );
        })}
      </ol>
    </Dialog>
  );
}
