// Heat in a browser: the same arithmetic as streamcam/heat/localise.py and streamcam/render/overlay.py.

import { numbers, tensor } from "./message.js";

/** The paint of heat, from the server: 256 colours from no heat to full strength, and how much each hides. */
export async function loadPalette() {
  const { colours, hidden, full_score } = await (await fetch("/palette.json")).json();
  return { colours, hidden, fullScore: full_score };
}

/** The heat of one `result` message. */
export class Heat {
  #cube;
  #common;

  constructor(message) {
    this.frame = message.header.frame;
    this.session = message.header.session;
    this.info = message.header.heat; // model, top, pts_s, clip_pts_s, transform, lookahead_s, hop_s, skipped
    this.#cube = message.payloads.get("cube"); // read when it is looked at: mostly, a few slices of one class are
    this.#common = tensor(message.payloads.get("common"));
    this.logits = tensor(message.payloads.get("logits")).data;
    [, this.slices, this.height, this.width] = this.#cube.info.shape;
    /** Whether scores are sigmoids: the common map of a multi-label model is zero. */
    this.multiLabel = this.#common.data.every((value) => value === 0);
  }

  /** The K classes, the strongest first: index, label, score, logit, scale. */
  get classes() {
    return this.info.top;
  }

  /** The heat of class k in a slice, in logit units, not centred: Float32Array [h·w]. */
  raw(k, slice) {
    const size = this.height * this.width;
    return numbers(this.#cube, (k * this.slices + slice) * size, size);
  }

  /** The centred heat of class k in a slice, in logit units: Float32Array [h·w]. */
  centred(k, slice) {
    const size = this.height * this.width, cells = this.raw(k, slice);
    for (let i = 0; i < size; i++) cells[i] -= this.#common.data[slice * size + i];
    return cells;
  }

  /** The centred heat of class k at a time in seconds: linear between slices, constant before the first and after the last. */
  at(k, ptsS) {
    const times = this.info.pts_s;
    if (ptsS <= times[0] || times.length === 1) return this.centred(k, 0);
    const after = times.findIndex((time) => time > ptsS);
    if (after < 0) return this.centred(k, times.length - 1);
    const early = this.centred(k, after - 1), late = this.centred(k, after);
    const share = (ptsS - times[after - 1]) / (times[after] - times[after - 1]);
    return early.map((value, i) => value + share * (late[i] - value));
  }
}

/**
 * Enlarge cells bilinearly; a cell's value lies on its centre.
 * @returns {Float32Array} [height·width]
 */
export function enlarge(cells, h, w, height, width) {
  const out = new Float32Array(height * width);
  const xs = new Float32Array(width), x0s = new Int32Array(width), x1s = new Int32Array(width);
  for (let x = 0; x < width; x++) {
    const at = Math.min(Math.max(((x + 0.5) / width) * w - 0.5, 0), w - 1);
    x0s[x] = Math.floor(at);
    x1s[x] = Math.min(x0s[x] + 1, w - 1);
    xs[x] = at - x0s[x];
  }
  for (let y = 0; y < height; y++) {
    const at = Math.min(Math.max(((y + 0.5) / height) * h - 0.5, 0), h - 1);
    const y0 = Math.floor(at), y1 = Math.min(y0 + 1, h - 1), ty = at - y0;
    for (let x = 0; x < width; x++) {
      const upper = cells[y0 * w + x0s[x]] * (1 - xs[x]) + cells[y0 * w + x1s[x]] * xs[x];
      const lower = cells[y1 * w + x0s[x]] * (1 - xs[x]) + cells[y1 * w + x1s[x]] * xs[x];
      out[y * width + x] = upper + ty * (lower - upper);
    }
  }
  return out;
}

/** Paints heat onto a canvas whose picture is drawn already. Keep one for each canvas. */
export class HeatPainter {
  #layer = document.createElement("canvas");
  #palette;

  constructor(palette) {
    this.#palette = palette;
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Heat} heat
   * @param {number} k the class, as its place among `heat.classes`
   * @param {number} ptsS the time of the picture
   * @param {{scale: number, opacity: number, detail?: number}} options the centred heat that is painted at full
   *   strength; how much of the picture full strength hides, 0–1; and how many pixels of paint a cell is wide at most
   */
  paint(context, heat, k, ptsS, { scale, opacity, detail = 16 }) {
    const { width, height } = context.canvas, [left, top, right, bottom] = heat.info.transform;
    const w = Math.min(heat.width * detail, Math.round(width * (right - left)), 512);
    const h = Math.min(heat.height * detail, Math.round(height * (bottom - top)), 512);
    const strength = enlarge(heat.at(k, ptsS), heat.height, heat.width, h, w);
    const certainty = Math.min(1, heat.classes[k].score / this.#palette.fullScore);
    const { colours, hidden } = this.#palette, layer = this.#layer;
    if (layer.width !== w || layer.height !== h) [layer.width, layer.height] = [w, h];
    const image = new ImageData(w, h), pixels = new Uint32Array(image.data.buffer);
    const paints = new Uint32Array(colours.map(([red, green, blue], i) => {
      const alpha = Math.round(hidden[i] * opacity * certainty * 255);
      return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
    }));
    for (let i = 0; i < strength.length; i++) {
      pixels[i] = paints[Math.floor(Math.min(Math.max(strength[i] / scale, 0), 1) * 255)];
    }
    layer.getContext("2d").putImageData(image, 0, 0);
    context.drawImage(layer, left * width, top * height, (right - left) * width, (bottom - top) * height);
  }
}

/** A scale for models that carry none: the peak of recent heat. It rises at once and falls slowly. */
export class RunningScale {
  #peak = 0;
  #last = null;

  of(heat, k) {
    if (heat.classes[k].scale !== null) return heat.classes[k].scale;
    if (this.#last !== heat) {
      this.#last = heat;
      const size = heat.height * heat.width, values = new Float32Array(heat.classes.length * heat.slices * size);
      for (let j = 0; j < heat.classes.length; j++) {
        for (let l = 0; l < heat.slices; l++) values.set(heat.centred(j, l), (j * heat.slices + l) * size);
      }
      const peak = values.sort()[Math.floor(0.99 * (values.length - 1))];
      this.#peak = Math.max(peak, this.#peak * 0.5 ** (1 / 200), 1e-6);
    }
    return this.#peak;
  }
}
