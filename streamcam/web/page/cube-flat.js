// The heat cube for a browser without WebGL2: its slices side by side.

import { HeatPainter } from "./heat.js";
import { make } from "./cube-controls.js";

const WIDTH = 320;

/** A row of pictures, one for each slice, the oldest first. */
export class CubeFlat {
  #painters = [];
  #palette;

  constructor(palette) {
    this.#palette = palette;
    this.element = make("ol", "cube-flat", { ariaLabel: "Slices of the heat cube, the oldest first", tabIndex: 0 });
  }

  /** Draw each slice of class k on the picture; `moments` has words for each. */
  show(heat, k, { scale, opacity, picture, moments }) {
    while (this.#painters.length > heat.slices) this.#painters.pop().item.remove();
    while (this.#painters.length < heat.slices) this.#add();
    this.#painters.forEach(({ canvas, painter, words }, slice) => {
      const height = Math.round(WIDTH * picture.height / picture.width);
      if (canvas.height !== height) [canvas.width, canvas.height] = [WIDTH, height];
      const context = canvas.getContext("2d");
      context.clearRect(0, 0, canvas.width, canvas.height);
      if (picture.source) context.drawImage(picture.source, 0, 0, canvas.width, canvas.height);
      painter.paint(context, heat, k, heat.info.pts_s[slice], { scale, opacity });
      words.textContent = moments[slice];
    });
  }

  #add() {
    const canvas = make("canvas", ""), words = make("span", ""), item = make("li", "", {}, canvas, words);
    canvas.setAttribute("aria-hidden", "true");
    this.#painters.push({ canvas, words, item, painter: new HeatPainter(this.#palette) });
    this.element.append(item);
  }
}
