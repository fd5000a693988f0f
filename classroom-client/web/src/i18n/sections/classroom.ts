// The sentences of a classroom's screen that the other pages do not need. Short: they are read
// from eight metres.

import { section } from "../section.ts";

export const zh = {
  rollCall: "老师在点名",
  rollCallDo: "请数一数到了几个人",
  here: "到",
  hereDone: "本教室已签到",
  counted: (present: number, expected: number) => `已报 ${present} / ${expected} 人`,
  countedOnly: (present: number) => `已报 ${present} 人`,
  choose: "想好了就举手，由老师数一数",
  think: "写在本子上",
  buzz: "抢答",
  buzzDo: "按空格键抢答",
  buzzed: (n: number) => `本教室第 ${n} 个`,
  firstIs: (name: string) => `最快：${name}`,
  ourHands: (n: number) => `本教室举手 ${n} 人`,
  inGroup: (group: string, names: string) =>
    `${/组$/.test(group) ? group : `${group} 组`}：${names}`,
  awayKept: "线路断开，画面停在断开前",
  wait: "等老师公布结果",
};

export const en: typeof zh = {
  rollCall: "Roll call",
  rollCallDo: "Please count who is here",
  here: "Here",
  hereDone: "This classroom is marked present",
  counted: (present, expected) => `${present} of ${expected} reported`,
  countedOnly: (present) => `${present} reported`,
  choose: "Raise a hand for your choice; your teacher counts",
  think: "Write it down",
  buzz: "Buzzer",
  buzzDo: "Press the space bar",
  buzzed: (n) => `We are number ${n}`,
  firstIs: (name) => `Quickest: ${name}`,
  ourHands: (n) => `Hands in this room: ${n}`,
  inGroup: (group, names) => `${/^group\b/i.test(group) ? group : `Group ${group}`}: ${names}`,
  awayKept: "The line is away; this is the last picture",
  wait: "The teacher shows the result soon",
};

export const classroomWords = section(zh, en);
