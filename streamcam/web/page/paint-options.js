// How heat is painted: two sliders, and whether pictures wait for their heat.

import { make, percent, say } from "./dom.js";
import { settings } from "./settings.js";
import { short } from "./words.js";

const OCTAVES = 3; // the scale goes from 1/8 of the model's own to 8 times as much

/** The options of a Player. */
export class PaintOptions {
  #player;
  #opacity;
  #scale;
  #opacityText = make("output", {});
  #scaleText = make("output", {});

  constructor(root, player) {
    this.#player = player;
    this.#opacity = make("input", { type: "range", id: "opacity", min: "0", max: "1", step: "0.05" });
    this.#scale = make("input", { type: "range", id: "scale", min: `${-OCTAVES}`, max: `${OCTAVES}`, step: "0.25" });
    const reset = make("button", { type: "button" }, "Reset");
    const wait = make("input", { type: "checkbox", checked: settings.get("pictures") === "heat" });
    root.append(
      make("div", { className: "option" }, make("label", { htmlFor: "opacity" }, "Opacity"), this.#opacityText),
      this.#opacity,
      make("div", { className: "option" },
        make("label", { htmlFor: "scale" }, "Full strength at"), this.#scaleText),
      this.#scale,
      make("div", { className: "option" }, make("label", {}, wait, " Pictures wait for their heat"), reset),
    );
    this.#opacity.value = player.opacity;
    this.#scale.value = 0;
    const initial = player.opacity;
    this.#opacity.addEventListener("input", () => (player.opacity = Number(this.#opacity.value)));
    this.#scale.addEventListener("input", () => (player.factor = 2 ** Number(this.#scale.value)));
    wait.addEventListener("change", () => settings.set("pictures", wait.checked ? "heat" : "live"));
    reset.addEventListener("click", () => {
      [player.opacity, player.factor] = [initial, 1];
      [this.#opacity.value, this.#scale.value] = [initial, 0];
      this.update();
    });
    for (const slider of [this.#opacity, this.#scale]) slider.addEventListener("input", () => this.update());
    this.update();
  }

  /** Write what the sliders say now. */
  update() {
    const { opacity, factor, shown } = this.#player;
    say(this.#opacityText, percent(opacity));
    const times = factor === 1 ? "the model's own" : `× ${short(factor)}`;
    const units = shown?.scale == null ? times : `${short(shown.scale)} logit units, ${times}`;
    say(this.#scaleText, units);
    this.#opacity.setAttribute("aria-valuetext", percent(opacity));
    this.#scale.setAttribute("aria-valuetext", units);
  }
}
