// The live picture of a camera, with heat over it.

import { HeatPainter, RunningScale } from "./heat.js";
import { picture } from "./message.js";
import { settings } from "./settings.js";

export const NONE_OF_THESE = "none of these"; // scored as any class is, but no finding: never named, never painted
export const OPACITY = 0.6; // as in streamcam/render/overlay.py

const MOST_WAITING = 300; // pictures: at 30 fps, those of 10 s
const LAG_MS = 250; // a browser that draws so late gets fewer pictures
const FPS_OVER_MS = 3000;
const DETAIL = 6; // pixels of paint for a cell: beside others, a picture is small
const TOGETHER_MS = 30; // pictures of several cameras are drawn together, so often at most

let alive = 0, nextDrawing = null, drawnMs = 0;

/** Wait until pictures are to be drawn. Each drawing makes the browser put its whole window together anew. */
function drawingTime() {
  nextDrawing ??= new Promise((resolve) => {
    const draw = (nowMs) => {
      if (alive > 1 && nowMs - drawnMs < TOGETHER_MS) return requestAnimationFrame(draw);
      drawnMs = nowMs;
      nextDrawing = null;
      resolve();
    };
    requestAnimationFrame(draw);
  });
  return nextDrawing;
}

/**
 * Shows a camera on a canvas: it asks for pictures and heat, waits until a picture's heat has come, decodes, draws and
 * acknowledges. There is one for each camera at a time.
 *
 *     const live = new LivePicture(canvas, camera, context);
 *     live.label = "cat"; // or null: the strongest class
 *     live.onshown = ({ bitmap, heat }) => …;
 *     live.close();
 */
export class LivePicture {
  /**
   * Called after each picture has been drawn: `{bitmap, ptsS, session, capturedNs, heat, k, message}`. `bitmap` is the
   * picture without heat, and is closed when the next one is shown. `heat` (a Heat of the picture's session) and `k`
   * (the class whose heat is painted, as its place among `heat.classes`) are null where there is none. `message` is
   * the `frame` message, for whoever keeps its JPEG.
   */
  onshown = () => {};

  #canvas;
  #camera;
  #context;
  #painter;
  #running = new RunningScale();
  #maxWidth;
  #label = null;
  #opacity = OPACITY;
  #scale = null;
  #active = true;
  #frozen = false;
  #closed = false;
  #waiting = []; // {message, atMs, acknowledged}, oldest first
  #timer = 0;
  #busy = false;
  #lagMs = 0;
  #shown = null; // what `onshown` was told
  #shownAtMs = [];
  #onframe = (event) => this.#take(event);
  #onvisible = () => this.#ask();

