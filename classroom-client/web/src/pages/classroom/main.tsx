import { boot } from "../../lesson/boot.ts";
import { BadAddress, LessonGate } from "../../lesson/gate.tsx";
import { LessonSession } from "../../lesson/session.ts";
import { mount } from "../../ui/mount.tsx";
import { Notices } from "../../ui/notices.tsx";
import { Room } from "./room.ts";
import { Screen } from "./screen.tsx";
import "../../lesson/class.css";
import "./classroom.css";

const entry = boot();

if (!entry.lesson || !entry.token) {
  mount(() => <BadAddress entry={entry} />);
} else {
  const room = new Room(new LessonSession(entry));
  // A screen on a wall has nobody to click "enter".
  room.enter();
  mount(() => (
    <>
      <LessonGate session={room.session} roles={["classroom"]}>
        {() => <Screen room={room} />}
      </LessonGate>
      <Notices />
    </>
  ));
}
