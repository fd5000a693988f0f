import { keepAwake } from "../../lesson/awake.ts";
import { boot } from "../../lesson/boot.ts";
import { BadAddress, LessonGate } from "../../lesson/gate.tsx";
import { LessonSession } from "../../lesson/session.ts";
import { mount } from "../../ui/mount.tsx";
import { Notices } from "../../ui/notices.tsx";
import { Lesson } from "./lesson.tsx";
import { Seat } from "./seat.ts";
import "../../lesson/class.css";
import "./student.css";

const entry = boot();

if (!entry.lesson || !entry.token) {
  mount(() => <BadAddress entry={entry} />);
} else {
  const seat = new Seat(new LessonSession(entry));
  seat.session.socket.start();
  void keepAwake();
  mount(() => (
    <>
      <LessonGate session={seat.session} roles={["student", "operator"]}>
        {() => <Lesson seat={seat} />}
      </LessonGate>
      <Notices />
    </>
  ));
}
