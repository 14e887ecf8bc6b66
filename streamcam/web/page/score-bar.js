// The scores of an event over the time of its clip, with its begin, peak and end.

import { make } from "./dom.js";

const HEIGHT = 96, TOP = 18; // pixels; the words stand above the curve

/** `element` is a canvas to click into; `duration` and `time` are in seconds of the clip. */
export class ScoreBar {
  #record;
  #begin;
  #curves;
  #rule;
  #duration = 0;
  #time = 0;
  #sizes;
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #ondark = () => this.#draw();

  /** @param {{record: object, begin: number|null, curves: {label: string, points: number[][]}[], rule: object|undefined, onseek: function(number)}} what */
  constructor({ record, begin, curves, rule, onseek }) {
    Object.assign(this, { onseek });
    [this.#record, this.#begin, this.#curves, this.#rule] = [record, begin, curves, rule];
    this.element = make("canvas", { className: "score-bar", role: "img" });
    this.element.setAttribute("aria-label", this.#words());
    this.element.addEventListener("pointerdown", (event) => {
      this.element.setPointerCapture(event.pointerId);
      this.#point(event);
    });
    this.element.addEventListener("pointermove", (event) => event.buttons && this.#point(event));
    this.#sizes = new ResizeObserver(() => this.#draw());
    this.#sizes.observe(this.element);
    this.#dark.addEventListener("change", this.#ondark);
  }

  set duration(seconds) {
    this.#duration = seconds;
    this.element.setAttribute("aria-label", this.#words());
    this.#draw();
  }

  set time(seconds) {
    this.#time = seconds;
    this.#draw();
  }

  close() {
    this.#sizes.disconnect();
    this.#dark.removeEventListener("change", this.#ondark);
  }

  #words() {
    if (this.#begin === null) return "Where the event is in the clip is not known.";
    const at = (pts) => `${(pts - this.#begin).toFixed(1)} s`, { start_pts_s, peak_pts_s, pts_s } = this.#record;
    return `The event begins at ${at(start_pts_s)} of the clip, has its peak at ${at(peak_pts_s)}, and ends at ${at(pts_s)}.`;
  }

  #point(event) {
    const { left, width } = this.element.getBoundingClientRect();
    this.onseek(((event.clientX - left) / width) * this.#duration);
  }

  #draw() {
    const canvas = this.element, ratio = devicePixelRatio || 1, width = canvas.clientWidth;
    if (!width) return;
    [canvas.width, canvas.height] = [width * ratio, HEIGHT * ratio];
    const context = canvas.getContext("2d"), colours = getComputedStyle(canvas);
    const colour = (name) => colours.getPropertyValue(name);
    context.scale(ratio, ratio);
    context.font = `12px ${colours.fontFamily}`;
    if (this.#duration && this.#begin !== null) this.#content(context, width, colour);
    context.fillStyle = colour("--text");
    context.fillRect((this.#time / (this.#duration || 1)) * width - 1, 0, 2, HEIGHT);
  }

  #content(context, width, colour) {
    const x = (pts) => ((pts - this.#begin) / this.#duration) * width, y = (score) => TOP + (1 - score) * (HEIGHT - TOP - 2);
    const { start_pts_s: start, pts_s: end, peak_pts_s: peak } = this.#record;
    context.fillStyle = colour("--raised");
    context.fillRect(x(start), TOP, Math.max(2, x(end) - x(start)), HEIGHT - TOP);
    context.setLineDash([4, 4]);
    for (const level of this.#rule ? [this.#rule.on, this.#rule.off] : []) {
      line(context, [[0, y(level)], [width, y(level)]], colour("--faint"), 1);
    }
    context.setLineDash([]);
    [...this.#curves.entries()].reverse().forEach(([k, { points }]) => {
      line(context, points.map(([pts, score]) => [x(pts), y(score)]), colour(k ? "--faint" : "--accent"), k ? 1 : 2);
    });
    let free = 0;
    for (const [pts, word] of [[start, "begin"], [peak, "peak"], [end, "end"]].sort((a, b) => a[0] - b[0])) {
      line(context, [[x(pts), TOP], [x(pts), HEIGHT]], colour("--text"), 1);
      const wide = context.measureText(word).width, at = Math.min(Math.max(x(pts) - wide / 2, free), width - wide);
      context.fillStyle = colour("--text");
      if (at >= free) context.fillText(word, at, 12);
      free = Math.max(free, at + wide + 6);
    }
  }
}

function line(context, points, colour, width) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.stroke();
}
