// The sentences of coming in by a code.

import { section } from "../section.ts";

export const zh = {
  title: "输入课堂码",
  code: "课堂码（8 位数字）",
  codeHint: "老师会把课堂码读出来或显示在屏幕上",
  next: "下一步",
  looking: "正在查找…",
  name: "姓名",
  nameHint: "写真实姓名，老师才能叫到您",
  school: "学校",
  chooseSchool: "请选择",
  enter: "进入课堂",
  entering: "正在进入…",
  another: "换一个课堂码",
  by: (teacher: string) => `主讲：${teacher}`,
  failed: "连接不上，请检查网络后再试。",
};

export const en: typeof zh = {
  title: "Enter a lesson code",
  code: "Lesson code (8 digits)",
  codeHint: "The teacher reads it out or shows it on the screen",
  next: "Next",
  looking: "Looking…",
  name: "Name",
  nameHint: "Your real name, so that the teacher can call on you",
  school: "School",
  chooseSchool: "Please choose",
  enter: "Enter the lesson",
  entering: "Entering…",
  another: "Another code",
  by: (teacher: string) => `Teacher: ${teacher}`,
  failed: "No connection. Please check the network and try again.",
};

export const joiningWords = section(zh, en);
