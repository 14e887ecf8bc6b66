// The list of classes: whose heat is painted, and how sure the network is of each.

import { make, percent, say } from "./dom.js";

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
    this.#root = make("fieldset", { className: "classes" }, make("legend", {}, "Show the heat of"));
    root.append(this.#root);
    this.#strongest = this.#add(null, "the strongest");
    this.#strongest.radio.checked = true;
  }

  /**
   * Bring the scores up to date.
   * @param {Scores?} scores of the moment that is shown
   * @param {Map<string, number>} recent indices by label of the classes of the last minute: others leave the list
   * @param {string?} strongest the label of the class that is the strongest now
   */
  update(scores, recent, strongest) {
    const sent = new Set(scores?.labels), listed = new Map([...this.#listed(), ...recent]);
    for (const [label, index] of listed) {
      if (!this.#rows.has(label)) this.#rows.set(label, this.#add(label, label));
      const row = this.#rows.get(label);
      row.index = index;
      this.#write(row, scores?.of(label, index) ?? null, sent.has(label));
    }
    for (const [label, { row }] of this.#rows) {
      if (listed.has(label)) continue;
      row.remove();
      this.#rows.delete(label);
    }
    this.#write(this.#strongest, scores?.of(strongest) ?? null, strongest !== null);
    say(this.#strongest.name, strongest === null ? "the strongest" : `the strongest: ${strongest}`);
  }

  /** Those that have to stay: the chosen one, and one that the keyboard is at. */
  #listed() {
    const stay = [...this.#rows].filter(([label, { row }]) => label === this.#chosen || row.matches(":focus-within"));
    return stay.map(([label, { index }]) => [label, index]);
  }

  #add(label, text) {
    const id = `${this.#name}-${this.#added++}`;
    const score = make("span", { className: "class-score", id: `${id}-score` });
    const name = make("span", { className: "class-name", id: `${id}-name`, title: text }, text);
    const radio = make("input", { type: "radio", name: this.#name, value: label ?? "",
      "aria-labelledby": name.id, "aria-describedby": score.id });
    const fill = make("span", { className: "class-fill" });
    if (label !== null) fill.style.background = `var(--class-${this.#colours.of(label)})`;
    const bar = make("span", { className: "class-bar", "aria-hidden": "true" }, fill);
    const row = make("label", { className: "class-row" }, radio, name, score, bar);
    radio.addEventListener("change", () => {
      this.#chosen = label;
      this.onchoose(label);
    });
    this.#root.append(row);
    return { row, radio, name, score, fill };
  }

  #write({ row, score, fill }, value, hasHeat) {
    row.classList.toggle("class-absent", !hasHeat);
    row.title = hasHeat ? "" : "Its heat is not sent now: others are stronger.";
    say(score, value === null ? "–" : percent(value));
    fill.style.transform = `scaleX(${value ?? 0})`;
  }
}
