// The sentences of the library.

import { plural } from "../plural.ts";
import { section } from "../section.ts";

export const zh = {
  title: "资源库",
  search: "搜索课名、老师、学科",
  loading: "正在读取…",
  empty: "还没有录像。下课后几秒钟，录像就会出现在这里。",
  nothingFound: (query: string) => `没有找到“${query}”。试试更短的词。`,
  showAll: "看全部",
  more: "再看一些",
  count: (n: number) => `${n} 节课`,
  failed: "读取失败",
  retry: "重试",
  back: "返回列表",
  play: (title: string) => `播放 ${title}`,
  playerFailed: "播放不了这个录像",
  notFound: "没有这个录像，可能还在整理，或已被删除。",
  noToken: "请从课堂的下课页面进入资源库，或用学校发的链接。",
  ended: "播放完毕",
  subject: "学科",
  teacher: "主讲",
  chapters: "章节",
  beside: "当时的课件和板书",
  slide: (page: number, title: string | undefined) =>
    title ? `第 ${page} 页课件：${title}` : `第 ${page} 页课件`,
  slideMissing: (name: string) => `${name}（图片没有存下来）`,
};

export const en: typeof zh = {
  title: "Library",
  search: "Search title, teacher, subject",
  loading: "Loading…",
  empty: "No recordings yet. They appear here a few seconds after a lesson ends.",
  nothingFound: (query) => `Nothing found for “${query}”. Try a shorter word.`,
  showAll: "Show all",
  more: "Show more",
  count: (n) => plural(n, "lesson", "lessons"),
  failed: "Could not be loaded",
  retry: "Try again",
  back: "Back to the list",
  play: (title) => `Play ${title}`,
  playerFailed: "This recording can’t be played",
  notFound: "There is no such recording; it may still be in preparation, or was removed.",
  noToken: "Please come from a lesson’s closing page, or use the link from your school.",
  ended: "End of the recording",
  subject: "Subject",
  teacher: "Teacher",
  chapters: "Chapters",
  beside: "Slides and board as they were",
  slide: (page, title) => (title ? `Slide ${page}: ${title}` : `Slide ${page}`),
  slideMissing: (name) => `${name} (its picture was not kept)`,
};

export const libraryWords = section(zh, en);
