// The teacher's desk: own camera, microphone and shared screen, and the verbs of the tools.

import { effect, signal } from "@preact/signals";
import { t } from "../../i18n/index.ts";
import { deskWords } from "../../i18n/sections/desk.ts";
import { panelWords } from "../../i18n/sections/panels.ts";
import { OwnCamera } from "../../lesson/own-camera.ts";
import { sceneOf } from "../../lesson/scene.ts";
import type { LessonSession } from "../../lesson/session.ts";
import { wantedByTeacher } from "../../lesson/wanted.ts";
import { FORMATS, type LocalMedia } from "../../media/local.ts";
import { type MediaProblem, mediaProblem } from "../../media/problem.ts";
import { BOARD_MODE, PROFILES, type Publisher } from "../../media/publisher.ts";
import { type Layout, type Member, type MemberCommand, schoolName } from "../../protocol/words.ts";
import { notify, notifyRefused } from "../../ui/notices.tsx";

/** The tools that open a panel over the lesson. One is open at a time. */
export type PanelName =
  | "layout"
  | "question"
  | "quiz"
  | "poll"
  | "buzzer"
  | "roll-call"
  | "pick"
  | "groups"
  | "timer"
  | "praise"
  | "chapters"
  | "document";

/** Cameras of this machine beside the one that shows the teacher. */
export function otherCameras(media: LocalMedia): MediaDeviceInfo[] {
  const used = media.camera.value?.getSettings().deviceId;
  return media.devices.value.filter(
    ({ kind, deviceId }) => kind === "videoinput" && deviceId !== used,
  );
}

const BOARD_MODE_KEY = "cloudschool.board-mode";

/** Writing under a camera: every line of it counts, and it moves slowly. */
const DOCUMENT = {
  width: { ideal: 1920 },
  height: { ideal: 1080 },
  frameRate: { ideal: 10, max: 15 },
};

export class Desk {
  readonly session: LessonSession;
  readonly own: OwnCamera;
  readonly microphoneOn = signal(true);
  readonly cameraOn = signal(true);
  /** The second source: a shared screen or the picture of another camera. */
  readonly screen = signal<MediaStreamTrack | undefined>(undefined);
  readonly screenIs = signal<"screen" | "camera">("screen");
  /** Sharpness over movement for what stands on a blackboard. Kept on this machine. */
  readonly boardMode = signal(localStorage.getItem(BOARD_MODE_KEY) === "on");
  readonly screenProblem = signal<MediaProblem | undefined>(undefined);
  readonly panel = signal<PanelName | undefined>(undefined);
  /** Slides are about to be chosen: their tools are shown before there are any. */
  readonly choosingSlides = signal(false);
  /** Who is about to be taken out: the teacher is asked first. */
  readonly removing = signal<Pick<Member, "id" | "name"> | undefined>(undefined);
  /** The school whose members are looked at. */
  readonly school = signal<string | undefined>(undefined);
  readonly #screenPublisher: Publisher;

  constructor(session: LessonSession) {
    this.session = session;
    this.own = new OwnCamera(session, FORMATS.teacher, PROFILES.teacher);
    this.#screenPublisher = session.publisher("screen", PROFILES.screen);
    session.watch(wantedByTeacher);
    session.obeyMute(this.own.media, () => this.microphoneOn.value);
    effect(() => {
      const track = this.own.media.camera.value;
      if (track) track.enabled = this.cameraOn.value;
    });
    effect(() => {
      const on = this.boardMode.value;
      const track = this.own.media.camera.value;
      if (track) track.contentHint = on ? "detail" : "";
      this.own.publisher.tune(on ? BOARD_MODE : undefined);
      localStorage.setItem(BOARD_MODE_KEY, on ? "on" : "off");
    });
    effect(() => {
      if (!session.inLesson.value) this.stopSharing();
    });
    let open = false;
    effect(() => {
      const state = session.socket.state.value;
      const opened = state?.slides !== undefined && !open;
      open = state?.slides !== undefined;
      // Slides chosen now are to be seen, whatever the class was shown before.
      if (!state || !opened || !this.choosingSlides.peek()) return;
      if (sceneOf(state, "").big.show !== "slides") this.direct("slides-teacher");
    });
  }

  get media(): LocalMedia {
    return this.own.media;
  }

  /** Comes into the lesson with whatever camera and microphone there are. */
  enter(): void {
    this.session.socket.start();
    this.own.keepPublished();
  }

  async share(): Promise<void> {
    const sharing = this.screen.peek() !== undefined && this.screenIs.peek() === "screen";
    this.stopSharing();
    if (sharing) return;
    this.screenProblem.value = undefined;
    try {
      const stream = await navigator.mediaDevices.getDisplayMedia({
        video: { frameRate: { ideal: 15, max: 30 } },
        audio: true,
      });
      this.#share(stream, "screen");
    } catch (error) {
      const problem = mediaProblem(error, globalThis.isSecureContext);
      // Closing the browser's chooser is no fault.
      if (problem !== "denied") this.screenProblem.value = problem;
    }
  }

