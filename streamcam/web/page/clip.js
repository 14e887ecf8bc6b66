// Plays the clip of an event, with its heat drawn over each picture.

import { make, percent, say } from "./dom.js";
import { fileOf } from "./event-words.js";
import { Heat, HeatPainter } from "./heat.js";
import { tensor } from "./message.js";
import { OPACITY } from "./picture.js";
import { ScoreBar } from "./score-bar.js";
import { meanInside, sigmoid, zoneMask } from "./zone-score.js";

const AROUND_S = 0.3; // heat and boxes are shown for pictures that are so near to one of their moments

/** A player in an element. `close` stops it. */
export class Clip {
  #record;
  #heat = null;
  #scores = null; // of the windows: {shape, data}
  #biases = null; // of the windows, as the scores
  #begin = null; // the moment of the stream at which the clip begins, in seconds
  #k = 0;
  #painter;
  #polygon;
  #bar;
  #video = make("video", { muted: true, playsInline: true, preload: "auto", loop: false });
  #canvas = make("canvas", { className: "over", "aria-hidden": "true" });
  #play = make("button", {}, "Play");
  #seek = make("input", { type: "range", min: 0, max: 1, step: 0.001, value: 0, "aria-label": "Time in the clip" });
  #time = make("output", { className: "faint" });
  #heats = make("input", { type: "checkbox", checked: true });
  #closed = false;
  #frame = 0;

