// Says how to enter a lesson. It holds no links itself: they carry who someone is.

import type { IconNode } from "lucide";
import { GraduationCap, Library, Link2, Smartphone, Tv } from "lucide";
import { initLang, t } from "../../i18n/index.ts";
import { indexWords } from "../../i18n/sections/index.ts";
import { fragmentOf } from "../../lesson/entry.ts";
import { LanguageSwitch } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { mount } from "../../ui/mount.tsx";
import { Join } from "./join.tsx";
import "./index.css";

function Index() {
  const words = indexWords.value;
  const ways: [IconNode, { title: string; text: string }][] = [
    [GraduationCap, words.teacher],
    [Tv, words.classroom],
    [Smartphone, words.student],
    [Library, words.library],
  ];
  return (
    <main class="index" data-testid="index">
      <header class="index-head">
        <div class="index-brand">
          <img src="/favicon.svg" alt="" width="56" height="56" />
          <h1>{t.value.productName}</h1>
        </div>
        <LanguageSwitch />
      </header>
      <p class="index-lead">{words.lead}</p>
      <Join code={new URLSearchParams(location.search).get("code")} />
      <section class="index-how">
        <h2>{words.how}</h2>
        <ul class="index-ways">
          {ways.map(([icon, { title, text }]) => (
            <li key={title} class="index-way">
              <Icon of={icon} size={24} />
              <h3>{title}</h3>
              <p>{text}</p>
            </li>
          ))}
        </ul>
        <p class="index-link">
          <Icon of={Link2} />
          {words.link}
        </p>
        <p class="quiet">{words.trouble}</p>
      </section>
    </main>
  );
}

initLang(fragmentOf(location.hash).get("lang"));
mount(Index);
