// Scores of a part of the picture: the same arithmetic as streamcam/events/zones.py.

const SAMPLES = 16; // a cell's share is measured at so many points across and down
const AGREES = 0.005; // scores are rounded on the way

/**
 * How much of each heat cell lies in a polygon.
 * @param {number[][]} polygon its corners [x, y], as fractions of the picture
 * @param {number[]} transform left, top, right, bottom of what the cells cover
 * @returns {Float32Array} [height·width], 0–1
 */
export function zoneMask(polygon, [left, top, right, bottom], height, width) {
  const mask = new Float32Array(height * width), across = width * SAMPLES, down = height * SAMPLES;
  const edges = polygon.map((a, i) => ordered(a, polygon[(i + 1) % polygon.length]));
  for (let row = 0; row < down; row++) {
    const y = top + ((row + 0.5) / down) * (bottom - top);
    const xs = edges.filter(([[, y0], [, y1]]) => y0 !== y1 && y0 <= y && y < y1)
      .map(([[x0, y0], [x1, y1]]) => x0 + (y - y0) * ((x1 - x0) / (y1 - y0)));
    if (!xs.length) continue;
    const cells = Math.floor(row / SAMPLES) * width;
    for (let column = 0; column < across; column++) {
      const x = left + ((column + 0.5) / across) * (right - left);
      let inside = false;
      for (const edge of xs) if (x < edge) inside = !inside;
      if (inside) mask[cells + Math.floor(column / SAMPLES)] += 1 / (SAMPLES * SAMPLES);
    }
  }
  return mask;
}

/** An edge from its upper end to its lower one, so that two zones that share it compute the same. */
const ordered = (a, b) => (a[1] < b[1] || (a[1] === b[1] && a[0] < b[0]) ? [a, b] : [b, a]);

/** The mean of m · cells over all cells; of the cells alone where `mask` is null. */
export function meanInside(cells, mask) {
  let sum = 0;
  for (let i = 0; i < cells.length; i++) sum += mask ? cells[i] * mask[i] : cells[i];
  return sum / cells.length;
}

/** The bias of class k: its logit less the mean of its heat cube. */
function biasOf(heat, k) {
  let sum = 0;
  for (let l = 0; l < heat.slices; l++) sum += meanInside(heat.raw(k, l), null);
  return heat.logits[heat.classes[k].index] - sum / heat.slices;
}

export const sigmoid = (z) => 0.5 + 0.5 * Math.tanh(z / 2);

/** How scores follow from logits: "sigmoid", "softmax" where the heat of all classes is there, or null: not known here. */
export function linkOf(heat) {
  const agrees = (score) => heat.classes.every((c) => Math.abs(score(heat.logits[c.index]) - c.score) < AGREES);
  if (heat.multiLabel && agrees(sigmoid)) return "sigmoid";
  const peak = Math.max(...heat.logits), sum = heat.logits.reduce((total, z) => total + Math.exp(z - peak), 0);
  if (heat.classes.length === heat.logits.length && agrees((z) => Math.exp(z - peak) / sum)) return "softmax";
  return null;
}

/**
 * What a zone says of each class at one slice.
 * @param {Heat} heat
 * @param {Float32Array|null} mask of `zoneMask`; null for the whole picture
 * @param {number} slice
 * @returns {{link: string|null, shares: number[], scores: number[]|null}} shares of the logits, in logit units: the mean
 *   of the centred heat in the zone. Scores, 0–1; null where they need the heat of classes that are not sent.
 */
export function zoneScores(heat, mask, slice) {
  const link = linkOf(heat), ks = heat.classes.map((_, k) => k);
  const shares = ks.map((k) => meanInside(heat.centred(k, slice), mask));
  if (link === null) return { link, shares, scores: null };
  const logits = ks.map((k) => biasOf(heat, k) + meanInside(heat.raw(k, slice), mask));
  if (link === "sigmoid") return { link, shares, scores: logits.map(sigmoid) };
  const peak = Math.max(...logits), powers = logits.map((z) => Math.exp(z - peak));
  const sum = powers.reduce((a, b) => a + b, 0);
  return { link, shares, scores: powers.map((power) => power / sum) };
}

/** The slice whose time is nearest to a moment of the stream, in seconds. */
export function sliceAt(heat, ptsS) {
  const far = heat.info.pts_s.map((time) => Math.abs(time - ptsS));
  return far.indexOf(Math.min(...far));
}
