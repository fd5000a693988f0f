// One lesson on the wall: its picture, fetched only while it is in sight, and how it goes.

import { useSignal } from "@preact/signals";
import { CircleAlert, CircleCheck, Clock, Eye, Hand, TriangleAlert, VideoOff } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { request } from "../../http/request.ts";
import { clock } from "../../i18n/format.ts";
import { patrolWords } from "../../i18n/sections/patrol.ts";
import { withToken } from "../../lesson/entry.ts";
import { schoolName } from "../../protocol/words.ts";
import { LinkButton } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { type Glance, type Health, toneOf } from "./glance.ts";
import { decodes, draw } from "./picture.ts";

/** A picture each so long: enough to see that a lesson goes on. */
const EVERY_MS = 10_000;
/** Sooner where none was kept: one was asked for by that. */
const AGAIN_MS = 2_500;

const ICONS = { good: CircleCheck, caution: TriangleAlert, bad: CircleAlert, "": Clock };

interface Props {
  glance: Glance;
  token: string;
  /** The node's clock. */
  nowMs: number;
  /** Whether the token is one of an observer, who may come into lessons. */
  observes: boolean;
}

export function Tile({ glance, token, nowMs, observes }: Props) {
  const words = patrolWords.value;
  const { info, health, short } = glance;
  const tone = toneOf(health);
  const advice: Partial<Record<Health, string>> = words.advice;
  return (
    <article
      class={`glance glance-${tone || "idle"}`}
      data-testid={`glance-${info.id}`}
      data-health={health}
    >
      <Picture glance={glance} token={token} />
      <div class="glance-words">
        <h2 title={info.title}>{info.title}</h2>
        <p class="quiet">
          {[info.teacher, info.grade, info.subject].filter(Boolean).join(" · ")}
          {glance.startedMs !== undefined && ` · ${clock(nowMs - glance.startedMs)}`}
        </p>
        <p class={`glance-health tone-${tone}`}>
          <Icon of={ICONS[tone]} size={16} />
          {words.health[health]}
        </p>
        {advice[health] && <p class="glance-advice">{advice[health]}</p>}
        {short.length > 0 && (
          <ul class="glance-short">
            {short.map(({ school, rung }) => (
              <li key={school}>{words.school(schoolName(info, school), words.rung[rung])}</li>
            ))}
          </ul>
        )}
        <p class="glance-foot quiet">
          <span>{words.people(glance.classrooms, glance.students)}</span>
          {glance.hands > 0 && (
            <span>
              <Icon of={Hand} size={14} /> {words.hands(glance.hands)}
            </span>
          )}
        </p>
        {observes && (
          <LinkButton
            icon={Eye}
            href={withToken(`/observer/${encodeURIComponent(info.id)}`, { token })}
            testId={`look-${info.id}`}
          >
            {words.look}
          </LinkButton>
        )}
      </div>
    </article>
  );
}

function Picture({ glance, token }: { glance: Glance; token: string }) {
  const words = patrolWords.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  const drawn = useSignal(0);
  const { id, title } = glance.info;
  const wanted = glance.picture && decodes;
  useEffect(() => {
    const element = canvas.current;
    if (!wanted || !element) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let inSight = false;
    const stop = new AbortController();
    const look = async () => {
      clearTimeout(timer);
      if (!inSight || stop.signal.aborted) return;
      let next = AGAIN_MS;
      try {
        const url = `/api/patrol/${encodeURIComponent(id)}/picture`;
        const response = await request(url, { token, signal: stop.signal, also: [404] });
        if (response.ok) {
          const bytes = new Uint8Array(await response.arrayBuffer());
          await draw(element, response.headers.get("Content-Type") ?? "", bytes);
          drawn.value += 1;
          next = EVERY_MS;
        }
      } catch {
        // The list says when the node can't be reached.
        next = EVERY_MS;
      }
      if (!stop.signal.aborted) timer = setTimeout(() => void look(), next);
    };
    const sight = new IntersectionObserver((entries) => {
      const before = inSight;
      inSight = entries.some((entry) => entry.isIntersecting);
      if (inSight && !before) void look();
    });
    sight.observe(element);
    return () => {
      stop.abort();
      clearTimeout(timer);
      sight.disconnect();
    };
  }, [id, token, wanted]);
  return (
    <div class="glance-picture frame">
      <canvas
        ref={canvas}
        role="img"
        aria-label={words.pictureOf(title)}
        data-testid={`picture-${id}`}
        data-drawn={drawn.value}
      />
      {(!wanted || drawn.value === 0) && (
        <span class="frame-empty">
          <Icon of={VideoOff} size={28} />
          <span>{glance.picture && !decodes ? words.cannotDecode : words.noPicture}</span>
        </span>
      )}
    </div>
  );
}