  /**
   * @param {HTMLElement} root what is in it is replaced
   * @param {{record: object, message: object|null, palette: object, polygon: number[][]|null, rule: object|undefined}} what
   *   the event's record; the message with its heat; its zone and rule as they are in the file of the run now
   */
  constructor(root, { record, message, palette, polygon, rule }) {
    this.#record = record;
    this.#polygon = polygon;
    this.#painter = new HeatPainter(palette);
    if (message) this.#take(message);
    if (!record.files.includes("clip.mp4")) return this.#still(root, "There is no clip of it.");
    const known = this.#curves();
    this.#bar = new ScoreBar({ record, begin: this.#begin, curves: known.curves, rule, onseek: (s) => this.#go(s) });
    root.replaceChildren(
      make("div", { className: "over-picture" }, this.#video, this.#canvas), this.#bar.element,
      make("div", { className: "tools" }, this.#play, this.#seek, this.#time, ...this.#choices()),
      make("p", { className: "faint" }, known.words),
    );
    this.#listen(root);
    this.#video.src = fileOf(record, "clip.mp4");
  }

  close() {
    this.#closed = true;
    cancelAnimationFrame(this.#frame);
    this.#bar?.close();
    this.#video.pause();
    this.#video.removeAttribute("src");
    this.#video.load();
  }

  #take(message) {
    this.#heat = new Heat(message);
    this.#begin = message.header.data.clip_begin_pts_s;
    this.#scores = tensor(message.payloads.get("scores"));
    this.#biases = tensor(message.payloads.get("biases"));
  }

  #choices() {
    if (!this.#heat || this.#begin === null) return [];
    const choices = [make("label", {}, this.#heats, "Heat")];
    this.#heats.onchange = () => this.#draw();
    if (this.#heat.classes.length > 1) {
      const select = make("select", { "aria-label": "Class whose heat is shown" });
      select.append(...this.#heat.classes.map(({ label }, k) => make("option", { value: k }, label)));
      select.onchange = () => {
        this.#k = Number(select.value);
        this.#draw();
      };
      choices.push(select);
    }
    return choices;
  }

  #listen(root) {
    const video = this.#video, toggle = () => (video.paused ? video.play() : video.pause());
    this.#play.onclick = toggle;
    video.onclick = toggle;
    video.onplay = video.onpause = () => say(this.#play, video.paused ? "Play" : "Pause");
    this.#seek.oninput = () => this.#go(this.#seek.value * video.duration);
    video.onloadedmetadata = () => {
      [this.#canvas.width, this.#canvas.height] = [video.videoWidth, video.videoHeight];
      video.parentElement.style.setProperty("--ratio", video.videoWidth / video.videoHeight);
      this.#bar.duration = video.duration;
      if (this.#begin !== null) this.#go(Math.max(0, this.#record.start_pts_s - this.#begin - 0.5));
    };
    video.onseeked = () => this.#draw();
    video.onerror = () => !this.#closed && this.#still(root, "This browser cannot play the clip. Download it, and use another player.");
    this.#next();
  }

  /** Draw with each picture that is shown. */
  #next() {
    if (this.#closed) return;
    if (this.#video.requestVideoFrameCallback) {
      this.#video.requestVideoFrameCallback((_, { mediaTime }) => {
        this.#draw(mediaTime);
        this.#next();
      });
    } else {
      this.#frame = requestAnimationFrame(() => {
        if (!this.#video.paused) this.#draw();
        this.#next();
      });
    }
  }

  #go(timeS) {
    this.#video.currentTime = Math.min(Math.max(0, timeS), this.#video.duration || 0);
    this.#say(this.#video.currentTime);
  }

  #say(timeS) {
    const duration = this.#video.duration || 0, text = `${timeS.toFixed(1)} of ${duration.toFixed(1)} s`;
    say(this.#time, text);
    this.#seek.setAttribute("aria-valuetext", text);
    if (document.activeElement !== this.#seek || !this.#video.paused) this.#seek.value = duration ? timeS / duration : 0;
    this.#bar.time = timeS;
  }

  /** Draw heat, box and zone over the picture of a time in the clip, in seconds. */
  #draw(timeS = this.#video.currentTime) {
    if (this.#closed) return;
    const canvas = this.#canvas, context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    this.#say(timeS);
    if (this.#begin === null) return;
    const pts = this.#begin + timeS, line = Math.max(1.5, canvas.width / 500);
    if (this.#heats.checked && this.#heat) this.#paint(context, pts);
    if (this.#polygon) outline(context, this.#polygon, "#ffffff", line);
    const box = this.#boxAt(pts);
    if (box) outline(context, corners(box), "#e8602d", 1.5 * line);
  }

  #paint(context, pts) {
    const heat = this.#heat, times = heat.info.pts_s, k = this.#k;
    if (pts < times[0] - AROUND_S || pts > times.at(-1) + AROUND_S) return;
    let near = 0;
    times.forEach((time, i) => { if (Math.abs(time - pts) < Math.abs(times[near] - pts)) near = i; });
    heat.classes[k].score = this.#scores.data[near * heat.classes.length + k]; // heat of what is unlikely is fainter
    this.#painter.paint(context, heat, k, pts, { scale: heat.classes[k].scale, opacity: OPACITY });
  }

  #boxAt(pts) {
    let best = null;
    for (const [time, box] of this.#record.tube) {
      const far = Math.abs(time - pts);
      if (far <= AROUND_S && far < (best?.far ?? Infinity)) best = { far, box };
    }
    return best?.box ?? null;
  }

  /** The scores over time that a rule sees, where they can be computed here; otherwise those of the windows. */
  #curves() {
    const heat = this.#heat, zone = this.#record.zone;
    if (!heat || this.#begin === null) return { curves: [], words: "There is no heat of it, or no clock to lay it over the clip." };
    const known = heat.multiLabel && (zone === null || this.#polygon !== null), count = heat.classes.length;
    const mask = known && zone !== null ? zoneMask(this.#polygon, heat.info.transform, heat.height, heat.width) : null;
    const curves = heat.classes.map(({ label }, k) => ({
      label,
      points: heat.info.pts_s.map((pts, l) => [
        pts,
        known ? sigmoid(this.#biases.data[l * count + k] + meanInside(heat.raw(k, l), mask)) : this.#scores.data[l * count + k],
      ]),
    }));
    const where = known && zone !== null ? `in ${zone}, as the zone is in the file now` : "in the whole picture";
    return { curves, words: `The curve is the score of ${heat.classes[0].label} ${where}. Its peak was ${percent(this.#record.peak)}.` };
  }

  #still(root, words) {
    const parts = [make("p", { className: "faint" }, words)];
    if (this.#record.files.includes("snapshot.jpg")) {
      parts.unshift(make("img", { src: fileOf(this.#record, "snapshot.jpg"), alt: "The moment of its peak, with heat" }));
    }
    root.replaceChildren(...parts);
  }
}

const corners = ([left, top, right, bottom]) => [[left, top], [right, top], [right, bottom], [left, bottom]];

function outline(context, polygon, colour, width) {
  const { canvas } = context;
  context.beginPath();
  for (const [x, y] of polygon) context.lineTo(x * canvas.width, y * canvas.height);
  context.closePath();
  for (const [style, size] of [["rgb(0 0 0 / 60%)", width + 2], [colour, width]]) {
    context.strokeStyle = style;
    context.lineWidth = size;
    context.stroke();
  }
}
