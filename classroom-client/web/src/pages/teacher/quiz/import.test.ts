import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { decode, importQuestions } from "./import.ts";

describe("questions from plain text", () => {
  it("are read as a teacher types them", () => {
    const { title, items, problems } = importQuestions(
      `# 二次函数小测

1. 抛物线 y = x² 的顶点在哪里？
A. 原点
B．(1, 2)
C、(0, 1)
答案：A

2、下面哪些开口向上？
(A) y = x²
(B) y = -x²
(C) y = 2x²
【答案】AC

3. 圆周率约等于
答案: 3.14 ±0.01

4. 二次函数的图像是直线
答案：错

5. 说出顶点式
`,
    );
    expect(problems).toEqual([]);
    expect(title).toBe("二次函数小测");
    expect(items).toEqual([
      {
        prompt: "抛物线 y = x² 的顶点在哪里？",
        kind: "single",
        choices: ["原点", "(1, 2)", "(0, 1)"],
        correct: { choice: 0 },
      },
      {
        prompt: "下面哪些开口向上？",
        kind: "multiple",
        choices: ["y = x²", "y = -x²", "y = 2x²"],
        correct: { choices: [0, 2] },
      },
      { prompt: "圆周率约等于", kind: "number", correct: { number: 3.14 }, tolerance: 0.01 },
      { prompt: "二次函数的图像是直线", kind: "true-false", correct: { truth: false } },
      { prompt: "说出顶点式", kind: "text" },
    ]);
  });

  it("may follow each other without empty lines, and have several lines each", () => {
    const { items } = importQuestions(
      "1. First line\nsecond line\nA) one\nB) two\nanswer: b\n2. Next?\nanswer: water",
    );
    expect(items).toEqual([
      {
        prompt: "First line\nsecond line",
        kind: "single",
        choices: ["one", "two"],
        correct: { choice: 1 },
      },
      { prompt: "Next?", kind: "text", correct: { text: "water" } },
    ]);
  });

  it("that make no sense are left out, and the line is said", () => {
    const { items, problems } = importQuestions(
      `一个选项\nA. 只有一个\n\n没有这个选项\nA. 一\nB. 二\n答案: D\n\n${"长".repeat(501)}\n\n好的\n答案: 水`,
    );
    expect(problems).toEqual([
      { line: 1, problem: "one-choice" },
      { line: 4, problem: "bad-answer" },
      { line: 9, problem: "too-long" },
    ]);
    expect(items).toHaveLength(1);
  });

  it("are no more than a node takes", () => {
    const text = Array.from({ length: 23 }, (_, i) => `第${i + 1}题 多少\n答案: ${i}`).join("\n\n");
    const { items, problems } = importQuestions(text);
    expect(items).toHaveLength(20);
    expect(problems.map(({ problem }) => problem)).toEqual(["too-many", "too-many", "too-many"]);
  });

  it("of an empty file are none", () => {
    expect(importQuestions("")).toEqual({ title: "", items: [], problems: [] });
    expect(importQuestions("\uFEFF\r\n\r\n").items).toEqual([]);
  });
});

describe("what the documentation shows", () => {
  const doc = new URL("../../../../../../docs/question-files.md", import.meta.url);
  const blocks = readFileSync(doc, "utf8").matchAll(/```\n([^`]*)```/g);
  const [text, table] = [...blocks].map((block) => importQuestions(block[1] ?? ""));

  it("is read as it says", () => {
    expect(text?.problems).toEqual([]);
    expect(text?.items.map(({ kind }) => kind)).toEqual([
      "single",
      "multiple",
      "number",
      "true-false",
      "text",
    ]);
    expect(table?.problems).toEqual([]);
    expect(table?.items.map(({ kind, correct }) => [kind, correct])).toEqual([
      ["single", { choice: 0 }],
      ["true-false", { truth: true }],
    ]);
  });
});

describe("questions from a spreadsheet", () => {
  it("are found by the names of the columns, in either language", () => {
    const { items, problems } = importQuestions(
      '\uFEFF题型,题目,A,B,C,答案,误差\r\n单选,"他说""好""，对吗？",好,不好,,A,\r\n多选,选两个,一,二,三,"A,C",\r\n数字,π,,,,3.14,0.01\r\n判断,天是蓝的,,,,对,\r\n简答,写一个数,,,,7,\r\n,,,,,,\r\n',
    );
    expect(problems).toEqual([]);
    expect(items).toEqual([
      {
        prompt: '他说"好"，对吗？',
        kind: "single",
        choices: ["好", "不好"],
        correct: { choice: 0 },
      },
      {
        prompt: "选两个",
        kind: "multiple",
        choices: ["一", "二", "三"],
        correct: { choices: [0, 2] },
      },
      { prompt: "π", kind: "number", correct: { number: 3.14 }, tolerance: 0.01 },
      { prompt: "天是蓝的", kind: "true-false", correct: { truth: true } },
      { prompt: "写一个数", kind: "text", correct: { text: "7" } },
    ]);
  });

  it("may be separated by semicolons or tabs, with line breaks in quotes", () => {
    expect(importQuestions('prompt;choice A;choice B;answer\n"a\nb";1;2;B\n').items).toEqual([
      { prompt: "a\nb", kind: "single", choices: ["1", "2"], correct: { choice: 1 } },
    ]);
    const { problems } = importQuestions('question\tA\tB\tanswer\n"x\ny"\t1\t2\tA\nz\t1\t\tA\n');
    expect(problems).toEqual([{ line: 4, problem: "one-choice" }]);
  });

  it("are read in UTF-8, else as Chinese spreadsheets save", () => {
    expect(decode(new TextEncoder().encode("题目"))).toBe("题目");
    expect(decode(new Uint8Array([0xcc, 0xe2, 0xc4, 0xbf]))).toBe("题目");
  });
});
