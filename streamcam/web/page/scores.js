// The scores of one window: of the classes whose heat is sent, and of all others by their logits.

const CLOSE = 2e-3; // so near a score is the same

/** Scores by class. */
export class Scores {
  #sent;
  #logits;
  #shift = null; // log of the sum of exponentials; null where scores are sigmoids
  #explained = false;

  /** @param {Heat} heat */
  constructor(heat) {
    this.#sent = new Map(heat.classes.map((c) => [c.label, c.score]));
    this.#logits = heat.logits;
    if (!heat.multiLabel) {
      const peak = heat.logits.reduce((a, b) => Math.max(a, b), -Infinity);
      this.#shift = peak + Math.log(heat.logits.reduce((sum, logit) => sum + Math.exp(logit - peak), 0));
    }
    // A model may make its scores in another way: then only those that were sent are known.
    this.#explained = heat.classes.every((c) => Math.abs(this.#ofLogit(c.index) - c.score) < CLOSE);
  }

  /** The labels of the classes whose heat is sent. */
  get labels() {
    return this.#sent.keys();
  }

  /** The score of a class, 0–1; null if it is not known. */
  of(label, index) {
    return this.#sent.get(label) ?? (this.#explained ? this.#ofLogit(index) : null);
  }

  #ofLogit(index) {
    const logit = this.#logits[index];
    return this.#shift === null ? 1 / (1 + Math.exp(-logit)) : Math.exp(logit - this.#shift);
  }
}
