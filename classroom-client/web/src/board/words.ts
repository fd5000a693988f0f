// What the board says to people. Loaded with the board, not with the page.

import { computed } from "@preact/signals";
import { lang } from "../i18n/index.ts";

const zh = {
  name: "板书",
  tools: "书写工具",
  pen: "笔",
  marker: "荧光笔",
  eraser: "橡皮",
  line: "直线",
  arrow: "箭头",
  rect: "矩形",
  ellipse: "椭圆",
  text: "文字",
  image: "插入图片",
  imageFailed: "图片没有放上去，请再试一次。",
  colour: "颜色",
  colours: ["墨色", "蓝色", "朱红", "绿色", "琥珀", "紫色"],
  width: "粗细",
  widths: ["细", "中", "粗"],
  undo: "撤销",
  redo: "重做",
  clear: "清空这一页",
  pages: "板书页",
  page: (n: number, all: number) => `第 ${n} 页，共 ${all} 页`,
  previous: "上一页",
  next: "下一页",
  add: "加一页",
  export: "导出",
  exportPng: "这一页存为图片（PNG）",
  exportPdf: "全部存为 PDF",
  exportFailed: "没有导出成功，请再试一次。",
  writers: "谁可以写",
  writersOf: {
    teacher: "只有老师",
    stage: "台上的人",
    classrooms: "各教室",
    everyone: "所有人",
  },
  readOnly: "现在只能看，老师开放后可以书写",
  loading: "正在打开板书…",
  failed: "板书没有打开。",
  retry: "再试一次",
  waiting: (n: number) => `${n} 处还没有送出，恢复连接后自动送出`,
  writing: (who: string) => `${who}正在写`,
  described: (n: number, things: number) => `板书第 ${n} 页，${things} 项内容`,
  overlay: (things: number) => `课件上的书写，${things} 项内容`,
  typeHere: "输入文字，Esc 完成",
};

export type BoardWords = typeof zh;

const en: BoardWords = {
  name: "Board",
  tools: "Writing tools",
  pen: "Pen",
  marker: "Marker",
  eraser: "Eraser",
  line: "Line",
  arrow: "Arrow",
  rect: "Rectangle",
  ellipse: "Ellipse",
  text: "Text",
  image: "Insert a picture",
  imageFailed: "The picture could not be put on the board; please try again.",
  colour: "Colour",
  colours: ["Ink", "Blue", "Vermilion", "Green", "Amber", "Purple"],
  width: "Width",
  widths: ["Thin", "Medium", "Thick"],
  undo: "Undo",
  redo: "Redo",
  clear: "Clear this page",
  pages: "Board pages",
  page: (n, all) => `Page ${n} of ${all}`,
  previous: "Previous page",
  next: "Next page",
  add: "Add a page",
  export: "Export",
  exportPng: "This page as a picture (PNG)",
  exportPdf: "All pages as PDF",
  exportFailed: "The export did not work; please try again.",
  writers: "Who may write",
  writersOf: {
    teacher: "The teacher alone",
    stage: "Those on stage",
    classrooms: "Classrooms",
    everyone: "Everyone",
  },
  readOnly: "You can watch now, and write when the teacher opens the board",
  loading: "Opening the board…",
  failed: "The board did not open.",
  retry: "Try again",
  waiting: (n) =>
    n === 1
      ? "1 change waits to be sent; it goes by itself"
      : `${n} changes wait to be sent; they go by themselves`,
  writing: (who) => `${who} is writing`,
  described: (n, things) => `Board page ${n}, ${things} items`,
  overlay: (things) => `Writing over the slides, ${things} items`,
  typeHere: "Type here, Esc when done",
};

/** The board's sentences in the language of the page. */
export const words = computed<BoardWords>(() => (lang.value === "en" ? en : zh));

/** Both languages, for tests. */
export const BOTH = { zh, en };
