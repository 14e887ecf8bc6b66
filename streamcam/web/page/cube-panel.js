// The part of a camera's view that holds its heat cube. The cube is loaded once it is seen.

import { make } from "./dom.js";
import { settings } from "./settings.js";

const SLOW_MS = 500, MOST_SLOW = 3, FORGIVEN = 0.1; // a few pictures so late, and the cube is folded away
const WHY_FOLDED = "The heat cube was folded away: this device draws it so slowly that the live picture suffered.";

/** A heat cube that can be folded away. Folded, or out of sight, it costs nothing. */
export class CubePanel {
  #palette;
  #details = make("details", { className: "cube-panel", open: settings.get("cube") !== false });
  #place = make("div");
  #note = make("p", { className: "cube-folded", role: "status" });
  #cube = null;
  #loading = false;
  #closed = false;
  #last = null;
  #seen = false;
  #sight = new IntersectionObserver((entries) => this.#see(entries.at(-1).isIntersecting));
  #byHand = false;
  #slow = 0;
  #lastMs = null;
  #request = 0;

  constructor(root, palette) {
    this.#palette = palette;
    const summary = make("summary", {}, "Heat cube");
    summary.addEventListener("click", () => {
      this.#byHand = true; // whoever opens it wants it, however slow it is
      this.#note.textContent = "";
    });
    this.#details.append(summary, this.#place);
    this.#details.addEventListener("toggle", () => {
      settings.set("cube", this.#details.open);
      if (this.#last) this.show(...this.#last);
    });
    root.append(this.#details, this.#note);
    this.#sight.observe(this.#place);
  }

  /** Show the heat of what a Player shows. */
  show(shown, opacity) {
    this.#last = [shown, opacity];
    if (!this.#isOpen || !shown?.bitmap.width || shown.k === null) return;
    const { heat, k, scale, bitmap, moment } = shown;
    if (!this.#cube) return void this.#load();
    this.#cube.show(heat, k, { scale, opacity, bitmap, ptsS: moment.ptsS });
    if (!this.#request && !this.#byHand) this.#watch();
  }

  close() {
    this.#closed = true;
    this.#sight.disconnect();
    this.#drop();
  }

  get #isOpen() {
    return this.#seen && this.#details.open && !this.#closed;
  }

  #see(seen) {
    this.#seen = seen;
    if (this.#last) this.show(...this.#last);
  }

  async #load() {
    if (this.#loading) return;
    this.#loading = true;
    const { CubeView } = await import("./cube.js");
    this.#loading = false;
    if (!this.#isOpen) return;
    this.#cube = new CubeView(this.#place, this.#palette);
    this.show(...this.#last);
  }

  /** Look how late the browser's pictures come while the cube is drawn. */
  #watch() {
    this.#request = requestAnimationFrame((nowMs) => {
      this.#request = 0;
      const late = this.#lastMs !== null && nowMs - this.#lastMs > SLOW_MS;
      this.#slow = late ? this.#slow + 1 : Math.max(0, this.#slow - FORGIVEN);
      this.#lastMs = nowMs;
      if (!this.#isOpen || this.#byHand) this.#lastMs = null;
      else if (this.#slow > MOST_SLOW) this.#fold();
      else this.#watch();
    });
  }

  #fold() {
    this.#details.open = false;
    this.#note.textContent = WHY_FOLDED;
    this.#drop();
  }

  #drop() {
    cancelAnimationFrame(this.#request);
    this.#request = 0;
    this.#cube?.close();
    this.#cube = null;
  }
}
