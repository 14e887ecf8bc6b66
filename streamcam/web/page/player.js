// The picture of a camera's view: live, or any moment of its history, with the heat of a class over it.

import { HeatPainter } from "./heat.js";
import { picture } from "./message.js";
import { OPACITY, classToPaint } from "./picture.js";
import { settings } from "./settings.js";

/** Shows moments of a history on a canvas. Every change is drawn with the browser's next picture. */
export class Player {
  /** Called after each drawing, with `shown`. */
  onshown = () => {};
  /** Called when it begins or ceases to be live. */
  onmode = () => {};

  #canvas;
  #history;
  #painter;
  #label = null;
  #opacity = OPACITY;
  #factor = 1;
  #shown = null;
  #pinned = null; // the frame's moment to show; null while live
  #decoding = false;
  #broken = new WeakSet();
  #request = 0;
  #closed = false;

  /**
   * @param {HTMLCanvasElement} canvas it gets the size of the picture
   * @param {History} history
   * @param {object} palette
   */
  constructor(canvas, history, palette) {
    this.#canvas = canvas;
    this.#history = history;
    this.#painter = new HeatPainter(palette);
    this.#request = requestAnimationFrame(() => this.#tick());
  }

  /** The name of the class whose heat is painted; null for the strongest. */
  get label() {
    return this.#label;
  }

  set label(label) {
    this.#label = label;
    this.#draw();
  }

  /** How much of the picture heat at full strength hides, 0–1. */
  get opacity() {
    return this.#opacity;
  }

  set opacity(opacity) {
    this.#opacity = opacity;
    this.#draw();
  }

  /** The scale that is painted with, as a multiple of the model's own. */
  get factor() {
    return this.#factor;
  }

  set factor(factor) {
    this.#factor = factor;
    this.#draw();
  }

  /**
   * What is on the canvas: `{bitmap, moment, heatMoment, heat, k, scale}`; null before the first picture. `moment` is
   * the frame's, `k` the place of the class among `heat.classes`, `scale` in logit units. What is not there is null.
   */
  get shown() {
    return this.#shown;
  }

  /** Whether it follows the camera. */
  get live() {
    return this.#pinned === null;
  }

  /** Stay at what is shown. */
  freeze() {
    this.#pin(this.#shown?.moment ?? this.#history.frames.newest);
  }

  goLive() {
    this.#pin(null);
  }

  /** Show a frame's moment of the history, and stay at it. */
  show(moment) {
    this.#pin(moment);
  }

  /** Show the picture of a time, in Unix milliseconds; before the first picture, that one. */
  seek(atMs) {
    const { frames } = this.#history;
    this.#pin(frames.moments[Math.max(0, frames.placeAt(atMs))] ?? this.#pinned);
  }

  /** Go some pictures on, or back. */
  step(count) {
    const { moments } = this.#history.frames, here = this.#pinned ?? this.#shown?.moment;
    if (!moments.length || !here) return;
    const place = moments.indexOf(here); // −1 once it has been forgotten: on from the oldest
    this.#pin(moments[Math.min(Math.max(place + count, 0), moments.length - 1)]);
  }

  /** Stop. Closing twice is fine. */
  close() {
    this.#closed = true;
    cancelAnimationFrame(this.#request);
    this.#shown?.bitmap.close();
    this.#shown = null;
  }

  #pin(moment) {
    const was = this.live;
    this.#pinned = moment;
    if (this.live !== was) this.onmode();
  }

  #tick() {
    if (this.#closed) return;
    this.#request = requestAnimationFrame(() => this.#tick());
    const wanted = this.#pinned ?? this.#due();
    if (wanted && wanted !== this.#shown?.moment) this.#decode(wanted);
    else if (this.#shown && this.#heatOfShown() !== this.#shown.heatMoment) this.#draw();
  }

  /** The heat for what is shown: its own stays with a picture whose session is over. */
  #heatOfShown() {
    const { moment, heatMoment } = this.#shown;
    return this.#isCurrent(moment) ? this.#history.heatAt(moment.ptsS) ?? heatMoment : heatMoment;
  }

  #isCurrent({ message: { header } }) {
    return header.publisher === this.#history.publisher && header.session === this.#history.session;
  }

  /** The newest picture whose time has come: that of its heat, if the viewer wants it so. The first comes at once. */
  #due() {
    const { frames, heats } = this.#history;
    if (!this.#shown && frames.newest && !this.#broken.has(frames.newest)) return frames.newest;
    const lookaheadS = settings.get("pictures") === "heat" ? heats.newest?.message.header.heat.lookahead_s ?? 0 : 0;
    const until = performance.now() - 1000 * lookaheadS;
    return frames.moments.findLast((moment) => moment.arrivedMs <= until && !this.#broken.has(moment)) ?? null;
  }

  async #decode(moment) {
    if (this.#decoding || this.#broken.has(moment)) return;
    this.#decoding = true;
    const wasLive = this.live;
    const bitmap = await decoded(moment.message);
    this.#decoding = false;
    if (!bitmap) return void this.#broken.add(moment);
    if (this.#closed || (wasLive && !this.live && this.#pinned !== moment)) return bitmap.close(); // frozen meanwhile
    this.#shown?.bitmap.close();
    this.#shown = { bitmap, moment, heatMoment: null, heat: null, k: null, scale: null };
    this.#draw();
  }

  #draw() {
    const shown = this.#shown, canvas = this.#canvas;
    if (!shown || this.#closed) return;
    shown.heatMoment = this.#heatOfShown();
    shown.heat = shown.heatMoment && this.#history.read(shown.heatMoment);
    shown.k = shown.heat && classToPaint(shown.heat, this.#label);
    const own = shown.k === null ? null : shown.heat.classes[shown.k].scale ?? shown.heatMoment.scale;
    shown.scale = own === null ? null : this.#factor * own;
    const { width, height } = shown.bitmap, context = canvas.getContext("2d");
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    context.drawImage(shown.bitmap, 0, 0);
    if (shown.k !== null) {
      const { scale } = shown;
      this.#painter.paint(context, shown.heat, shown.k, shown.moment.ptsS, { scale, opacity: this.#opacity });
    }
    canvas.dataset.number = shown.moment.message.header.frame.index; // what is on it, for whoever reads its pixels
    this.onshown(shown);
  }
}

/** The picture of a message; null for one that is broken. */
async function decoded(message) {
  try {
    return await picture(message);
  } catch {
    return null;
  }
}
