// Directing: what the screens of the schools show, and who stands first in it.

import {
  Columns2,
  Grid3x3,
  LayoutGrid,
  Monitor,
  PenLine,
  Presentation,
  User,
  UsersRound,
  WandSparkles,
} from "lucide";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import type { Layout } from "../../../protocol/words.ts";
import { Icon } from "../../../ui/icon.tsx";
import { takingPart } from "../people.ts";
import { Panel, type ToolProps } from "./panel.tsx";

const LAYOUTS = [
  { layout: "auto", icon: WandSparkles },
  { layout: "teacher", icon: User },
  { layout: "slides-teacher", icon: Columns2 },
  { layout: "slides", icon: Presentation },
  { layout: "board", icon: PenLine },
  { layout: "screen", icon: Monitor },
  { layout: "stage", icon: UsersRound },
  { layout: "grid", icon: Grid3x3 },
] as const;

export function LayoutPanel({ desk, state, onClose }: ToolProps) {
  const words = panelWords.value.layout;
  const { view } = state;
  const now: Layout = view.auto ? "auto" : view.layout;
  const focusable = takingPart(state).filter(({ id }) => desk.session.publishes(id, "camera"));
  return (
    <Panel
      title={deskWords.value.tool.layout}
      icon={LayoutGrid}
      testId="panel-layout"
      onClose={onClose}
    >
      <p class="quiet">{words.text}</p>
      <div class="layouts">
        {LAYOUTS.map(({ layout, icon }) => (
          <button
            type="button"
            key={layout}
            class="layout"
            aria-pressed={now === layout}
            title={layout === "auto" ? words.keepAuto : undefined}
            data-testid={`layout-${layout}`}
            onClick={() => desk.direct(layout, layout === "auto" ? undefined : view.focus)}
          >
            <Icon of={icon} size={28} />
            {deskWords.value.layoutName[layout]}
          </button>
        ))}
      </div>
      {focusable.length > 0 && (
        <label class="field">
          <span class="field-name">{words.focus}</span>
          <select
            value={view.focus ?? ""}
            onChange={(event) => {
              const focus = event.currentTarget.value;
              desk.direct(view.auto ? "stage" : view.layout, focus === "" ? undefined : focus);
            }}
          >
            <option value="">{words.nobody}</option>
            {focusable.map(({ id, name }) => (
              <option key={id} value={id}>
                {name}
              </option>
            ))}
          </select>
        </label>
      )}
    </Panel>
  );
}
