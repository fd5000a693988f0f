// A whole page with one sentence and one way on: what could not be shown, and why.

import type { IconNode } from "lucide";
import type { ComponentChildren } from "preact";
import { t } from "../i18n/index.ts";
import { LanguageSwitch } from "./controls.tsx";
import { Icon } from "./icon.tsx";

interface Props {
  icon: IconNode;
  title: string;
  children?: ComponentChildren;
  actions?: ComponentChildren;
  testId: string;
}

export function StopPage({ icon, title, children, actions, testId }: Props) {
  return (
    <main class="stop" data-testid={testId}>
      <div class="stop-card">
        <span class="stop-icon">
          <Icon of={icon} size={40} />
        </span>
        <h1>{title}</h1>
        {children}
        {actions && <div class="stop-actions">{actions}</div>}
      </div>
      <footer class="stop-foot">
        <span>{t.value.productName}</span>
        <LanguageSwitch />
      </footer>
    </main>
  );
}
