// The list of recordings: covers, search, filters.

import { useSignal } from "@preact/signals";
import { CircleAlert, Film, Library, Play, Search } from "lucide";
import { useEffect, useRef } from "preact/hooks";
import { getBlob, getJson } from "../../http/get.ts";
import { HttpProblem } from "../../http/problem.ts";
import { clock, dateTime } from "../../i18n/format.ts";
import { lang } from "../../i18n/index.ts";
import { libraryWords } from "../../i18n/sections/library.ts";
import { Button, LanguageSwitch } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { listAddress, type Query, type Recording, type RecordingPage } from "./api.ts";

interface Props {
  token: string;
  lesson: string | null;
  onOpen: (recording: string) => void;
}

/** Typing pauses this long before the search runs. */
const TYPING_MS = 250;

export function Catalogue({ token, lesson, onOpen }: Props) {
  const query = useSignal<Query>({ q: "", subject: "", teacher: "" });
  const page = useSignal<RecordingPage | undefined>(undefined);
  const failed = useSignal<string | undefined>(undefined);
  const asked = useRef<AbortController | undefined>(undefined);
  const words = libraryWords.value;

  const load = async (offset: number) => {
    asked.current?.abort();
    const abort = new AbortController();
    asked.current = abort;
    failed.value = undefined;
    try {
      const next = await getJson<RecordingPage>(
        listAddress(query.peek(), offset),
        token,
        abort.signal,
      );
      const before = offset > 0 ? (page.peek()?.items ?? []) : [];
      page.value = { ...next, items: [...before, ...next.items] };
    } catch (error) {
      if (abort.signal.aborted) return;
      failed.value = error instanceof HttpProblem ? error.message : words.failed;
    }
  };

  useEffect(() => {
    void load(0).then(() => {
      // Who comes from a lesson's closing page wants that lesson.
      const came = page.peek()?.items.find((item) => item.lesson === lesson);
      if (came && !location.search) onOpen(came.id);
    });
  }, []);

  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const search = (change: Partial<Query>, wait = 0) => {
    query.value = { ...query.peek(), ...change };
    clearTimeout(timer.current);
    timer.current = setTimeout(() => void load(0), wait);
  };

  const { q, subject, teacher } = query.value;
  const searching = Boolean(q || subject || teacher);
  const items = page.value?.items ?? [];
  return (
    <div class="library" data-testid="library">
      <header class="library-head">
        <h1>
          <Icon of={Library} size={28} />
          {words.title}
        </h1>
        <LanguageSwitch />
      </header>
      <search>
        {" "}
        <form
          class="library-search"
          onSubmit={(event) => {
            event.preventDefault();
            search({});
          }}
        >
          <label class="search-field">
            <Icon of={Search} />
            <input
              type="search"
              value={q}
              placeholder={words.search}
              aria-label={words.search}
              data-testid="search"
              onInput={(event) => search({ q: event.currentTarget.value }, TYPING_MS)}
            />
          </label>
          <Filter
            name={words.subject}
            value={subject}
            values={page.value?.subjects ?? []}
            onChange={(value) => search({ subject: value })}
          />
          <Filter
            name={words.teacher}
            value={teacher}
            values={page.value?.teachers ?? []}
            onChange={(value) => search({ teacher: value })}
          />
        </form>
      </search>
      <main>
        {failed.value !== undefined ? (
          <div class="library-empty" role="alert" data-testid="library-failed">
            <Icon of={CircleAlert} size={40} />
            <p>{failed.value}</p>
            <Button onClick={() => void load(0)}>{words.retry}</Button>
          </div>
        ) : !page.value ? (
          <p class="library-empty quiet" role="status">
            <span class="spinner" />
            {words.loading}
          </p>
        ) : items.length === 0 ? (
          <div class="library-empty" data-testid="library-empty">
            <Icon of={Film} size={40} />
            <p>{searching ? words.nothingFound(q || subject || teacher) : words.empty}</p>
            {searching && (
              <Button onClick={() => search({ q: "", subject: "", teacher: "" })}>
                {words.showAll}
              </Button>
            )}
          </div>
        ) : (
          <>
            <p class="quiet library-count" role="status" data-testid="library-count">
              {words.count(page.value.total)}
            </p>
            <ul class="recordings">
              {items.map((item) => (
                <Card key={item.id} item={item} token={token} onOpen={onOpen} />
              ))}
            </ul>
            {items.length < page.value.total && (
              <div class="library-more">
                <Button onClick={() => void load(items.length)}>{words.more}</Button>
              </div>
            )}
          </>
        )}
      </main>
    </div>
  );
}

function Filter(props: {
  name: string;
  value: string;
  values: readonly string[];
  onChange: (value: string) => void;
}) {
  if (props.values.length < 2) return null;
  return (
    <select
      aria-label={props.name}
      value={props.value}
      onChange={(event) => props.onChange(event.currentTarget.value)}
    >
      <option value="">{props.name}</option>
      {props.values.map((value) => (
        <option key={value} value={value}>
          {value}
        </option>
      ))}
    </select>
  );
}

function Card(props: { item: Recording; token: string; onOpen: (id: string) => void }) {
  const { item, token, onOpen } = props;
  return (
    <li>
      <button
        type="button"
        class="recording-card"
        title={libraryWords.value.play(item.title)}
        data-testid={`recording-${item.id}`}
        onClick={() => onOpen(item.id)}
      >
        <span class="frame recording-cover">
          <Cover address={item.thumbnail} token={token} />
          <span class="recording-length">{clock(item.durationMs)}</span>
          <span class="recording-play">
            <Icon of={Play} size={28} />
          </span>
        </span>
        <span class="recording-words">
          <strong class="recording-title">{item.title}</strong>
          <span>{[item.teacher, item.subject, item.grade].filter(Boolean).join(" · ")}</span>
          <span class="quiet">{dateTime(item.startedMs, lang.value)}</span>
        </span>
      </button>
    </li>
  );
}

/** A cover picture; it needs the token, so an `<img>` alone can't fetch it. */
function Cover({ address, token }: { address: string; token: string }) {
  const url = useSignal<string | undefined>(undefined);
  useEffect(() => {
    let gone = false;
    getBlob(address, token).then(
      (blob) => {
        if (!gone) url.value = URL.createObjectURL(blob);
      },
      () => undefined,
    );
    return () => {
      gone = true;
      if (url.peek()) URL.revokeObjectURL(url.peek() as string);
    };
  }, [address]);
  if (!url.value) return <Icon of={Film} size={40} />;
  return <img src={url.value} alt="" data-testid="cover" />;
}
