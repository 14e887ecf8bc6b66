// What the heat cube's view asks of a Heat.

import { moment, whereabouts } from "./cube-labels.js";

const UNEVEN = 0.02; // of a step: slices that lie so much off an even spacing
const FINE = 64; // slices, in place of fewer uneven ones

/**
 * The centred heat of class k in slices at even times, as a texture needs it. Cameras' times jitter, so slices that are
 * not even are read in between, linearly.
 * @returns {{data: Float32Array, slices: number}} data in logit units, [slices·h·w]
 */
export function evenSlices(heat, k) {
  const times = heat.info.pts_s, span = times.at(-1) - times[0], step = span / (heat.slices - 1);
  const even = times.every((time, i) => heat.slices < 2 || Math.abs(time - times[0] - i * step) <= UNEVEN * step);
  const slices = even ? heat.slices : Math.max(FINE, heat.slices);
  const size = heat.height * heat.width, data = new Float32Array(slices * size);
  for (let l = 0; l < slices; l++) {
    data.set(even ? heat.centred(k, l) : heat.at(k, times[0] + span * l / (slices - 1)), l * size);
  }
  return { data, slices };
}

/** The place of a slice on the time axis, 0–1. */
export function shareOf(heat, slice) {
  const times = heat.info.pts_s, span = times.at(-1) - times[0];
  return span > 0 ? (times[slice] - times[0]) / span : 0.5;
}

/** When each slice was, in words, from the moment of the picture shown. */
export function momentsOf(heat, ptsS) {
  const times = heat.info.pts_s, digits = times.at(-1) - times[0] < 3 ? 2 : 1;
  return times.map((time) => moment(time - ptsS, digits));
}

/** The cube in words, for whoever does not see it. */
export function describe(heat, k, moments) {
  let hottest = -Infinity, slice = 0, cell = 0;
  for (let l = 0; l < heat.slices; l++) {
    heat.centred(k, l).forEach((value, i) => {
      if (value > hottest) [hottest, slice, cell] = [value, l, i];
    });
  }
  const [left, top, right, bottom] = heat.info.transform, { label, score } = heat.classes[k];
  const x = left + (right - left) * (cell % heat.width + 0.5) / heat.width;
  const y = top + (bottom - top) * (Math.floor(cell / heat.width) + 0.5) / heat.height;
  const name = `Heat cube of ${label}, ${Math.round(100 * score)} %.`;
  return hottest > 0 ? `${name} Hottest ${moments[slice]}, ${whereabouts(x, y)}.` : `${name} No heat.`;
}
