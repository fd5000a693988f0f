// Chapters of the recording, and what an assistant, a person or a program, proposes.

import { useSignal } from "@preact/signals";
import { Bookmark } from "lucide";
import { clock } from "../../../i18n/format.ts";
import { deskWords } from "../../../i18n/sections/desk.ts";
import { panelWords } from "../../../i18n/sections/panels.ts";
import type { Proposal } from "../../../protocol/words.ts";
import { Button } from "../../../ui/controls.tsx";
import { notify } from "../../../ui/notices.tsx";
import { TextInput } from "../../../ui/text-input.tsx";
import type { Desk } from "../desk.ts";
import { Panel, type ToolProps } from "./panel.tsx";

const LONGEST = 80;

export function ChaptersPanel({ desk, state, onClose }: ToolProps) {
  const words = panelWords.value.chapters;
  const title = useSignal("");
  const since = (atMs: number) => clock(atMs - (state.startedMs ?? atMs));
  const mark = () => {
    const name = title.value.trim();
    if (!name) return;
    title.value = "";
    void desk.ask({ do: "mark-chapter", title: name }).then((done) => {
      if (done) notify(words.marked(name));
    });
  };
  return (
    <Panel
      title={deskWords.value.tool.chapter}
      icon={Bookmark}
      testId="panel-chapters"
      onClose={onClose}
      actions={
        <Button look="accent" disabled={!title.value.trim()} testId="chapter-mark" onClick={mark}>
          {words.mark}
        </Button>
      }
    >
      {state.proposals.length > 0 && (
        <section aria-labelledby="proposals-title">
          <h3 id="proposals-title">{words.proposals}</h3>
          <ul class="plain-list" data-testid="proposals">
            {state.proposals.map((proposal) => (
              <OneProposal key={proposal.id} desk={desk} proposal={proposal} since={since} />
            ))}
          </ul>
        </section>
      )}
      <TextInput
        value={title}
        name={words.placeholder}
        longest={LONGEST}
        onEnter={mark}
        testId="chapter-title"
      />
      <p class="quiet">{words.text}</p>
      <h3>{words.list}</h3>
      {state.chapters.length === 0 ? (
        <p class="quiet">{words.none}</p>
      ) : (
        <ol class="plain-list" data-testid="chapters">
          {state.chapters.map((chapter) => (
            <li key={`${chapter.atMs}${chapter.title}`}>
              <span class="quiet">{since(chapter.atMs)}</span> {chapter.title}
            </li>
          ))}
        </ol>
      )}
    </Panel>
  );
}

function OneProposal(props: { desk: Desk; proposal: Proposal; since: (atMs: number) => string }) {
  const { desk, proposal, since } = props;
  const words = panelWords.value.chapters;
  const { content, id } = proposal;
  return (
    <li class="proposal" data-testid={`proposal-${id}`}>
      <span class="hand-who">
        <strong>
          {content.title ?? words.quiz(content.kind === "quiz" ? content.items.length : 0)}
        </strong>
        <span class="quiet">
          {content.kind === "chapter"
            ? words.chapter(since(content.atMs))
            : words.quiz(content.items.length)}
          {" · "}
          {words.from(desk.nameOf(proposal.member))}
        </span>
      </span>
      <Button
        look="accent"
        testId={`accept-${id}`}
        onClick={() => void desk.ask({ do: "accept-proposal", proposal: id })}
      >
        {words.accept}
      </Button>
      <Button
        look="quiet"
        testId={`decline-${id}`}
        onClick={() => void desk.ask({ do: "decline-proposal", proposal: id })}
      >
        {words.decline}
      </Button>
    </li>
  );
}
