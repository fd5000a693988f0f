// The sentences of the patrol wall.

import { section } from "../section.ts";

export const zh = {
  title: "巡课",
  noToken: "请用平台发的巡课链接打开这个页面。",
  failed: "巡课信息取不到，请检查网络。会自动再试。",
  loading: "正在取各课的情况…",
  none: "现在没有开放的课。",
  counts: (n: number) => `共 ${n} 节课`,
  campusAway: "与总部校区的连接断开，这里看到的可能不是最新情况。",
  health: {
    "teacher-away": "主讲老师不在",
    silent: "主讲没有画面和声音",
    "schools-short": "有学校只有声音或静止画面",
    good: "正常",
    waiting: "还没有开始",
  },
  advice: {
    "teacher-away": "请联系主讲老师，看他的网络是否断开。",
    silent: "请主讲老师检查镜头和麦克风。",
    "schools-short": "网络不够。请这些学校的老师检查线路。",
  },
  people: (rooms: number, students: number) => `${rooms} 间教室，${students} 名学生在家`,
  hands: (n: number) => `${n} 人举手`,
  noPicture: "没有画面",
  cannotDecode: "这个浏览器不能显示画面",
  pictureOf: (title: string) => `${title}的画面`,
  rung: {
    full: "完整",
    reduced: "画面变小",
    slides: "课件和声音",
    stills: "静止画面和声音",
    sound: "只有声音",
  },
  school: (name: string, rung: string) => `${name}收到${rung}`,
  look: "进去听课",
  all: "全部",
  wrong: "需要关注",
};

export const en: typeof zh = {
  title: "Patrol",
  noToken: "Please open this page with the patrol link of your platform.",
  failed: "The lessons can’t be fetched; please check the network. Trying again by itself.",
  loading: "Fetching the lessons…",
  none: "No lesson is open now.",
  counts: (n: number) => `Lessons: ${n}`,
  campusAway: "The campus can’t be reached: what is seen here may be old.",
  health: {
    "teacher-away": "The teacher is away",
    silent: "The teacher is neither seen nor heard",
    "schools-short": "Some schools have sound or stills only",
    good: "Good",
    waiting: "Not started",
  },
  advice: {
    "teacher-away": "Please call the teacher: the line may be down.",
    silent: "The teacher should check camera and microphone.",
    "schools-short": "Their lines carry no more. Those schools should check them.",
  },
  people: (rooms: number, students: number) =>
    `Classrooms: ${rooms}, students at home: ${students}`,
  hands: (n: number) => `Hands: ${n}`,
  noPicture: "No picture",
  cannotDecode: "This browser can’t show the picture",
  pictureOf: (title: string) => `Picture of ${title}`,
  rung: {
    full: "everything",
    reduced: "smaller pictures",
    slides: "slides and sound",
    stills: "stills and sound",
    sound: "sound alone",
  },
  school: (name: string, rung: string) => `${name} gets ${rung}`,
  look: "Look in",
  all: "All",
  wrong: "Needs attention",
};

export const patrolWords = section(zh, en);
