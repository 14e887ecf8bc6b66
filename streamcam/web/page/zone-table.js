// What a zone says of each class, while it is drawn.

import { make, percent, say } from "./dom.js";
import { NONE_OF_THESE } from "./picture.js";
import { sliceAt, zoneMask, zoneScores } from "./zone-score.js";
import { problemOf } from "./zone-shape.js";

const ALL_CLASSES = "The scores of this model need the heat of all classes, and the strongest alone are sent. So here is " +
  "how much the zone adds to each class's logit.";

/** `element` has a table. `show` brings it up to date. */
export class ZoneTable {
  #words = make("p", { className: "faint" });
  #body = make("tbody");
  #head = make("th", { scope: "col" });
  #rows = new Map(); // by label
  #mask = null; // {polygon, key, mask}: it is the same for many pictures

  constructor() {
    const whole = make("th", { scope: "col" }, "Whole picture");
    const head = make("tr", {}, make("th", { scope: "col" }, "Class"), this.#head, whole);
    this.#head.textContent = "Zone";
    this.table = make("table", { className: "zone-scores" }, make("thead", {}, head), this.#body);
    this.element = make("section", { "aria-label": "Scores in the zone" }, this.table, this.#words);
  }

  /**
   * @param {Heat|null} heat
   * @param {number} ptsS the moment of the picture that is shown
   * @param {number[][]} polygon as it is drawn now
   */
  show(heat, ptsS, polygon) {
    this.table.hidden = !heat;
    if (!heat) return say(this.#words, "No heat has come yet.");
    const slice = sliceAt(heat, ptsS), drawn = polygon.length >= 3 && !problemOf(polygon);
    const zone = drawn ? zoneScores(heat, this.#maskOf(heat, polygon), slice) : null;
    const whole = zoneScores(heat, null, slice);
    say(this.#words, whole.scores ? "Scores now: a rule begins an event when the score reaches its level." : ALL_CLASSES);
    const shown = heat.classes.map(({ label }, k) => ({ label, k })).filter(({ label }) => label !== NONE_OF_THESE);
    for (const { label, k } of shown) this.#fill(label, k, zone, whole);
    for (const [label, { row }] of this.#rows) row.hidden = !shown.some((one) => one.label === label);
    Object.assign(this.table.dataset, { frame: heat.frame.index, slice, link: whole.link ?? "" });
  }

  #maskOf(heat, polygon) {
    const { transform } = heat.info, key = `${transform} ${heat.height} ${heat.width}`;
    if (this.#mask?.polygon !== polygon || this.#mask.key !== key) {
      this.#mask = { polygon, key, mask: zoneMask(polygon, transform, heat.height, heat.width) };
    }
    return this.#mask.mask;
  }

  #fill(label, k, zone, whole) {
    if (!this.#rows.has(label)) {
      const inside = make("td"), all = make("td"), meter = make("meter", { min: 0, max: 1, "aria-hidden": "true" });
      const value = make("span");
      inside.append(meter, value);
      const row = make("tr", {}, make("th", { scope: "row", className: "cut", title: label }, label), inside, all);
      this.#rows.set(label, { row, inside, value, meter, all });
      this.#body.append(row);
    }
    const { inside, value, meter, all } = this.#rows.get(label);
    const number = (scores, shares) => (scores ? percent(scores[k]) : shares[k].toFixed(2));
    say(value, zone ? number(zone.scores, zone.shares) : "–");
    say(all, number(whole.scores, whole.shares));
    meter.hidden = !zone?.scores;
    meter.value = zone?.scores?.[k] ?? 0;
    inside.dataset.exact = zone ? (zone.scores ?? zone.shares)[k] : "";
  }
}
