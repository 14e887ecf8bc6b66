// The events of the last minute, beside a timeline that marks them.

import { make, percent } from "./dom.js";
import { timeOf } from "./words.js";

/**
 * The events of a camera that overlap a time, the oldest first.
 * @param {Camera} camera
 * @param {{fromMs: number, toMs: number}} span in Unix milliseconds
 * @returns {{name: string, fromMs: number, toMs: number, over: boolean, record: object}[]} one that goes on ends with
 *   the span
 */
export function eventsIn(camera, { fromMs, toMs }) {
  const spans = [...camera.events.values()].map((record) => {
    const startMs = record.start_ns / 1e6, over = record.state === "end" || record.state === "saved";
    const endMs = over ? startMs + 1000 * (record.pts_s - record.start_pts_s) : toMs;
    return { name: record.rule, fromMs: startMs, toMs: endMs, over, record };
  });
  return spans.filter((e) => e.toMs >= fromMs && e.fromMs <= toMs).sort((a, b) => a.fromMs - b.fromMs);
}

/** A list of buttons that lead to the peaks of events. */
export class EventList {
  element = make("ul", { className: "camera-events" });
  #onseek;
  #written = "";

  /** @param {(atMs: number) => void} onseek is told the time of a peak, in Unix milliseconds */
  constructor(onseek) {
    this.#onseek = onseek;
  }

  /** Show events, as of `eventsIn`. */
  update(events) {
    const written = events.map(({ record }) => `${record.id} ${record.state} ${record.peak}`).join("\n");
    if (written === this.#written) return;
    this.#written = written;
    this.element.replaceChildren(...events.map((event) => make("li", {}, this.#button(event))));
  }

  #button({ name, fromMs, toMs, over, record }) {
    const span = over ? `${timeOf(fromMs)} – ${timeOf(toMs)}` : `since ${timeOf(fromMs)}`;
    const peakMs = fromMs + 1000 * (record.peak_pts_s - record.start_pts_s);
    const text = `${name}: ${record.label} ${percent(record.peak)}, ${span}`;
    return make("button", { type: "button", onclick: () => this.#onseek(peakMs) }, text);
  }
}
