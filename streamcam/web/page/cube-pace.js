// How coarsely the heat cube is drawn, so that it turns smoothly on a slow machine.

const LATE_MS = 12, EARLY_MS = 4; // after the time that a picture should take: so much is well, and is time to spare
const DEBT_MS = 150; // of lateness together, to draw coarser: one picture may take it all
const TRUST = 90; // pictures in a row with time to spare, to draw finer
const ASLEEP_MS = 3000; // longer waits were no drawing

/** Watches the time between pictures that are drawn one after the other. */
export class Pace {
  #debtMs = 0;
  #early = 0;
  #finest = 0; // finer levels were too slow

  constructor(levels) {
    this.levels = levels;
    /** 0 is the finest. */
    this.level = 0;
  }

  /** Take the time since the last picture, and the time that it should have taken, in milliseconds. */
  take(elapsedMs, wantedMs) {
    if (elapsedMs > ASLEEP_MS) return;
    const lateMs = elapsedMs - wantedMs;
    this.#debtMs = Math.max(0, this.#debtMs + lateMs - LATE_MS);
    this.#early = lateMs < EARLY_MS ? this.#early + 1 : 0;
    if (this.#debtMs > DEBT_MS && this.level < this.levels - 1) {
      this.#finest = this.level + 1;
      this.#go(this.level + 1);
    } else if (this.#early > TRUST && this.level > this.#finest) {
      this.#go(this.level - 1);
    }
  }

  #go(level) {
    this.level = level;
    this.#debtMs = this.#early = 0;
  }
}
