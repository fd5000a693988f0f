import { plural } from "./plural.ts";
import type { Dictionary } from "./zh.ts";

const seconds = (n: number) => plural(n, "second", "seconds");

export const en: Dictionary = {
  lang: "en",
  productName: "Cloudschool",
  otherLanguage: "中文",

  role: {
    teacher: "teacher",
    assistant: "assistant",
    classroom: "classroom",
    student: "student",
    observer: "observer",
    operator: "operator",
  },

  lesson: {
    notStarted: "Not started",
    recording: "Recording",
    recordingHint: "This lesson is being recorded; it will be in the library afterwards",
    elapsed: "Time since the lesson began",
    teacherAway: "The teacher is away for the moment",
    waitingForTeacher: "One moment, the teacher is on the way",
    waitingForStart: "You are in. Waiting for the teacher to begin",
    noPicture: "Camera is off",
    you: "Me",
  },

  line: {
    good: "Line good",
    fair: "Line fair",
    poor: "Line poor",
    measuring: "Measuring",
    away: "Line away",
    detail: (mbit, loss, rtt) => `${mbit} Mbit/s, ${loss}% lost, round trip ${rtt} ms`,
    reconnecting: "Connecting again…",
    retryIn: (n) => `Connection lost, trying again in ${seconds(n)}`,
    retryNow: "Try now",
    campusAway: "The campus can’t be reached. Your own class goes on; trying again by itself",
    campusHere: "Campus connected",
    campusGone: "Campus away",
    mediaLost: "Picture interrupted, coming back",
    waitingToSend: (what) => `${what}: waiting to be sent`,
    cancel: "Cancel",
  },

  command: {
    start: "Start lesson",
    end: "End lesson",
    "raise-hand": "Raise hand",
    "lower-hand": "Lower hand",
    mute: "Mute",
    unmute: "Unmute",
    call: "Call to stage",
    dismiss: "Send off stage",
  },

  sound: {
    blocked: "The browser needs one click before it plays sound",
    play: "Click to play sound",
  },

  check: {
    title: "Check before the lesson",
    camera: "Camera",
    microphone: "Microphone",
    speaker: "Speaker",
    speakHere: "Say something and watch the green bar",
    quiet: "Nothing heard yet",
    heard: "Sound is fine",
    tryVoice: "Record 3 s and listen",
    recordingVoice: "Please speak…",
    playingVoice: "Playing back",
    lineTitle: "Line",
    lineGood: (ms) => `${ms} ms to your node: good`,
    lineFair: (ms) => `${ms} ms to your node: usable, a little slow`,
    linePoor: (ms) => `${ms} ms to your node: better use a cable`,
    lineDown: "The node can’t be reached; check cable or wireless",
    lineTesting: "Testing…",
    enter: "Enter the lesson",
    enterWithout: "Enter without camera and microphone",
    opening: "Opening camera and microphone…",
    allow: "Please choose “Allow” in the window of your browser",
    retry: "Try again",
    noDevice: "None found",
    systemDefault: "System default",
  },

  problem: {
    video: "The camera can’t be used",
    audio: "The microphone can’t be used",
    both: "Camera and microphone can’t be used",
    screen: "The screen can’t be shared",
    denied: {
      what: "the browser was not given permission",
      advice:
        "Click the icon left of the address, set camera and microphone to “Allow”, then try again.",
    },
    "denied-by-system": {
      what: "the system keeps the browser from it",
      advice:
        "Allow the browser camera and microphone in the system’s privacy settings, then try again.",
    },
    missing: {
      what: "no device was found",
      advice: "Check that it is plugged in, or use another socket, then try again.",
    },
    busy: {
      what: "another program is using it",
      advice: "Close other programs that use camera or microphone, then try again.",
    },
    insecure: {
      what: "this address is not HTTPS, so the browser gives no camera",
      advice: "Use the lesson’s https:// address, or ask your school’s technician.",
    },
    unplugged: {
      what: "the device was unplugged",
      advice: "Plug it in again and try again, or choose another under Devices.",
    },
    unknown: {
      what: "the device does not answer",
      advice: "Unplug it and plug it in, or restart the browser, then try again.",
    },
  },

  publish: {
    retrying: "Your picture is interrupted; coming back by itself",
    refused: (why) => `The node did not take your picture: ${why}`,
  },

  teacher: {
    tools: "Lesson tools",
    microphoneOn: "Mic on",
    microphoneOff: "Mic off",
    cameraOn: "Camera on",
    cameraOff: "Camera off",
    share: "Share screen",
    stopShare: "Stop sharing",
    start: "Start lesson",
    startHint: "Recording starts with it",
    end: "End lesson",
    endTitle: "End this lesson?",
    endText:
      "All classrooms and students leave the lesson; the recording then goes to the library. This can’t be undone.",
    endConfirm: "End lesson",
    keepGoing: "Go on",
    settings: "Devices",
    hands: "Hands",
    noHands: "No hands up",
    waited: (text) => `waiting ${text}`,
    call: "Call up",
    dismiss: "Off stage",
    lowerHand: "Lower",
    mute: "Mute",
    unmute: "Unmute",
    muted: (name) => `${name} is muted`,
    unmuted: (name) => `${name}’s microphone is open`,
    undo: "Undo",
    classrooms: "Classrooms",
    noClassrooms:
      "No classroom yet. Each appears here when its big screen opens the lesson’s address.",
    homeStudents: "At home",
    noHomeStudents: "No students at home",
    onStage: "On stage",
    handUp: "Hand up",
    mutedState: "Muted",
    noMicrophone: "No microphone",
    listening: "Heard",
    pictureOf: (name) => `Picture of ${name}`,
    ownPicture: "My camera",
    ownScreen: "The screen I share",
    people: (rooms, students) => `${plural(rooms, "classroom", "classrooms")}, ${students} at home`,
    enlarge: "Enlarge",
    reaches: {
      full: "full picture and sound",
      reduced: "smaller pictures and sound",
      slides: "slides and sound",
      stills: "still pictures and sound",
      sound: "sound only",
    },
    reachedBecause: {
      whole: "All of it gets there",
      settling: "The line is coming back; more follows by itself",
      cap: "The school allows lessons no more of its line",
      line: "The school’s line carries no more at present",
    },
    reachedFor: (text) => `for ${text}`,
  },

  classroom: {
    microphoneOn: "Microphone on",
    microphoneOff: "Microphone off",
    microphoneMuted: "Muted by the teacher",
    microphoneBroken: "Microphone not usable",
    cameraOn: "Camera on",
    cameraBroken: "Camera not usable",
    ourPicture: "Our classroom",
    onStage: "We are on stage: everyone sees and hears us",
    handHint: "raise hand",
    handUp: "Hand is up, waiting for the teacher",
    lowerHint: "lower hand",
    stage: "On stage",
    teacher: "Teacher",
  },

  student: {
    raise: "Raise hand",
    lower: "Lower hand",
    handUp: "Your hand is up; waiting for the teacher",
    place: (n) => `number ${n} in line`,
    audioOnly: "Sound only",
    audioOnlyOn: "Sound only, saves data; tap for the picture",
    calledTitle: "The teacher calls you up",
    calledText:
      "On stage, the teacher and everyone else see and hear you. Camera and microphone stay off unless you agree.",
    withBoth: "Camera and microphone",
    withVoice: "Microphone only",
    decline: "Not now",
    onStage: "You are on stage; everyone hears you",
    onStageSeen: "You are on stage; everyone sees and hears you",
    leaveStage: "Leave stage",
    mutedByTeacher: "The teacher has muted you",
    notLiveYet: "The lesson has not started yet. Make yourself comfortable",
    observer: "Observing: nobody sees you",
  },

  closing: {
    title: "The lesson is over",
    thanks: "Thank you, and see you next time!",
    length: (text) => `It took ${text}`,
    archiving: "Preparing the recording; this usually takes a few seconds",
    archived: "The recording is in the library",
    watch: "Watch the recording",
    library: "To the library",
    report: "Lesson report",
  },

  stop: {
    noToken: {
      title: "This address is incomplete",
      text: "To enter you need the whole link from your teacher or school. Please copy it again, from beginning to end.",
    },
    noLesson: {
      title: "This address names no lesson",
      text: "Please use the whole link from your teacher or school.",
    },
    unauthorized: {
      title: "The link is not valid or has expired",
      text: "Please ask your teacher or school for a new link.",
    },
    replaced: {
      title: "You entered this lesson elsewhere",
      text: "One person can be in a lesson on one page only. To go on here, use the button.",
      action: "Continue here",
    },
    protocol: {
      title: "This page needs an update",
      text: "Page and node are of different versions. Please reload.",
      action: "Reload",
    },
    wrongPage: (role) => ({
      title: "Link and page don’t match",
      text: `This link is for the role “${role}”. Please use the page for it.`,
      action: "Open the right page",
    }),
    unreachable: {
      title: "The lesson can’t be reached",
      text: "Check the cable or the wireless network. You will come in by yourself when it is back; no need to reload.",
    },
    refused: { title: "You can’t enter this lesson", text: "Please ask your teacher or school." },
    notYet: { title: "Not yet" },
    joining: "Entering the lesson…",
  },

  common: {
    colon: ": ",
    close: "Close",
  },
};
