// Below the picture: freeze, live, the last minute as a slider, snapshot.

import { make, say } from "./dom.js";
import { duration, exactTimeOf } from "./words.js";

/** Buttons and a slider that choose what a Player shows. Its slider has a place for each picture of the history. */
export class Transport {
  #player;
  #history;
  #freeze = make("button", { type: "button", className: "freeze" }, "Freeze");
  #live = make("button", { type: "button", className: "go-live" }, "Live");
  #slider = make("input", { type: "range", className: "scrub", min: "0", max: "0", step: "1", value: "0",
    "aria-label": "Picture of the last minute" });
  #time = make("output", { className: "moment" });

  /**
   * @param {HTMLElement} root
   * @param {Player} player
   * @param {History} history
   * @param {() => void} snapshot saves the picture
   */
  constructor(root, player, history, snapshot) {
    [this.#player, this.#history] = [player, history];
    const save = make("button", { type: "button", className: "snapshot" }, "Snapshot");
    root.append(make("div", { className: "transport", role: "group", "aria-label": "What is shown" },
      this.#freeze, this.#live, save, this.#slider, this.#time));
    this.#freeze.addEventListener("click", () => this.toggle());
    this.#live.addEventListener("click", () => player.goLive());
    this.#slider.addEventListener("input", () => this.#seek(Number(this.#slider.value)));
    this.#slider.addEventListener("keydown", (event) => this.#key(event));
    save.addEventListener("click", snapshot);
    this.update();
  }

  /** Freeze, or go on. */
  toggle() {
    if (this.#player.live) this.#player.freeze();
    else this.#player.goLive();
  }

  /** Bring everything up to date. */
  update() {
    const { live, shown } = this.#player, { moments } = this.#history.frames;
    this.#freeze.setAttribute("aria-pressed", String(!live));
    this.#live.disabled = live;
    this.#slider.disabled = moments.length < 2;
    this.#slider.max = Math.max(0, moments.length - 1);
    if (!shown) return say(this.#time, "");
    this.#slider.value = live ? moments.length - 1 : moments.indexOf(shown.moment);
    const { atMs } = shown.moment, behind = (this.#history.newestMs ?? atMs) - atMs;
    const text = live ? `${exactTimeOf(atMs)}, live` : `${exactTimeOf(atMs)}, ${duration(behind)} before the newest`;
    say(this.#time, text);
    this.#slider.setAttribute("aria-valuetext", text);
  }

  #seek(place) {
    const moment = this.#history.frames.moments[place];
    if (moment) this.#player.show(moment);
  }

  /** Step from the picture that is shown: the slider's own place is one of a history that moves on. */
  #key(event) {
    const last = this.#history.frames.moments.length - 1;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10 }[event.key];
    if (steps !== undefined) this.#player.step(steps);
    else if (event.key === "Home") this.#seek(0);
    else if (event.key === "End") this.#seek(last);
    else return;
    event.preventDefault();
  }
}
