// What is said and written in the lesson of the pictures, in both languages.

export const WORDS = {
  "zh-CN": {
    title: "二次函数的图像",
    subject: "数学",
    grade: "九年级",
    teacher: "李老师",
    schools: { campus: "城关中学", "school-01": "青山学校", "school-02": "白河学校" },
    people: {
      "class-301": "青山九年级一班",
      "class-302": "白河九年级",
      host: "本部九年级二班",
      wang: "王小雨",
      chen: "陈思远",
      liu: "刘一鸣",
      zhou: "周梓涵",
      zhao: "赵老师",
      sun: "孙老师",
    },
    slides: [
      {
        title: "二次函数的图像",
        lines: ["顶点在哪里？", "开口向哪边？", "对称轴是什么？"],
        shift: 0,
      },
      { title: "顶点式", lines: ["y = a(x − h)² + k", "顶点 (h, k)", "对称轴 x = h"], shift: 1 },
      {
        title: "练习",
        lines: ["1. y = (x − 1)² + 2 的顶点", "2. y = −x² 的开口", "3. 自己画一条抛物线"],
      },
    ],
    question: "为什么顶点在对称轴上？",
    questions: `# 顶点小测

1. 抛物线 y = (x − 1)² + 2 的顶点在哪里？
A. (1, 2)
B. (−1, 2)
C. (1, −2)
D. (2, 1)
答案：A

2. 它开口向上
答案：对
`,
    chat: ["老师，第二题的 h 是正的还是负的？", "看括号里：x − h。", "明白了，谢谢老师！"],
    note: "导入自然，问题有梯度，青山的同学参与很积极。",
    laterNote: "讲顶点式时可以再慢一点。",
    chapter: "例题讲解",
    groups: ["第一组", "第二组"],
    caption: "把括号里的数变号，就是顶点的横坐标。",
    roster: "陈思远\n刘一鸣\n周梓涵\n王小雨\n孙悦\n马腾\n林晓\n高远",
    timer: "讨论",
    lessons: [
      ["chinese-3", "《观潮》第二课时", "周老师", "语文", "四年级"],
      ["english-5", "At the zoo", "陈老师", "英语", "五年级"],
      ["science-6", "种子怎样发芽", "杨老师", "科学", "六年级"],
    ],
    search: "函数",
  },
  en: {
    title: "Graphs of quadratic functions",
    subject: "Mathematics",
    grade: "Grade 9",
    teacher: "Ms Li",
    schools: { campus: "Chengguan", "school-01": "Qingshan", "school-02": "Baihe" },
    people: {
      "class-301": "Qingshan, class 9-1",
      "class-302": "Baihe, class 9",
      host: "Chengguan, class 9-2",
      wang: "Wang Xiaoyu",
      chen: "Chen Siyuan",
      liu: "Liu Yiming",
      zhou: "Zhou Zihan",
      zhao: "Mr Zhao",
      sun: "Ms Sun",
    },
    slides: [
      {
        title: "Quadratic functions",
        lines: ["Where is the vertex?", "Which way does it open?", "What is its axis?"],
        shift: 0,
      },
      {
        title: "Vertex form",
        lines: ["y = a(x − h)² + k", "vertex (h, k)", "axis x = h"],
        shift: 1,
      },
      {
        title: "Exercises",
        lines: [
          "1. The vertex of y = (x − 1)² + 2",
          "2. Which way does y = −x² open?",
          "3. Draw a parabola of your own",
        ],
      },
    ],
    question: "Why does the vertex lie on the axis?",
    questions: `# Vertex

1. Where is the vertex of y = (x − 1)² + 2?
A. (1, 2)
B. (−1, 2)
C. (1, −2)
D. (2, 1)
Answer: A

2. It opens upwards
Answer: true
`,
    chat: [
      "Is h positive or negative in the second one?",
      "Look inside the bracket: x − h.",
      "I see, thank you!",
    ],
    note: "A natural way in; questions build on each other; Qingshan joins in.",
    laterNote: "The vertex form could have been taken more slowly.",
    chapter: "Worked examples",
    groups: ["Group 1", "Group 2"],
    caption: "Change the sign of the number in the bracket: that is where the vertex is.",
    roster:
      "Chen Siyuan\nLiu Yiming\nZhou Zihan\nWang Xiaoyu\nSun Yue\nMa Teng\nLin Xiao\nGao Yuan",
    timer: "Discussion",
    lessons: [
      ["chinese-3", "Watching the tide, part 2", "Mr Zhou", "Chinese", "Grade 4"],
      ["english-5", "At the zoo", "Ms Chen", "English", "Grade 5"],
      ["science-6", "How seeds sprout", "Mr Yang", "Science", "Grade 6"],
    ],
    search: "quadratic",
  },
};
