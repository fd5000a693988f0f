// What the cameras of the pictures see and what the slides show: drawn, so that nobody's face is
// needed, and different in every room.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

const WIDTH = 1280;
const HEIGHT = 720;
/** Pictures in a camera's loop; enough for a hand to move. */
const FRAMES = 6;

const SKIN = ["#f0c6a0", "#e8b88f", "#dca67c", "#f4d0ae"];
const HAIR = ["#22201f", "#2c2523", "#1b1a1d", "#3a2c26"];

/** The same numbers for the same seed, 0 to 1. */
function numbers(seed) {
  let state = seed * 2654435761;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const pick = (list, random) => list[Math.floor(random() * list.length)];

/** Head and shoulders, `size` the head's radius, looking at us. */
function person(x, y, size, { skin, hair, coat, long = false, raised = 0 }) {
  const arm = raised
    ? `<path d="M${x + size * 1.25} ${y + size * 2.5} L${x + size * 1.7} ${y - size * (0.4 + raised)}"
         stroke="${coat}" stroke-width="${size * 0.62}" stroke-linecap="round"/>
       <circle cx="${x + size * 1.72}" cy="${y - size * (0.75 + raised)}" r="${size * 0.36}" fill="${skin}"/>`
    : "";
  return `<g>
    ${long ? `<path d="M${x - size * 1.12} ${y + size * 1.5} V${y} a${size * 1.12} ${size * 1.12} 0 0 1 ${size * 2.24} 0 V${y + size * 1.5} Z" fill="${hair}"/>` : ""}
    <path d="M${x - size * 1.9} ${y + size * 4.4} v-${size * 1.1} a${size * 1.9} ${size * 1.9} 0 0 1 ${size * 3.8} 0 v${size * 1.1} Z" fill="${coat}"/>
    ${arm}
    <rect x="${x - size * 0.38}" y="${y + size * 0.7}" width="${size * 0.76}" height="${size * 0.95}" rx="${size * 0.3}" fill="${skin}"/>
    <path d="M${x - size * 0.75} ${y + size * 1.52} L${x} ${y + size * 2.25} L${x + size * 0.75} ${y + size * 1.52}" fill="none" stroke="#ffffff" stroke-width="${size * 0.2}" stroke-linejoin="round"/>
    <ellipse cx="${x}" cy="${y}" rx="${size * 0.9}" ry="${size * 1.06}" fill="${skin}"/>
    <path d="M${x - size} ${y + size * 0.1} a${size} ${size * 1.15} 0 0 1 ${size * 2} 0 q-${size * 0.35} -${size * 0.75} -${size} -${size * 0.72} t-${size} ${size * 0.72} Z" fill="${hair}"/>
    <circle cx="${x - size * 0.34}" cy="${y + size * 0.16}" r="${size * 0.09}" fill="#2a2522"/>
    <circle cx="${x + size * 0.34}" cy="${y + size * 0.16}" r="${size * 0.09}" fill="#2a2522"/>
    <path d="M${x - size * 0.26} ${y + size * 0.52} q${size * 0.26} ${size * 0.22} ${size * 0.52} 0" fill="none" stroke="#9a5a48" stroke-width="${size * 0.09}" stroke-linecap="round"/>
  </g>`;
}

/** A parabola in chalk, its vertex at (x, y). */
function chalk(x, y, scale) {
  const at = (n) => `${x + n * scale} ${y - n * n * scale * 0.52}`;
  const curve = Array.from({ length: 41 }, (_, n) => at((n - 20) / 7.5)).join(" L");
  return `<g fill="none" stroke="#eef3ea" stroke-linecap="round" stroke-width="5" opacity="0.92">
    <path d="M${x - scale * 3.1} ${y + scale * 0.75} H${x + scale * 3.1} m-16 -9 l16 9 l-16 9"/>
    <path d="M${x - scale * 1.1} ${y + scale * 1.5} V${y - scale * 4} m-9 16 l9 -16 l9 16"/>
    <path d="M${curve}" stroke="#f7d774" stroke-width="7"/>
    <path d="M${x} ${y + scale * 0.75} V${y - scale * 3.6}" stroke-dasharray="14 16" stroke="#9fd8cf"/>
    <circle cx="${x}" cy="${y}" r="9" fill="#f08a7a" stroke="none"/>
  </g>`;
}

/** A teacher before a blackboard. */
function teacher(frame) {
  const sway = [0, 3, 5, 3, 0, -2][frame];
  const arm = [0, -6, -12, -8, -2, 2][frame];
  return `<rect width="1280" height="720" fill="#e9e2d3"/>
    <rect y="560" width="1280" height="160" fill="#c9b496"/>
    <rect x="40" y="56" width="1200" height="500" rx="8" fill="#8a6a46"/>
    <rect x="60" y="76" width="1160" height="460" fill="#2c5247"/>
    <rect x="60" y="76" width="1160" height="150" fill="#31594d" opacity="0.6"/>
    ${chalk(360, 340, 72)}
    <text x="120" y="500" font-family="Noto Serif CJK SC" font-size="46" fill="#eef3ea">y = (x − 1)² + 2</text>
    <rect x="60" y="536" width="1160" height="16" fill="#75583a"/>
    <rect x="520" y="526" width="60" height="10" rx="3" fill="#f2efe6"/><rect x="600" y="526" width="44" height="10" rx="3" fill="#f7d774"/>
    <g transform="translate(${sway} 0)">
      <path d="M815 520 L${700 + arm} ${372 + arm}" stroke="#31506e" stroke-width="52" stroke-linecap="round"/>
      <circle cx="${690 + arm}" cy="${358 + arm}" r="27" fill="#eec29c"/>
      ${person(900, 268, 78, { skin: "#eec29c", hair: "#26211f", coat: "#31506e", long: true })}
    </g>
    <rect x="700" y="640" width="420" height="80" rx="6" fill="#a17d54"/>
    <rect x="690" y="628" width="440" height="22" rx="5" fill="#b8925f"/>`;
}

/** A class at its desks, seen from the board. */
function room(frame, { seed, wall, coat, scarf, rows = 3, across = 6, hands = 2 }) {
  const random = numbers(seed);
  const children = [];
  for (let row = 0; row < rows; row += 1) {
    const size = 26 + row * 11;
    const y = 268 + row * 118;
    const gap = 1180 / across;
    for (let n = 0; n < across; n += 1) {
      const skin = pick(SKIN, random);
      const hair = pick(HAIR, random);
      const long = random() < 0.48;
      const sways = random() * 6.28;
      const up = row * across + n;
      const raised = [across + 1, 2 * across - 2, 3][up % 3] === up && hands > 0 ? 1.5 : 0;
      const x = 50 + gap * (n + 0.5) + (row % 2 ? 22 : -10) + Math.sin(frame + sways) * 2.5;
      children.push(person(x, y, size, { skin, hair, coat, long, raised }));
      if (scarf) {
        children.push(
          `<path d="M${x - size * 0.5} ${y + size * 1.6} L${x} ${y + size * 2.9} L${x + size * 0.5} ${y + size * 1.6} Z" fill="${scarf}"/>`,
        );
      }
    }
    children.push(
      `<rect x="0" y="${y + size * 3.1}" width="1280" height="${size * 0.55}" fill="#c99f68"/>
       <rect x="0" y="${y + size * 3.6}" width="1280" height="${size * 1.5}" fill="#a57f4e"/>`,
    );
  }
  const windows = [90, 400, 710, 1020]
    .map(
      (x) => `<rect x="${x}" y="34" width="180" height="140" fill="#f7f4ea"/>
        <rect x="${x + 10}" y="44" width="160" height="120" fill="#bcdcea"/>
        <path d="M${x + 10} 140 q40 -42 80 -14 t80 -10 v48 h-160 Z" fill="#8fb889"/>
        <rect x="${x + 86}" y="44" width="8" height="120" fill="#f7f4ea"/>`,
    )
    .join("");
  return `<rect width="1280" height="720" fill="${wall}"/>
    <rect y="186" width="1280" height="40" fill="#000000" opacity="0.07"/>${windows}${children.join("")}`;
}

/** A child at home, at a desk. */
function home(frame, { skin, hair, coat, long }) {
  const books = ["#b5533c", "#2f6f6b", "#d9a441", "#4d5f8c", "#8a9a5b", "#a8577e"];
  const shelf = books
    .map(
      (colour, n) =>
        `<rect x="${880 + n * 44}" y="${120 + (n % 3) * 10}" width="34" height="${130 - (n % 3) * 10}" rx="3" fill="${colour}"/>`,
    )
    .join("");
  return `<rect width="1280" height="720" fill="#dfe6e2"/>
    <rect x="90" y="70" width="330" height="300" rx="6" fill="#f7f4ea"/><rect x="106" y="86" width="298" height="268" fill="#c5e0ec"/>
    <path d="M106 300 q80 -70 150 -24 t148 -20 v98 h-298 Z" fill="#9cc290"/>
    <rect x="860" y="250" width="310" height="14" fill="#a17d54"/>${shelf}
    ${person(640 + Math.sin(frame) * 4, 300, 118, { skin, hair, coat, long })}
    <rect y="640" width="1280" height="80" fill="#c99f68"/>`;
}

const CAMERAS = {
  teacher,
  "room-301": (frame) =>
    room(frame, { seed: 7, wall: "#e4e8dc", coat: "#2f5f8f", scarf: "#c8322b", hands: 2 }),
  "room-302": (frame) =>
    room(frame, { seed: 23, wall: "#efe3cf", coat: "#7a8f3c", scarf: "", across: 5, hands: 0 }),
  host: (frame) =>
    room(frame, {
      seed: 51,
      wall: "#dde3e8",
      coat: "#f0f0ee",
      scarf: "#b4232a",
      across: 7,
      hands: 1,
    }),
  home: (frame) => home(frame, { skin: "#f0c6a0", hair: "#26211f", coat: "#c76a4a", long: true }),
};

/** Draws every camera's loop into `dir`; gives the files by the camera's name. */
export async function drawCameras(browser, dir) {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: HEIGHT } });
  const files = {};
  for (const [name, draw] of Object.entries(CAMERAS)) {
    const frames = [];
    for (let frame = 0; frame < FRAMES; frame += 1) {
      await page.setContent(
        `<body style="margin:0"><svg width="${WIDTH}" height="${HEIGHT}" style="display:block">${draw(frame)}</svg>`,
      );
      const picture = await page.screenshot({ type: "jpeg", quality: 88 });
      // Half a second each at the 30 frames a second Chromium plays such a file with.
      for (let again = 0; again < 15; again += 1) frames.push(picture);
    }
    files[name] = join(dir, `${name}.mjpeg`);
    await writeFile(files[name], Buffer.concat(frames));
  }
  await page.close();
  return files;
}

