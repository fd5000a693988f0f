// Who waits with a hand up: by school, the longest waiting first. A classroom's hands that were
// counted stand with their school: it is called up as one.

import { Hand, MicVocal, X } from "lucide";
import { clock } from "../../i18n/format.ts";
import { t } from "../../i18n/index.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import type { LessonState } from "../../protocol/words.ts";
import { Button, IconButton, Key } from "../../ui/controls.tsx";
import { Icon } from "../../ui/icon.tsx";
import { useKeys } from "../../ui/keys.ts";
import type { Desk } from "./desk.ts";
import { handQueue, type SchoolHands } from "./people.ts";

/** Keys 1 to 9 call up the first nine in line. */
const KEYED = 9;
/** Of one school; a whole class with its hands up is one sight. */
const MOST_OF_SCHOOL = 12;

interface Props {
  desk: Desk;
  state: LessonState;
}

export function Hands({ desk, state }: Props) {
  const words = t.value.teacher;
  const { hands } = state;
  const queue = handQueue(state);
  const counted = queue.reduce((sum, one) => sum + one.counted, 0);
  useKeys(
    Object.fromEntries(
      hands
        .slice(0, KEYED)
        .map(({ member }, index) => [
          String(index + 1),
          () => void desk.ask({ do: "call", member }),
        ]),
    ),
  );
  return (
    <section class="side-part side-hands" aria-labelledby="hands-title">
      <h2 id="hands-title">
        <Icon of={Hand} />
        {words.hands}
        <span class="count" data-testid="hand-count">
          {hands.length + counted}
        </span>
        <span class="spring" />
        {state.stage.length > 0 && (
          <Button look="quiet" testId="clear-stage" onClick={() => desk.clearStage()}>
            {deskWords.value.clearStage}
          </Button>
        )}
      </h2>
      {queue.length === 0 && <p class="quiet">{words.noHands}</p>}
      <Newest state={state} />
      <div class="hands" data-testid="hands">
        {queue.map((school) => (
          <School
            key={school.school}
            desk={desk}
            state={state}
            school={school}
            named={queue.length > 1 || school.counted > 0}
          />
        ))}
      </div>
    </section>
  );
}

/** Said once to who listens to the page: the newest hand, not the seconds it waits. */
function Newest({ state }: { state: LessonState }) {
  const newest = state.hands.reduce(
    (last, hand) => (hand.atMs > (last?.atMs ?? 0) ? hand : last),
    state.hands[0],
  );
  const name = newest && state.members[newest.member]?.name;
  return (
    <p class="unseen" role="status">
      {name ? `${t.value.teacher.handUp}${t.value.common.colon}${name}` : ""}
    </p>
  );
}

function School(props: Props & { school: SchoolHands; named: boolean }) {
  const { desk, state, school, named } = props;
  const words = deskWords.value;
  const hasRoom = Object.values(state.members).some(
    (member) => member.role === "classroom" && member.school === school.school,
  );
  const rest = school.hands.length - MOST_OF_SCHOOL;
  return (
    <div class="hands-school">
      {named && (
        <div class="hands-head">
          <h3>
            {words.schoolHands(
              desk.schoolName(school.school),
              school.hands.length + school.counted,
            )}
          </h3>
          {school.counted > 0 && <span class="quiet">{words.counted}</span>}
          {hasRoom && school.counted > 0 && (
            <Button
              icon={MicVocal}
              testId={`call-school-${school.school}`}
              onClick={() => void desk.ask({ do: "call-school", school: school.school })}
            >
              {words.callSchool}
            </Button>
          )}
        </div>
      )}
      <ol class="hands-list">
        {school.hands.slice(0, MOST_OF_SCHOOL).map((hand) => (
          <OneHand key={hand.member} desk={desk} state={state} {...hand} />
        ))}
      </ol>
      {rest > 0 && <p class="quiet">{words.more(rest)}</p>}
    </div>
  );
}

function OneHand(props: Props & { member: string; atMs: number; place: number }) {
  const { desk, state, member, atMs, place } = props;
  const words = t.value.teacher;
  const who = state.members[member];
  return (
    <li class="hand" data-testid={`hand-${member}`}>
      <span class="hand-place">{place}</span>
      <span class="hand-who">
        <strong>{who?.name ?? member}</strong>
        <span class="quiet">{words.waited(clock(desk.nowMs - atMs))}</span>
      </span>
      <span class="hand-actions">
        <Button
          look="accent"
          testId={`call-hand-${member}`}
          onClick={() => void desk.ask({ do: "call", member })}
        >
          {words.call}
          {place <= KEYED && <Key>{String(place)}</Key>}
        </Button>
        <IconButton
          icon={X}
          name={`${words.lowerHand}: ${who?.name ?? member}`}
          testId={`lower-${member}`}
          onClick={() => void desk.ask({ do: "lower-hand", member })}
        />
      </span>
    </li>
  );
}