  /**
   * @param {HTMLCanvasElement} canvas it gets the size of the picture
   * @param {Camera} camera
   * @param {{connection: Connection, cameras: Cameras, palette: object}} context
   * @param {{maxWidth?: number, active?: boolean}} options see the properties of these names
   */
  constructor(canvas, camera, context, { maxWidth = Infinity, active = true } = {}) {
    this.#canvas = canvas;
    this.#camera = camera;
    this.#context = context;
    this.#maxWidth = maxWidth;
    this.#active = active;
    this.#painter = new HeatPainter(context.palette);
    alive += 1;
    context.cameras.addEventListener("frame", this.#onframe);
    document.addEventListener("visibilitychange", this.#onvisible);
    this.#ask();
  }

  /** Whether it asks for pictures: set it to false while nobody can see the canvas. A hidden page asks for none. */
  get active() {
    return this.#active;
  }

  set active(active) {
    this.#active = active;
    this.#ask();
  }

  /** While it is frozen, pictures come and are acknowledged, but the one that is shown stays. */
  get frozen() {
    return this.#frozen;
  }

  set frozen(frozen) {
    this.#frozen = frozen;
  }

  /** Pixels: wider pictures are drawn smaller. It holds from the next picture on. */
  get maxWidth() {
    return this.#maxWidth;
  }

  set maxWidth(maxWidth) {
    this.#maxWidth = maxWidth;
  }

  /** The name of the class whose heat is painted; null for the strongest. */
  get label() {
    return this.#label;
  }

  set label(label) {
    this.#label = label;
    this.repaint();
  }

  /** The class that is painted, as its place among the classes of the heat that is shown; null if none is. */
  get k() {
    return this.#shown?.k ?? null;
  }

  /** Choose a class by its place among those of the heat that is shown; null for the strongest. */
  set k(k) {
    this.label = k === null ? null : this.#shown?.heat?.classes[k]?.label ?? null;
  }

  /** How much of the picture heat at full strength hides, 0–1. */
  get opacity() {
    return this.#opacity;
  }

  set opacity(opacity) {
    this.#opacity = opacity;
    this.repaint();
  }

  /** The centred heat, in logit units, that is painted at full strength; null for the model's own, or a running one. */
  get scale() {
    return this.#scale;
  }

  set scale(scale) {
    this.#scale = scale;
    this.repaint();
  }

  /** The scale that is painted with now; null where no heat is shown. */
  get usedScale() {
    const { heat, k } = this.#shown ?? {};
    return k == null ? null : this.#scale ?? this.#running.of(heat, k);
  }

  /** What `onshown` was last told; null before the first picture. */
  get shown() {
    return this.#shown;
  }

  /** Pictures shown per second, over the last seconds. */
  get fps() {
    const now = performance.now(), times = this.#shownAtMs;
    while (times.length && times[0] < now - FPS_OVER_MS) times.shift();
    return times.length < 2 ? 0 : (1000 * (times.length - 1)) / Math.max(now - times[0], times.at(-1) - times[0]);
  }

  /** Draw the picture that is shown once more, with the class, opacity and scale as they are now. */
  repaint() {
    if (!this.#shown || this.#closed) return;
    const { bitmap, ptsS, heat } = this.#shown, canvas = this.#canvas;
    const width = Math.min(bitmap.width, this.#maxWidth), height = Math.round((bitmap.height * width) / bitmap.width);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d", { alpha: false });
    context.drawImage(bitmap, 0, 0, width, height);
    const k = this.#shown.k = heat ? classToPaint(heat, this.#label) : null;
    if (k !== null) {
      this.#painter.paint(context, heat, k, ptsS, { scale: this.usedScale, opacity: this.#opacity, detail: DETAIL });
    }
  }

  /** Stop, and ask for nothing more. Closing twice is fine. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    alive -= 1;
    this.#context.cameras.removeEventListener("frame", this.#onframe);
    document.removeEventListener("visibilitychange", this.#onvisible);
    clearTimeout(this.#timer);
    this.#waiting.splice(0).forEach((waiting) => this.#acknowledge(waiting));
    this.#context.connection.want(this, {});
    this.#shown?.bitmap.close();
    this.#shown = null;
  }

  #ask() {
    const watched = !this.#closed && this.#active && !document.hidden;
    this.#context.connection.want(this, watched ? { [this.#camera.id]: ["frame", "result"] } : {});
  }

  #take(event) {
    const { camera, message } = event.detail;
    if (camera !== this.#camera || event.defaultPrevented) return;
    event.preventDefault(); // it is acknowledged here
    const waiting = { message, atMs: performance.now(), acknowledged: false };
    this.#waiting.push(waiting);
    // What waits for its heat is acknowledged now, or too few would come; what waits for a slow browser is not.
    if (this.#delayMs() > 0 && this.#lagMs < LAG_MS) this.#acknowledge(waiting);
    while (this.#waiting.length > MOST_WAITING) this.#acknowledge(this.#waiting.shift());
    this.#showDue();
  }

  /** How long a picture waits for its heat, in milliseconds. The first is shown at once. */
  #delayMs() {
    if (!this.#shown || settings.get("pictures") !== "heat") return 0;
    return 1000 * (this.#camera.heat?.info.lookahead_s ?? 0);
  }

  #acknowledge(waiting) {
    if (!waiting.acknowledged) this.#context.connection.got(waiting.message);
    waiting.acknowledged = true;
  }

  async #showDue() {
    if (this.#busy) return;
    this.#busy = true;
    for (let due = this.#popDue(); due; due = this.#popDue()) {
      if (this.#frozen) { // nothing to decode
        this.#acknowledge(due);
        continue;
      }
      const bitmap = await picture(due.message).catch(() => null); // a broken picture: the next one may be whole
      this.#acknowledge(due);
      await drawingTime();
      if (bitmap) this.#show(due, bitmap);
    }
    this.#busy = false;
    clearTimeout(this.#timer);
    if (!this.#waiting.length) return;
    this.#timer = setTimeout(() => this.#showDue(), this.#waiting[0].atMs + this.#delayMs() - performance.now());
  }

  /** Take the newest picture whose time has come; older ones are left out. */
  #popDue() {
    const until = performance.now() - this.#delayMs() + 1;
    let due = null;
    while (this.#waiting.length && this.#waiting[0].atMs <= until) {
      if (due) this.#acknowledge(due);
      due = this.#waiting.shift();
    }
    if (due) this.#lagMs = until - due.atMs;
    return due;
  }

  #show({ message }, bitmap) {
    if (this.#closed || this.#frozen) return bitmap.close();
    const { frame, session } = message.header, { heat } = this.#camera;
    this.#shown?.bitmap.close();
    this.#shown = {
      bitmap, ptsS: frame.pts_s, session, capturedNs: frame.captured_ns, heat: heat?.session === session ? heat : null,
      k: null, message,
    };
    this.repaint();
    this.#camera.latencyMs = Date.now() - frame.captured_ns / 1e6;
    this.#shownAtMs.push(performance.now());
    this.onshown(this.#shown);
  }
}

/** The place of a class among those of a heat, or of the strongest where `label` is null; null if it is not there. */
export function classToPaint(heat, label) {
  const k = heat.classes.findIndex((c) => (label === null ? c.label !== NONE_OF_THESE : c.label === label));
  return k < 0 ? null : k;
}
