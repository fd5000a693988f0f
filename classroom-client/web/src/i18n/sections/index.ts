// The sentences of the first page.

import { section } from "../section.ts";

export const zh = {
  lead: "一位老师，许多教室，同一节课。",
  how: "怎样进入",
  teacher: { title: "主讲老师", text: "打开学校发的主讲链接，检查镜头和麦克风，点“进入课堂”。" },
  classroom: {
    title: "教室大屏",
    text: "在大屏上打开教室链接，按 F11 全屏。镜头和麦克风会自动接通，按 H 键举手。",
  },
  student: { title: "在家的学生", text: "用手机、平板或电脑打开学生链接，就能听课、举手。" },
  library: { title: "看录像", text: "下课后，从下课页面或学校的资源库链接进入。" },
  link: "链接由学校的平台或运维发给您。链接里有您的身份，请不要转发。",
  trouble: "打不开？请联系学校的技术老师。",
};

export const en: typeof zh = {
  lead: "One teacher, many classrooms, one lesson.",
  how: "How to enter",
  teacher: {
    title: "Teachers",
    text: "Open the teacher link from your school, check camera and microphone, then enter.",
  },
  classroom: {
    title: "Classroom screens",
    text: "Open the classroom link on the big screen, F11 for full screen. Camera and microphone connect by themselves; H raises the hand.",
  },
  student: {
    title: "Students at home",
    text: "Open the student link on a phone, tablet or computer to follow and raise your hand.",
  },
  library: {
    title: "Recordings",
    text: "After the lesson, from its closing page or with the library link of your school.",
  },
  link: "Links come from your school’s platform or operator. Yours says who you are: please don’t pass it on.",
  trouble: "Does it not open? Ask your school’s technician.",
};

export const indexWords = section(zh, en);
