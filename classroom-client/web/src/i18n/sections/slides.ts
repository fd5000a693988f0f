// The sentences around slides: what everybody reads, and the teacher's tools.

import { section } from "../section.ts";

export const zh = {
  page: (n: number, of: number) => `第 ${n} 页，共 ${of} 页`,
  pageTitled: (n: number, of: number, title: string) => `第 ${n} 页，共 ${of} 页：${title}`,
  loading: (n: number) => `第 ${n} 页正在加载…`,
  pointer: "老师正在指这里",

  tools: "课件",
  open: "打开课件",
  openOther: "换课件",
  previous: "上一页",
  next: "下一页",
  close: "收起课件",
  overview: "全部页面",
  again: (title: string) => `继续“${title}”`,

  reading: "正在读取文件…",
  preparing: (done: number, of: number) => `正在准备课件：${done} / ${of} 页`,
  cancel: "取消",
  retry: "接着上传",
  failedPage: (n: number, why: string) => `第 ${n} 页没有传上去：${why}`,
  offline: "网络不通",
  notPdf: "打不开这个文件，请换成 PDF。",
  locked: "这个 PDF 有密码，请先去掉密码。",
  tooManyPages: (most: number) => `课件最多 ${most} 页，请拆成几份。`,
  notOpened: "课件没有打开，请再试一次。",
};

export const en: typeof zh = {
  page: (n, of) => `Page ${n} of ${of}`,
  pageTitled: (n, of, title) => `Page ${n} of ${of}: ${title}`,
  loading: (n) => `Page ${n} is loading…`,
  pointer: "The teacher points here",

  tools: "Slides",
  open: "Open slides",
  openOther: "Other slides",
  previous: "Previous page",
  next: "Next page",
  close: "Put slides away",
  overview: "All pages",
  again: (title) => `Go on with “${title}”`,

  reading: "Reading the file…",
  preparing: (done, of) => `Preparing the slides: ${done} of ${of} pages`,
  cancel: "Cancel",
  retry: "Go on uploading",
  failedPage: (n, why) => `Page ${n} was not uploaded: ${why}`,
  offline: "there is no connection",
  notPdf: "This file can’t be opened; please choose a PDF.",
  locked: "This PDF has a password; please take it off first.",
  tooManyPages: (most) => `Slides have at most ${most} pages; please split the file.`,
  notOpened: "The slides did not open; please try again.",
};

export const slideWords = section(zh, en);
