// The controls all pages share.

import { type IconNode, Languages } from "lucide";
import type { ComponentChildren } from "preact";
import { lang, setLang, t } from "../i18n/index.ts";
import { Icon } from "./icon.tsx";

type Look = "plain" | "accent" | "danger" | "quiet";

interface ButtonProps {
  onClick?: () => void;
  /** Sends the form it stands in. */
  submit?: boolean;
  children: ComponentChildren;
  icon?: IconNode;
  look?: Look;
  /** A toggle's state. */
  pressed?: boolean;
  disabled?: boolean;
  /** The key that does the same. */
  keyHint?: string;
  title?: string;
  testId?: string;
  className?: string;
}

export function Button(props: ButtonProps) {
  const { onClick, children, icon, look = "plain", pressed, keyHint, className = "" } = props;
  return (
    <button
      type={props.submit ? "submit" : "button"}
      class={`button button-${look} ${className}`}
      onClick={onClick}
      aria-pressed={pressed}
      aria-keyshortcuts={keyHint}
      disabled={props.disabled}
      title={props.title}
      data-testid={props.testId}
    >
      {icon && <Icon of={icon} />}
      <span class="button-label">{children}</span>
      {keyHint && <Key>{keyHint}</Key>}
    </button>
  );
}

/** A control that shows only its icon: it must have a name. */
export function IconButton(props: {
  onClick: () => void;
  icon: IconNode;
  name: string;
  pressed?: boolean;
  testId?: string;
}) {
  return (
    <button
      type="button"
      class="button button-quiet button-icon"
      onClick={props.onClick}
      aria-label={props.name}
      title={props.name}
      aria-pressed={props.pressed}
      data-testid={props.testId}
    >
      <Icon of={props.icon} />
    </button>
  );
}

export function LinkButton(props: {
  href: string;
  children: ComponentChildren;
  icon?: IconNode;
  look?: Look;
  testId?: string;
}) {
  return (
    <a
      class={`button button-${props.look ?? "plain"}`}
      href={props.href}
      data-testid={props.testId}
    >
      {props.icon && <Icon of={props.icon} />}
      <span class="button-label">{props.children}</span>
    </a>
  );
}

/** The key that does the same as the control it stands in. */
export function Key({ children }: { children: string }) {
  return (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a kbd takes no focus; the control around it says its key in aria-keyshortcuts
    <kbd class="key" aria-hidden="true">
      {children}
    </kbd>
  );
}

/** A meter of loudness, 0…1. */
export function Level({ value, name, testId }: { value: number; name: string; testId?: string }) {
  const percent = Math.round(value * 100);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a native meter can't be drawn alike in all browsers
    <span
      class="level"
      role="meter"
      aria-label={name}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={percent}
      data-testid={testId}
    >
      <span class="level-fill" style={{ inlineSize: `${percent}%` }} />
    </span>
  );
}

/** Changes the language; `compact` where there is no room for its name. */
export function LanguageSwitch({ compact = false }: { compact?: boolean }) {
  const other = lang.value === "en" ? "zh-CN" : "en";
  return (
    <button
      type="button"
      class={`button button-quiet ${compact ? "button-icon" : ""}`}
      lang={other}
      aria-label={compact ? t.value.otherLanguage : undefined}
      title={compact ? t.value.otherLanguage : undefined}
      onClick={() => setLang(other)}
      data-testid="language"
    >
      {compact ? <Icon of={Languages} /> : t.value.otherLanguage}
    </button>
  );
}
