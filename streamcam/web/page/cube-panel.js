// The part of a camera's view that holds its heat cube. The cube is loaded once it is opened.

import { make } from "./dom.js";
import { settings } from "./settings.js";

/** A heat cube that can be folded away; folded, it costs nothing. */
export class CubePanel {
  #palette;
  #details = make("details", { className: "cube-panel", open: settings.get("cube") !== false });
  #place = make("div");
  #cube = null;
  #asked = false;
  #closed = false;
  #last = null;

  constructor(root, palette) {
    this.#palette = palette;
    this.#details.append(make("summary", {}, "Heat cube"), this.#place);
    this.#details.addEventListener("toggle", () => {
      settings.set("cube", this.#details.open);
      if (this.#last) this.show(...this.#last);
    });
    root.append(this.#details);
  }

  /** Show the heat of what a Player shows. */
  show(shown, opacity) {
    this.#last = [shown, opacity];
    if (!this.#details.open || !shown || shown.k === null) return;
    const { heat, k, scale, bitmap, moment } = shown;
    if (this.#cube) this.#cube.show(heat, k, { scale, opacity, bitmap, ptsS: moment.ptsS });
    else this.#load();
  }

  close() {
    this.#closed = true;
    this.#cube?.close();
  }

  async #load() {
    if (this.#asked) return;
    this.#asked = true;
    const { CubeView } = await import("./cube.js");
    if (!this.#closed) this.#cube = new CubeView(this.#place, this.#palette);
  }
}