/** A deck as a teacher might bring it, one page for each of `slides`. */
export async function drawSlides(browser, slides) {
  const page = await browser.newPage();
  const graph = (shift) => {
    const at = (n) => `${300 + n * 62} ${400 - (n - shift) ** 2 * 34}`;
    const curve = Array.from({ length: 61 }, (_, n) => at(shift - 3 + n / 10)).join(" L");
    return `<svg width="600" height="460" viewBox="0 0 600 500" fill="none" stroke="#33413f" stroke-width="3">
      <g stroke="#dfe5e1" stroke-width="1.5">${Array.from({ length: 9 }, (_, n) => `<path d="M${52 + n * 62} 20 V470 M20 ${40 + n * 50} H580"/>`).join("")}</g>
      <path d="M20 440 H580 m-14 -8 l14 8 l-14 8 M300 480 V16 m-8 14 l8 -14 l8 14"/>
      <path d="M${curve}" stroke="#0b6563" stroke-width="6"/>
      <path d="M${300 + shift * 62} 440 V40" stroke="#c3762a" stroke-dasharray="10 10"/>
      <circle cx="${300 + shift * 62}" cy="400" r="9" fill="#c3402a" stroke="none"/></svg>`;
  };
  const sheets = slides.map(
    ({ title, lines, shift }, n) => `<section>
      <header><b>${title}</b><i>${n + 1}</i></header>
      <div>${shift === undefined ? "" : graph(shift)}<ul>${lines.map((line) => `<li>${line}</li>`).join("")}</ul></div>
    </section>`,
  );
  await page.setContent(`<style>
    @page { size: 1280px 720px; margin: 0 }
    body { margin: 0; font-family: "Noto Sans CJK SC", sans-serif; color: #1d2725 }
    section { box-sizing: border-box; width: 1280px; height: 720px; padding: 56px 72px; break-after: page; background: #fffdf8 }
    header { display: flex; justify-content: space-between; align-items: baseline; padding-bottom: 18px; border-bottom: 5px solid #0b6563; font-size: 54px }
    header i { font-style: normal; font-size: 26px; color: #6a7774 }
    div { display: flex; align-items: center; gap: 56px; height: 520px }
    ul { margin: 0; padding: 0; list-style: none; font-size: 40px; line-height: 1.75 }
  </style>${sheets.join("")}`);
  const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: true });
  await page.close();
  return pdf;
}
