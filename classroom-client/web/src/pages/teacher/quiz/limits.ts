// What nodes take of a quiz or poll.

export const LIMITS = {
  title: 100,
  items: 20,
  prompt: 500,
  choices: 10,
  choice: 200,
  text: 200,
  minSeconds: 5,
  maxSeconds: 3600,
} as const;