  /** Shows the class another camera, as one above a book, in place of a screen. */
  async shareCamera(deviceId: string): Promise<void> {
    this.stopSharing();
    this.screenProblem.value = undefined;
    try {
      const video = { ...DOCUMENT, deviceId: { exact: deviceId } };
      this.#share(await navigator.mediaDevices.getUserMedia({ video }), "camera");
    } catch (error) {
      this.screenProblem.value = mediaProblem(error, globalThis.isSecureContext);
    }
  }

  #share(stream: MediaStream, what: "screen" | "camera"): void {
    const [video] = stream.getVideoTracks();
    if (!video) return;
    video.contentHint = "detail";
    video.onended = () => this.stopSharing();
    this.screenIs.value = what;
    this.screen.value = video;
    this.#screenPublisher.start(stream.getTracks());
  }

  stopSharing(): void {
    this.screen.peek()?.stop();
    this.screen.value = undefined;
    this.#screenPublisher.stop();
  }

  /** Asks something of the lesson; says whether it was done. */
  async ask(command: MemberCommand): Promise<boolean> {
    try {
      await this.session.socket.command(command);
      return true;
    } catch (error) {
      notifyRefused(error);
      return false;
    }
  }

  toggle(panel: PanelName): void {
    this.panel.value = this.panel.peek() === panel ? undefined : panel;
  }

  /** The node's clock. */
  get nowMs(): number {
    return this.session.now.value + this.session.socket.clockOffset.value;
  }

  /** A member's name, be it still there or not. */
  nameOf(member: string): string {
    const state = this.session.state;
    return state?.members[member]?.name ?? state?.attendance[member]?.name ?? member;
  }

  schoolOf(member: string): string {
    const state = this.session.state;
    return state?.members[member]?.school ?? state?.attendance[member]?.school ?? "";
  }

  /** What people call a school. */
  schoolName(school: string): string {
    const info = this.session.state?.info;
    return info ? schoolName(info, school) : school;
  }

  /** Shows the class something else; what was shown before is one click away for five seconds. */
  direct(layout: Layout, focus?: string): void {
    const before = this.session.state?.view;
    const now = focus === undefined ? { layout } : { layout, focus };
    void this.ask({ do: "direct", ...now }).then((done) => {
      if (!done || !before) return;
      const text = deskWords.value.everyoneSees(deskWords.value.layoutName[layout]);
      const was: Layout = before.auto ? "auto" : before.layout;
      const back = before.focus === undefined ? {} : { focus: before.focus };
      notify(text, { undo: () => void this.ask({ do: "direct", layout: was, ...back }) });
    });
  }

  /** Brings pictures, slides or the board to the middle, here and on the class's screens. */
  show(what: "pictures" | "slides" | "board"): void {
    const state = this.session.state;
    if (!state) return;
    this.choosingSlides.value = what === "slides";
    if (what === "board") this.direct("board");
    else if (what === "slides") {
      if (state.slides) this.direct("slides-teacher");
    } else if (state.slides) this.direct("teacher");
    else if (!state.view.auto) this.direct("auto");
  }

  praise(member: string, text?: string): void {
    const command = { do: "praise", member } as const;
    void this.ask(text ? { ...command, text } : command).then((done) => {
      if (done) notify(panelWords.value.praise.given(this.nameOf(member)));
    });
  }

  /** Sends everybody off the stage; for five seconds they can be called back. */
  clearStage(): void {
    const were = this.session.state?.stage ?? [];
    void this.ask({ do: "dismiss-all" }).then((done) => {
      if (!done) return;
      notify(deskWords.value.stageCleared, {
        undo: () => {
          for (const member of were) void this.ask({ do: "call", member });
        },
      });
    });
  }

  /** Takes a member out, who comes in again only when let in; for five seconds by one click. */
  remove({ id, name }: Pick<Member, "id" | "name">): void {
    void this.ask({ do: "remove-member", member: id }).then((done) => {
      if (done) notify(deskWords.value.removed(name), { undo: () => this.letIn({ id, name }) });
    });
  }

  letIn({ id, name }: Pick<Member, "id" | "name">): void {
    void this.ask({ do: "let-in", member: id }).then((done) => {
      if (done) notify(deskWords.value.letInAgain(name));
    });
  }

  /** Shuts the door of this run to who has not been in it, or opens it. */
  lock(locked: boolean): void {
    void this.ask({ do: "lock", locked }).then((done) => {
      if (!done) return;
      const text = locked ? deskWords.value.nowLocked : deskWords.value.nowUnlocked;
      notify(text, { undo: () => void this.ask({ do: "lock", locked: !locked }) });
    });
  }

  /** Keeps a member from writing, or lets it again; can be undone. */
  silence(member: string, silenced: boolean): void {
    void this.ask({ do: "silence", member, silenced }).then((done) => {
      if (!done) return;
      const words = deskWords.value;
      const name = this.nameOf(member);
      const text = silenced ? words.silenced(name) : words.unsilenced(name);
      notify(text, { undo: () => void this.ask({ do: "silence", member, silenced: !silenced }) });
    });
  }

  /** Shuts or opens a member's microphone at once; for five seconds it can be undone. */
  mute(member: Member, muted: boolean): void {
    void this.ask({ do: "mute", member: member.id, muted });
    const words = t.value.teacher;
    const text = muted ? words.muted(member.name) : words.unmuted(member.name);
    notify(text, { undo: () => void this.ask({ do: "mute", member: member.id, muted: !muted }) });
  }
}
