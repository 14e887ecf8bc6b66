// How coarsely the heat cube is drawn, so that it turns smoothly on a slow machine.

const LATE_MS = 16, EARLY_MS = 4; // on average after the time that a picture should take: to draw coarser, and finer
const PATIENCE = 12, TRUST = 90; // pictures before it draws coarser, and finer
const PAUSE_MS = 250; // one longer wait was no drawing; two in a row are a slow machine

/** Watches the time between pictures that are drawn one after the other. */
export class Pace {
  #late = 0;
  #count = 0;
  #waited = false;
  #best = 0; // a finer level than this was too slow

  constructor(levels) {
    this.levels = levels;
    /** 0 is the finest. */
    this.level = 0;
  }

  /** Take the time since the last picture, and the time that it should have taken, in milliseconds. */
  take(elapsedMs, wantedMs) {
    const waited = this.#waited;
    this.#waited = elapsedMs > PAUSE_MS;
    if (this.#waited && !waited) return;
    this.#late += (elapsedMs - wantedMs - this.#late) / Math.min(++this.#count, PATIENCE);
    if (this.#count >= PATIENCE && this.#late > LATE_MS && this.level < this.levels - 1) {
      this.#best = this.level + 1;
      this.#go(this.level + 1);
    } else if (this.#count >= TRUST && this.#late < EARLY_MS && this.level > this.#best) {
      this.#go(this.level - 1);
    }
  }

  /** Try finer levels again: the work is another. */
  forget() {
    this.#best = 0;
  }

  #go(level) {
    this.level = level;
    this.#late = this.#count = 0;
  }
}
