// A camera on the wall.

import { CURVE_MS } from "./cameras.js";
import { Curve } from "./curve.js";
import { ago, make, percent, say, seconds } from "./dom.js";
import { LivePicture, NONE_OF_THESE } from "./picture.js";

const SURE = 0.5; // as in streamcam/render/canvas.py
const MOST_NAMES = 3;
const SHOWS_S = 0.5; // heat that is so much older than its picture lies visibly beside what moves
const LONGEST_WAIT_S = 15; // before a lost camera is tried again: streamcam/sources/status.py
const ACTIVE_MS = 10_000;

/** What is said of a state whose reason is not known. */
const WHY = {
  connecting: "waiting for its first picture",
  stalled: "its connection is open, and nothing comes",
  lost: "it cannot be reached",
  ended: "its video has ended",
  silent: "its publisher says nothing",
};

let tiles = 0;

/** One tile: `element` is a list's item with a link. `update` brings its words up to date, `draw` its curve. */
export class Tile {
  #camera;
  #context;
  #live;
  #curve;
  #parts;
  #link;

  constructor(camera, context) {
    this.#camera = camera;
    this.#context = context;
    this.element = this.#build();
    this.#curve = new Curve(this.#parts.curve);
    this.#live = new LivePicture(this.#parts.canvas, camera, context, { active: false, maxWidth: 320 });
    this.#live.onshown = () => {
      this.#parts.canvas.hidden = false;
      this.#words();
      this.#topClass(this.#camera.state.state === "live");
    };
    this.update();
  }

  get camera() {
    return this.#camera;
  }

  get link() {
    return this.#link;
  }

  /** Where the picture is: its size is that of the picture on the screen. */
  get frame() {
    return this.#parts.frame;
  }

  /** Whether the tile can be seen: only then are pictures asked for. */
  set visible(visible) {
    this.#live.active = visible;
  }

  get visible() {
    return this.#live.active;
  }

  /** The width of the picture on the screen, in its pixels. */
  set width(pixels) {
    this.#live.maxWidth = Math.max(64, Math.round(pixels));
  }

  /** Width / height of the picture; null before the first. */
  get ratio() {
    const { bitmap } = this.#live.shown ?? {};
    return bitmap ? bitmap.width / bitmap.height : null;
  }

  /** How much goes on: the highest sure score and the largest change of the last seconds, 0–2. */
  get activity() {
    const since = performance.now() - ACTIVE_MS, lowest = new Map(), highest = new Map();
    for (const { atMs, scores } of this.#camera.curve) {
      if (atMs < since) continue;
      for (const [label, score] of scores) {
        if (label === NONE_OF_THESE) continue;
        lowest.set(label, Math.min(score, lowest.get(label) ?? 1));
        highest.set(label, Math.max(score, highest.get(label) ?? 0));
      }
    }
    const changes = [...highest].map(([label, score]) => score - lowest.get(label));
    return Math.max(0, ...highest.values()) + Math.max(0, ...changes);
  }

  /** The newest event: the one that began last; undefined if there is none. */
  get newestEvent() {
    let newest;
    for (const event of this.#camera.events.values()) if (!newest || event.start_ns >= newest.start_ns) newest = event;
    return newest;
  }

  close() {
    this.#live.close();
  }

  #build() {
    const id = `tile-${++tiles}`, { id: name } = this.#camera;
    const parts = {
      canvas: make("canvas", { hidden: true, "aria-hidden": "true" }),
      trouble: make("span", { className: "trouble", hidden: true }, make("strong"), make("span", { className: "why" })),
      words: make("span", { className: "words" }),
      mark: make("span", { className: "mark cut", hidden: true }),
      name: make("span", { className: "name cut", id: `${id}-name`, title: name }, name),
      state: make("span", { className: "state" }),
      label: make("span", { className: "cut" }),
      score: make("span"),
      curve: make("canvas", { className: "curve", "aria-hidden": "true" }),
      facts: make("span", { className: "facts" }),
      latency: make("span"),
      fps: make("span"),
      drops: make("span"),
      event: make("span", { className: "event cut", hidden: true }),
      told: make("span", { className: "unseen", id: `${id}-told` }),
    };
    parts.facts.append(parts.latency, parts.fps, parts.drops);
    parts.frame = make("span", { className: "frame" }, parts.canvas, parts.words, parts.trouble, parts.mark);
    this.#parts = parts;
    this.#link = make(
      "a",
      {
        className: "tile", href: `#/camera/${encodeURIComponent(name)}`,
        "aria-labelledby": `${id}-name`, "aria-describedby": `${id}-told`,
      },
      parts.frame,
      make("span", { className: "head" }, parts.name, parts.state),
      make("span", { className: "top-class" }, parts.label, parts.score),
      parts.curve, parts.facts, parts.event,
    );
    return make("li", {}, this.#link, parts.told);
  }

  /** Bring all words up to date. Returns the state. */
  update() {
    const { state } = this.#state(), { status } = this.#camera, parts = this.#parts, live = state === "live";
    this.#topClass(live);
    const latency = live && this.#live.shown ? this.#camera.latencyMs : null;
    say(parts.latency, latency === null ? "– s" : seconds(latency / 1000), "How old the picture is, by both clocks");
    say(parts.fps, live ? `${this.#live.fps.toFixed(0)}\u00a0fps` : "–\u00a0fps", "Pictures shown here per second");
    const drops = dropsOf(status), count = drops.reduce((sum, [, number]) => sum + number, 0);
    say(parts.drops, `${count}\u00a0dropped`, drops.map(([stage, number]) => `${stage}: ${number}`).join(", "));
    this.#event(live);
    const words = live ? [...parts.words.children].map((line) => line.textContent.trim()).join(", ") : "";
    say(parts.told, [this.#saidState(), words, parts.event.textContent].filter(Boolean).join(". "));
    return state;
  }

  /** Draw the curve of the strongest class. */
  draw() {
    this.#curve.draw(this.#camera.curve, this.#strongest()?.label ?? null, performance.now(), CURVE_MS);
  }

  #saidState() {
    const { state, why } = this.#camera.state;
    return state === "live" ? "live" : `${state}: ${why || WHY[state] || ""}`;
  }

  #state() {
    const { state, why } = this.#camera.state, { trouble, words } = this.#parts, live = state === "live";
    this.#link.dataset.state = state;
    say(this.#parts.state, state);
    const [strong, reason] = trouble.children;
    say(strong, live ? "" : state);
    say(reason, live ? "no picture yet" : `${why || WHY[state] || ""}${this.#nextTry(state)}`, why);
    trouble.hidden = live && this.#live.shown !== null;
    words.hidden = !live || this.#live.shown === null;
    return { state };
  }

  #nextTry(state) {
    const leftS = Math.ceil((this.#camera.status.next_try_s ?? 0) - Date.now() / 1000);
    // Clocks of two machines may differ: what cannot be is not said.
    return state === "lost" && leftS > 0 && leftS <= LONGEST_WAIT_S ? `; trying again in ${leftS}\u00a0s` : "";
  }

  /** Write the classes that are sure onto the picture, as streamcam/render/canvas.py does. */
  #words() {
    const { heat, ptsS } = this.#live.shown, { words } = this.#parts;
    const sure = (heat?.classes ?? []).filter((c) => c.label !== NONE_OF_THESE && c.score >= SURE).slice(0, MOST_NAMES);
    const lines = sure.map((c) => [c.label, percent(c.score)]);
    if (!lines.length) lines.push([heat ? "nothing sure" : "no heat yet", ""]);
    const lagS = heat ? ptsS - heat.info.pts_s.at(-1) : 0;
    if (lagS > SHOWS_S) lines.push([`heat ${seconds(lagS)} older`, ""]);
    while (words.childElementCount > lines.length) words.lastElementChild.remove();
    while (words.childElementCount < lines.length) {
      words.append(make("span", {}, make("span", { className: "cut" }), " ", make("b")));
    }
    lines.forEach(([name, score], i) => {
      const [label, value] = words.children[i].children;
      say(label, name, name);
      say(value, score);
    });
  }

  #strongest() {
    const heat = this.#live.shown?.heat ?? this.#camera.heat;
    return heat?.classes.find((c) => c.label !== NONE_OF_THESE);
  }

  #topClass(live) {
    const strongest = live ? this.#strongest() : undefined, { label, score } = this.#parts;
    const title = strongest ? `The strongest class, over the last 60 s: ${strongest.label}` : "";
    say(label, strongest?.label ?? "–", title);
    say(score, strongest ? percent(strongest.score) : "");
  }

  #event(live) {
    const event = this.newestEvent, { mark, event: line } = this.#parts;
    const running = live && event !== undefined && (event.state === "start" || event.state === "update");
    this.#link.classList.toggle("has-event", running);
    mark.hidden = !running;
    line.hidden = event === undefined;
    if (!event) return;
    const name = event.zone ? `${event.rule} in ${event.zone}` : event.rule;
    if (running) say(mark, `event: ${name}`, name);
    const when = running ? "now" : ago(Date.now() / 1000 - event.start_ns / 1e9);
    say(line, `${when}: ${name}`, `${name}, ${new Date(event.start_ns / 1e6).toLocaleString()}`);
  }
}

function dropsOf(status) {
  return Object.entries(status)
    .filter(([name, value]) => name.startsWith("dropped_") && value)
    .map(([name, value]) => [name.slice("dropped_".length).replaceAll("_", " "), value]);
}
