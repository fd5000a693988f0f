import { signal } from "@preact/signals";
import { boot } from "../../lesson/boot.ts";
import { BadAddress, LessonGate } from "../../lesson/gate.tsx";
import { LessonSession } from "../../lesson/session.ts";
import { mount } from "../../ui/mount.tsx";
import { Notices } from "../../ui/notices.tsx";
import { Check } from "./check.tsx";
import { Desk } from "./desk.ts";
import { Lesson } from "./lesson.tsx";
import "../../lesson/class.css";
import "./check.css";
import "./panels.css";
import "./quiz.css";
import "./side.css";
import "./teacher.css";

const entry = boot();

if (!entry.lesson || !entry.token) {
  mount(() => <BadAddress entry={entry} />);
} else {
  const desk = new Desk(new LessonSession(entry));
  const entered = signal(false);
  mount(() =>
    entered.value ? (
      <>
        <LessonGate session={desk.session} roles={["teacher"]}>
          {() => <Lesson desk={desk} />}
        </LessonGate>
        <Notices />
      </>
    ) : (
      <Check
        desk={desk}
        onEnter={() => {
          desk.enter();
          entered.value = true;
        }}
      />
    ),
  );
}
