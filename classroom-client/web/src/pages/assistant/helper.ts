// The assistant's part: counts what a class without devices does, and tells the lesson.

import { computed, signal } from "@preact/signals";
import type { Draft } from "../../lesson/chat.tsx";
import type { LessonSession } from "../../lesson/session.ts";
import type { ChatTo } from "../../protocol/interactions.ts";
import { membersOf } from "../../protocol/state.ts";
import type { Member, MemberCommand } from "../../protocol/words.ts";
import { notifyRefused } from "../../ui/notices.tsx";

export class Helper {
  readonly session: LessonSession;
  readonly draft: Draft = { text: signal(""), to: signal<ChatTo>("all") };

  /** The classrooms of the own school. */
  readonly rooms = computed((): Member[] => {
    const { state, you } = this.session.socket;
    if (!state.value || !you.value) return [];
    const { school } = you.value;
    return membersOf(state.value, "classroom").filter((member) => member.school === school);
  });

  /** Hands counted last in the own class, what waits to be told included. */
  readonly hands = computed(() => {
    const { state, you, waiting } = this.session.socket;
    const queued = waiting.value.findLast(({ command }) => command.do === "count-hands");
    if (queued?.command.do === "count-hands") return queued.command.count;
    return you.value ? (state.value?.handCounts[you.value.id]?.count ?? 0) : 0;
  });

  constructor(session: LessonSession) {
    this.session = session;
  }

  /** Asks something of the lesson; a refusal is shown. */
  ask(command: MemberCommand): void {
    this.session.socket.command(command).catch(notifyRefused);
  }

  /** Says it anew in place of what was said of the same before and still waits. */
  askAnew(command: MemberCommand, same: (waiting: MemberCommand) => boolean): void {
    const { socket } = this.session;
    for (const { id, command: waiting } of socket.waiting.peek()) {
      if (waiting.do === command.do && same(waiting)) socket.cancel(id);
    }
    this.ask(command);
  }

  countHands(count: number): void {
    this.askAnew({ do: "count-hands", count }, () => true);
  }

  /** Whether what a member wrote or does is in this assistant's care. */
  cares(member: Member | undefined): boolean {
    const you = this.session.socket.you.value;
    return member !== undefined && member.school === you?.school && member.id !== you.id;
  }
}
