// The words at the edges of the heat cube, as elements over its canvas.

import { project } from "./cube-camera.js";

const GAP_PX = 8; // between an edge and its words
const SHORTEST_PX = 70; // an edge that looks shorter has none
const CENTRE = 150; // pixels from which the middle of the time axis is named too

/** A moment in words, by seconds from the picture shown. */
export function moment(seconds, digits = 1) {
  const size = Math.abs(seconds).toFixed(digits);
  if (Number(size) === 0) return "now";
  return seconds < 0 ? `${size} s ago` : `${size} s later`;
}

/** Where in the picture a place is, in words, by its fractions of width and height. */
export function whereabouts(x, y) {
  const row = y < 1 / 3 ? "upper" : y > 2 / 3 ? "lower" : "", column = x < 1 / 3 ? "left" : x > 2 / 3 ? "right" : "";
  if (!row && !column) return "in the middle";
  return column ? `at the ${row ? `${row} ` : ""}${column}` : `in the ${row} middle`;
}

/** Places labels. Where two would lie over each other, the first stays. */
export class Labels {
  #root;
  #known = new Map(); // by text and kind: {element, width, height}

  constructor(root) {
    this.#root = root;
  }

  /**
   * @param {object} view of a Camera
   * @param {number[]} size of the cube
   * @param {{width: number, height: number}} pixels of the view, CSS
   * @param {{share: number, text: string, strong?: boolean}[]} times what to write on the time axis, the weightiest
   *   first; share 0 is the oldest, 1 the newest
   */
  place(view, size, pixels, times) {
    const at = (point) => project(view.matrix, point, pixels.width, pixels.height), centre = at([0, 0, 0]);
    const edge = (axis, better) => {
      let best = null;
      for (const p of [-1, 1]) for (const q of [-1, 1]) {
        const ends = [-1, 1].map((end) => {
          const point = size.map((value) => value / 2);
          [point[axis], point[(axis + 1) % 3], point[(axis + 2) % 3]] = [
            point[axis] * end, point[(axis + 1) % 3] * p, point[(axis + 2) % 3] * q];
          return at(point);
        });
        const middle = [0, 1].map((i) => (ends[0][i] + ends[1][i]) / 2);
        if (!best || better(middle) > best.rank + 1) best = { ends, middle, rank: better(middle) };
      }
      return best;
    };
    const lowest = ([x, y]) => y - 0.01 * x, leftmost = ([x]) => -x;
    const wanted = [
      ...words(edge(2, lowest), times, true),
      ...words(edge(0, lowest), [{ share: 0.06, text: "left" }, { share: 0.94, text: "right" }]),
      ...words(edge(1, leftmost), [{ share: 0.08, text: "bottom" }, { share: 0.92, text: "top" }]),
    ];
    this.#show(wanted, centre, pixels);
  }

  #show(wanted, centre, pixels) {
    const placed = [], shown = new Set();
    for (const { text, strong, point, along } of wanted) {
      const label = this.#label(text, strong);
      let normal = [-along[1], along[0]];
      const side = normal[0] * (point[0] - centre[0]) + normal[1] * (point[1] - centre[1]);
      if (side < 0) normal = normal.map((value) => -value);
      const far = GAP_PX + Math.abs(normal[0]) * label.width / 2 + Math.abs(normal[1]) * label.height / 2;
      const x = clamp(point[0] + normal[0] * far - label.width / 2, 4, pixels.width - label.width - 4);
      const y = clamp(point[1] + normal[1] * far - label.height / 2, 4, pixels.height - label.height - 4);
      const box = [x - 4, y - 1, x + label.width + 4, y + label.height + 1];
      if (placed.some((other) => overlap(box, other))) continue;
      placed.push(box);
      shown.add(label);
      label.element.hidden = false;
      label.element.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    }
    for (const [key, label] of this.#known) {
      if (shown.has(label)) continue;
      label.element.hidden = true;
      if (this.#known.size > 60) {
        label.element.remove();
        this.#known.delete(key);
      }
    }
  }

  #label(text, strong = false) {
    const key = `${strong}${text}`;
    if (!this.#known.has(key)) {
      const element = document.createElement("span");
      element.className = strong ? "cube-label is-strong" : "cube-label";
      element.textContent = text;
      this.#root.append(element);
      this.#known.set(key, { element, width: element.offsetWidth, height: element.offsetHeight });
    }
    return this.#known.get(key);
  }
}

function words({ ends: [a, b] }, texts, withMiddle = false) {
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
  if (length < SHORTEST_PX) return [];
  const along = [(b[0] - a[0]) / length, (b[1] - a[1]) / length];
  return texts
    .filter(({ share }) => !withMiddle || share !== 0.5 || length > CENTRE)
    .map((text) => ({ ...text, along, point: [a[0] + text.share * (b[0] - a[0]), a[1] + text.share * (b[1] - a[1])] }));
}

const clamp = (value, low, high) => Math.max(low, Math.min(value, high));
const overlap = (a, b) => a[0] < b[2] && b[0] < a[2] && a[1] < b[3] && b[1] < a[3];
