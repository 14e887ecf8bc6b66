// The last minute of a camera: pictures as JPEG and heat as it came, from when its view was opened.

import { Heat, RunningScale } from "./heat.js";
import { Scores } from "./scores.js";

export const KEEP_MS = 60_000;
const FRAME_BYTES = 48 * 2 ** 20, HEAT_BYTES = 16 * 2 ** 20;
const READ_HEATS = 8; // heats that stay decoded
const SHARE_TO_THIN = 4; // above its bytes, a track loses every second one of its oldest quarter

/** Moments in ascending order of time, bounded by their age and by their bytes. A moment has `atMs` and `bytes`. */
export class Track {
  #moments = [];
  #bytes = 0;
  #maxBytes;

  constructor(maxBytes) {
    this.#maxBytes = maxBytes;
  }

  get moments() {
    return this.#moments;
  }

  get bytes() {
    return this.#bytes;
  }

  get newest() {
    return this.#moments.at(-1) ?? null;
  }

  add(moment) {
    this.#moments.push(moment);
    this.#bytes += moment.bytes;
    while (this.#bytes > this.#maxBytes && this.#moments.length > 1) this.#thin();
  }

  /** Forget what is older than a time, in milliseconds. */
  forget(beforeMs) {
    let count = 0;
    for (; count < this.#moments.length && this.#moments[count].atMs < beforeMs; count++) {
      this.#bytes -= this.#moments[count].bytes;
    }
    this.#moments.splice(0, count);
  }

  /** The place of the last moment that is not after a time; −1 if all are. */
  placeAt(atMs) {
    let low = 0, high = this.#moments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#moments[middle].atMs <= atMs) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  clear() {
    this.#moments = [];
    this.#bytes = 0;
  }

  #thin() {
    const old = Math.max(1, Math.floor(this.#moments.length / SHARE_TO_THIN));
    this.#moments = this.#moments.filter((moment, i) => {
      const stays = i >= old || i % 2 === 1;
      if (!stays) this.#bytes -= moment.bytes;
      return stays;
    });
  }
}

/**
 * What came of one session of a camera. A new session, or a restarted publisher, clears it: nothing is shown across.
 *
 * A moment has `atMs` (Unix time by the publisher's clock, in milliseconds), `ptsS` (the stream's time, in seconds),
 * `arrivedMs` (`performance.now`), `bytes` and `message`; that of a heat also `firstS` and `lastS` (the times of its
 * first and last slice), `scale` (for models that carry none) and `scores` (Scores).
 */
export class History {
  frames = new Track(FRAME_BYTES);
  heats = new Track(HEAT_BYTES);
  /** Scores of every window, which are small: `{atMs, scores}`, ascending. */
  curve = [];
  /** The indices of the classes whose heat was sent in this session, by label. */
  indices = new Map();
  publisher = null;
  session = null;
  #sentNs = 0;
  #running = new RunningScale();
  #read = new Map(); // heat moments → Heat, the least recently used first

  /**
   * Keep a `frame` or a `result`.
   * @param {object} message
   * @param {Heat?} heat that of the message, if it has been read already
   * @param {number} keepMs how far to look back
   * @returns {{moment: object?, cleared: boolean}} what was kept, or null for a message that came before or is of an
   *   earlier session; and whether a new session began
   */
  take(message, heat = null, keepMs = KEEP_MS) {
    const { header } = message;
    if (this.#isOld(header)) return { moment: null, cleared: false };
    const known = this.publisher !== null;
    const cleared = header.publisher !== this.publisher || header.session !== this.session;
    if (cleared) this.clear();
    [this.publisher, this.session] = [header.publisher, header.session];
    this.#sentNs = Math.max(this.#sentNs, header.sent_ns);
    const track = header.kind === "frame" ? this.frames : this.heats;
    if (header.seq <= (track.newest?.message.header.seq ?? -1)) return { moment: null, cleared: false };
    const moment = this.#momentOf(message, track);
    if (header.kind === "result") this.#addHeat(moment, heat);
    track.add(moment);
    const beforeMs = moment.atMs - keepMs;
    this.frames.forget(beforeMs);
    this.heats.forget(beforeMs);
    while (this.curve.length && this.curve[0].atMs < beforeMs) this.curve.shift();
    return { moment, cleared: cleared && known };
  }

  /** The classes whose heat was sent in the last minute: their indices by label, as they first came. */
  get recent() {
    const labels = new Set(this.curve.flatMap(({ scores }) => [...scores.labels]));
    return new Map([...this.indices].filter(([label]) => labels.has(label)));
  }

  /** The newest moment of all, in Unix milliseconds; null before the first. */
  get newestMs() {
    const times = [this.frames.newest, this.heats.newest].filter(Boolean).map((moment) => moment.atMs);
    return times.length ? Math.max(...times) : null;
  }

  /**
   * The heat that speaks of a picture: of the windows whose slices are nearest to its time, the first.
   * @returns {object?} the heat's moment
   */
  heatAt(ptsS) {
    const { moments } = this.heats;
    const after = firstFrom(moments, ptsS);
    const early = moments[after - 1] ?? null, late = moments[after] ?? null;
    if (!early || !late) return early ?? late;
    return late.firstS - ptsS > ptsS - early.lastS ? early : late;
  }

  /** Read a moment's heat: a Heat. */
  read(moment) {
    const heat = this.#read.get(moment) ?? new Heat(moment.message);
    this.#remember(moment, heat);
    return heat;
  }

  clear() {
    this.frames.clear();
    this.heats.clear();
    this.#read.clear();
    this.curve = [];
    this.indices.clear();
    this.#running = new RunningScale();
  }

  #remember(moment, heat) {
    this.#read.delete(moment);
    this.#read.set(moment, heat);
    if (this.#read.size > READ_HEATS) this.#read.delete(this.#read.keys().next().value);
  }

  /** Whether a message is of a session, or of a publisher, that is over. */
  #isOld({ publisher, session, sent_ns: sentNs }) {
    if (publisher === this.publisher) return session < this.session;
    return this.publisher !== null && sentNs < this.#sentNs;
  }

  #momentOf(message, track) {
    const { frame } = message.header;
    // A clock that is put back must not put moments out of order.
    const atMs = Math.max(frame.captured_ns / 1e6, track.newest?.atMs ?? -Infinity);
    let bytes = 0;
    for (const payload of message.payloads.values()) bytes += payload.bytes.byteLength;
    return { atMs, ptsS: frame.pts_s, arrivedMs: performance.now(), bytes, message };
  }

  #addHeat(moment, given) {
    const { top, pts_s: times } = moment.message.header.heat;
    moment.firstS = times[0];
    moment.lastS = times.at(-1);
    if (given) this.#remember(moment, given);
    moment.scores = new Scores(this.read(moment));
    this.curve.push({ atMs: moment.atMs, scores: moment.scores });
    for (const { label, index } of top) this.indices.set(label, index);
    moment.scale = top.length && top[0].scale === null ? this.#running.of(this.read(moment), 0) : null;
  }
}

/** The place of the first heat whose last slice is not before a time. */
function firstFrom(moments, ptsS) {
  let low = 0, high = moments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (moments[middle].lastS < ptsS - 1e-6) low = middle + 1;
    else high = middle;
  }
  return low;
}
