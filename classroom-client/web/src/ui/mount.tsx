// Puts a page on the screen.

import { type ComponentType, render } from "preact";
import "./tokens.css";
import "./base.css";

export function mount(Page: ComponentType): void {
  const root = document.getElementById("app");
  if (root) render(<Page />, root);
}
