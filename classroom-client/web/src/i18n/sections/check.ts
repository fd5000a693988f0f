// The page before the lesson: picture, voice, line.

import { section } from "../section.ts";

export const zh = {
  title: "上课前检查",
  picture: "画面和声音",
  voice: "试音",
  speakHere: "说一句话，看绿条是否跳动",
  quiet: "还没有听到声音",
  heard: "声音正常",
  tryVoice: "说三秒，再听听",
  throughNode: "声音会到节点再传回来，和课堂里一样；已进入的教室也会听到。",
  onlyHere: "课已经开始，声音只在这台电脑里回放。",
  connectingVoice: "正在连接节点…",
  recordingVoice: "请说话…",
  playingVoice: "正在回放",
  cameBack: "声音从节点传回来了",
  stayedHere: "没有从节点传回来，刚才回放的是本机录音",
  line: "线路",
  lineTesting: "正在测试…",
  lineGood: (ms: number) => `到节点 ${ms} 毫秒，线路良好`,
  lineFair: (ms: number) => `到节点 ${ms} 毫秒，可以上课，操作会稍慢`,
  linePoor: (ms: number) => `到节点 ${ms} 毫秒，建议改用有线网络`,
  lineDown: "连不上节点，请检查网线或无线网络",
  losing: {
    nothing: () => "试音没有丢包",
    unheard: (percent: string) => `试音丢包 ${percent}%，听不出来`,
    some: (percent: string) => `试音丢包 ${percent}%：声音偶尔会断，画面会变小`,
    much: (percent: string) => `试音丢包 ${percent}%：声音会断断续续，建议改用有线网络`,
  },
  lineLossy: (ms: number) => `到节点 ${ms} 毫秒，但是丢包太多`,
  lineLosing: (ms: number) => `到节点 ${ms} 毫秒，有一些丢包`,
  tcp: "这个网络不通 UDP：声音和课件没有问题，画面可能会卡。可以请网络管理员放行 UDP。",
  noMedia:
    "这个网络不通音视频：可以用课件和板书上课，看不到画面，也听不到声音。请换一个网络，或联系网络管理员。",
  udp: "画面、声音和课件都可以",
  enter: "进入课堂",
  enterWithout: "不用镜头和麦克风进入",
  opening: "正在打开镜头和麦克风…",
  allow: "请在浏览器弹出的窗口里点“允许”",
};

export const en: typeof zh = {
  title: "Check before the lesson",
  picture: "Picture and sound",
  voice: "Your voice",
  speakHere: "Say something and watch the green bar",
  quiet: "nothing heard yet",
  heard: "sound is fine",
  tryVoice: "Speak for 3 s and listen",
  throughNode:
    "Your voice goes to the node and back, as in the lesson; classrooms that are in already hear it too.",
  onlyHere: "The lesson has begun: your voice is played back on this computer only.",
  connectingVoice: "Connecting to the node…",
  recordingVoice: "Please speak…",
  playingVoice: "Playing back",
  cameBack: "Your voice came back from the node",
  stayedHere: "Nothing came back from the node; that was a recording on this computer",
  line: "Line",
  lineTesting: "Testing…",
  lineGood: (ms) => `${ms} ms to your node: good`,
  lineFair: (ms) => `${ms} ms to your node: usable, a little slow`,
  linePoor: (ms) => `${ms} ms to your node: better use a cable`,
  lineDown: "The node can’t be reached; check cable or wireless",
  losing: {
    nothing: () => "nothing of your voice was lost on the way",
    unheard: (percent) => `${percent} % of your voice was lost on the way: nobody will hear it`,
    some: (percent) =>
      `${percent} % of your voice was lost on the way: sound will crackle at times, pictures get smaller`,
    much: (percent) =>
      `${percent} % of your voice was lost on the way: sound will break up; better use a cable`,
  },
  lineLossy: (ms) => `${ms} ms to your node, but too much is lost on the way`,
  lineLosing: (ms) => `${ms} ms to your node; some is lost on the way`,
  tcp: "UDP is blocked by this network: sound and slides will work, video may not. Your network’s administrator can open UDP.",
  noMedia:
    "Sound and video are blocked by this network: slides and board will work, nothing else. Try another network, or ask its administrator.",
  udp: "Pictures, sound and slides will work",
  enter: "Enter the lesson",
  enterWithout: "Enter without camera and microphone",
  opening: "Opening camera and microphone…",
  allow: "Please choose “Allow” in the window of your browser",
};

export const checkWords = section(zh, en);
