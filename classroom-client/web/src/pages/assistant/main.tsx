import { keepAwake } from "../../lesson/awake.ts";
import { boot } from "../../lesson/boot.ts";
import { BadAddress, LessonGate } from "../../lesson/gate.tsx";
import { LessonSession } from "../../lesson/session.ts";
import { mount } from "../../ui/mount.tsx";
import { Notices } from "../../ui/notices.tsx";
import { Helper } from "./helper.ts";
import { Lesson } from "./lesson.tsx";
import "../../lesson/class.css";
import "./assistant.css";

const entry = boot();

if (!entry.lesson || !entry.token) {
  mount(() => <BadAddress entry={entry} />);
} else {
  const helper = new Helper(new LessonSession(entry));
  helper.session.socket.start();
  void keepAwake();
  mount(() => (
    <>
      <LessonGate session={helper.session} roles={["assistant"]}>
        {() => <Lesson helper={helper} />}
      </LessonGate>
      <Notices />
    </>
  ));
}
