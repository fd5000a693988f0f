// Blackboard mode: what stands on a board is read, also where movement has to wait for it.

import { deskWords } from "../../i18n/sections/desk.ts";
import type { Desk } from "./desk.ts";

export function BoardMode({ desk }: { desk: Desk }) {
  const words = deskWords.value;
  return (
    <label class="switch">
      <input
        type="checkbox"
        checked={desk.boardMode.value}
        data-testid="board-mode"
        onChange={(event) => {
          desk.boardMode.value = event.currentTarget.checked;
        }}
      />
      <span>
        <strong>{words.boardMode}</strong>
        <span class="quiet">{words.boardModeText}</span>
      </span>
    </label>
  );
}
