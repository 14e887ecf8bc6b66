// What is known of a camera and of the picture that is shown, as a list of names and values.

import { make, say } from "./dom.js";
import { duration, short } from "./words.js";

/** What is told, in this order: its name in the page, and where people read it. */
const ROWS = [
  ["state", "State"], ["model", "Model"], ["age", "Age of the picture"], ["latency", "Latency, camera to page"],
  ["fps", "Camera"], ["shown", "Shown"], ["hop", "Hop"], ["heat", "Heat comes after"], ["stages", "Stages"],
  ["drops", "Left out"], ["size", "Picture"], ["session", "Session"],
];

/** A list of facts; `update` writes only what has changed. */
export class Facts {
  #values = new Map();

  constructor(root) {
    const list = make("dl", { className: "facts" });
    for (const [key, name] of ROWS) {
      const value = make("dd", { id: `fact-${key}` }, "–");
      this.#values.set(key, value);
      list.append(make("div", {}, make("dt", {}, name), value));
    }
    root.append(list);
  }

  /**
   * @param {Camera} camera
   * @param {object?} shown as of a Player
   * @param {number} fps pictures shown per second
   */
  update(camera, shown, fps) {
    for (const [key, text] of Object.entries(factsOf(camera, shown, fps))) say(this.#values.get(key), text || "–");
  }
}

function factsOf(camera, shown, fps) {
  const { state, why } = camera.state, { status } = camera, frame = shown?.moment.message.header;
  const result = shown?.heatMoment?.message.header, heat = result?.heat;
  return {
    state: why ? `${state}: ${why}` : state,
    model: heat ? `${heat.model} (${heat.model_hash})` : "no heat yet",
    age: frame ? duration(Date.now() - frame.frame.captured_ns / 1e6) : "",
    latency: camera.latencyMs === null ? "" : duration(camera.latencyMs),
    fps: status.fps === undefined ? "" : `${short(status.fps)} pictures a second`,
    shown: frame ? `${short(fps)} pictures a second` : "",
    hop: heat ? hopOf(heat) : "",
    heat: heat ? duration(1000 * heat.lookahead_s) : "",
    stages: result ? Object.entries(result.timings_ms).map(([stage, ms]) => `${stage} ${short(ms)} ms`).join(", ") : "",
    drops: dropsOf({ ...frame?.drops, ...result?.drops }, status),
    size: shown ? `${shown.bitmap.width} × ${shown.bitmap.height}, number ${frame.frame.index}` : "",
    session: frame ? String(frame.session) : "",
  };
}

function hopOf({ hop_s: hopS, skipped }) {
  if (hopS === null || hopS === undefined) return "the first of this session";
  return duration(1000 * hopS) + (skipped ? `, ${skipped} windows left out: the device cannot keep up` : "");
}

/** What each stage has left out so far. A status knows it at all times, a result as it was then. */
function dropsOf(drops, status) {
  const now = Object.entries(status).filter(([key]) => key.startsWith("dropped_"));
  const all = { ...drops, ...Object.fromEntries(now.map(([key, count]) => [key.slice("dropped_".length), count])) };
  const some = Object.entries(all).filter(([, count]) => count > 0);
  return some.length ? some.map(([stage, count]) => `${stage} ${count}`).join(", ") : "nothing";
}
