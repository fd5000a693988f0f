import { keepAwake } from "../../lesson/awake.ts";
import { boot } from "../../lesson/boot.ts";
import { BadAddress, LessonGate } from "../../lesson/gate.tsx";
import { LessonSession } from "../../lesson/session.ts";
import { mount } from "../../ui/mount.tsx";
import { Notices } from "../../ui/notices.tsx";
import { Lesson } from "./lesson.tsx";
import { Watch } from "./watch.ts";
import "../../lesson/class.css";
import "./observer.css";

const entry = boot();

if (!entry.lesson || !entry.token) {
  mount(() => <BadAddress entry={entry} />);
} else {
  const watch = new Watch(new LessonSession(entry));
  watch.session.socket.start();
  void keepAwake();
  mount(() => (
    <>
      <LessonGate session={watch.session} roles={["observer"]}>
        {() => <Lesson watch={watch} />}
      </LessonGate>
      <Notices />
    </>
  ));
}
