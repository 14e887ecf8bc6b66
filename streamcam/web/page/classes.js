// The list of classes: whose heat is painted, and how sure the network is of each.

import { element, write } from "./elements.js";
import { percent } from "./words.js";

let lists = 0;

/** A group of radio buttons, in the order in which the classes first came: they do not move under the mouse. */
export class ClassList {
  /** Called with the label of the class that was chosen, or null for the strongest. */
  onchoose = () => {};

  #root;
  #colours;
  #name = `heat-of-${lists++}`;
  #rows = new Map();
  #added = 0;
  #chosen = null;
  #strongest;

  /**
   * @param {HTMLElement} root
   * @param {ClassColours} colours
   */
  constructor(root, colours) {
    this.#colours = colours;
    this.#root = element("fieldset", { className: "classes" }, element("legend", {}, "Show the heat of"));
    root.append(this.#root);
    this.#strongest = this.#add(null, "the strongest");
    this.#strongest.radio.checked = true;
  }

  /**
   * Bring the scores up to date.
   * @param {{label: string, score: number}[]} classes those whose heat there is now
   * @param {Iterable<string>} recent labels of the last minute: others leave the list
   * @param {string?} strongest the label of the class that is the strongest now
   */
  update(classes, recent, strongest) {
    const scores = new Map(classes.map((c) => [c.label, c.score])), known = new Set(recent);
    for (const label of [...scores.keys(), ...known]) {
      if (!this.#rows.has(label)) this.#rows.set(label, this.#add(label, label));
    }
    for (const [label, row] of this.#rows) {
      if (known.has(label) || scores.has(label) || label === this.#chosen || row.row.matches(":focus-within")) {
        this.#write(row, scores.get(label) ?? null);
      } else {
        row.row.remove();
        this.#rows.delete(label);
      }
    }
    this.#write(this.#strongest, scores.get(strongest) ?? null);
    write(this.#strongest.name, strongest === null ? "the strongest" : `the strongest: ${strongest}`);
  }

  #add(label, text) {
    const id = `${this.#name}-${this.#added++}`;
    const score = element("span", { className: "class-score", id: `${id}-score` });
    const name = element("span", { className: "class-name", id: `${id}-name`, title: text }, text);
    const radio = element("input", { type: "radio", name: this.#name, value: label ?? "",
      "aria-labelledby": name.id, "aria-describedby": score.id });
    const fill = element("span", { className: "class-fill" });
    if (label !== null) fill.style.background = `var(--class-${this.#colours.of(label)})`;
    const bar = element("span", { className: "class-bar", "aria-hidden": "true" }, fill);
    const row = element("label", { className: "class-row" }, radio, name, score, bar);
    radio.addEventListener("change", () => {
      this.#chosen = label;
      this.onchoose(label);
    });
    this.#root.append(row);
    return { row, radio, name, score, fill };
  }

  #write({ row, score, fill }, value) {
    row.classList.toggle("class-absent", value === null);
    write(score, value === null ? "–" : percent(value));
    fill.style.transform = `scaleX(${value ?? 0})`;
  }
}
