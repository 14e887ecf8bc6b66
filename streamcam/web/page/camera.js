// One camera: its picture with the heat of a class, live or of any moment of the last minute.

import { ClassList } from "./classes.js";
import { element, write } from "./elements.js";
import { Facts } from "./facts.js";
import { History, KEEP_MS } from "./history.js";
import { Keys } from "./keys.js";
import { PaintOptions } from "./paint-options.js";
import { NONE_OF_THESE, classToPaint } from "./picture.js";
import { Player } from "./player.js";
import { ClassColours, THRESHOLD, Timeline } from "./timeline.js";
import { Transport } from "./transport.js";
import { fileTime, percent, timeOf } from "./words.js";

const UPDATE_MS = 250, UPDATE_CALMLY_MS = 1000; // the second where people want little motion
const SAY_MS = 5000;
const FPS_OVER_MS = 3000;
const KEEP_FROZEN_MS = 2 * KEEP_MS; // what is being looked at stays a while

/**
 * Open the view of a camera.
 * @param {HTMLElement} root
 * @param {object} context
 * @param {string[]} rest the camera's id
 */
export function open(root, context, [id]) {
  const view = element("article", { className: "camera" });
  root.append(view);
  let shown = null;
  const show = () => {
    const camera = context.cameras.byId.get(id);
    if (shown && camera === shown.camera) return;
    if (shown?.camera && !camera) return shown.leave();
    shown?.close();
    view.replaceChildren();
    shown = camera ? new CameraView(view, camera, context) : new NoCamera(view, id, context);
  };
  context.cameras.addEventListener("list", show);
  show();
  return {
    close() {
      context.cameras.removeEventListener("list", show);
      shown.close();
    },
  };
}

/** What is shown where there is no such camera, or none yet. */
class NoCamera {
  #text = element("p", { role: "status" });
  #id;
  #timer;

  constructor(root, id, { cameras }) {
    this.#id = id;
    root.append(element("h1", {}, id ?? ""), this.#text, element("a", { href: "#/" }, "All cameras"));
    const { connection } = cameras;
    write(this.#text, connection.isOpen && cameras.byId.size ? this.#missing() : "Looking for this camera …");
    this.#timer = setTimeout(() => write(this.#text, this.#missing()), 2000);
  }

  #missing() {
    return `No publisher has a camera named ${this.#id}. It will be shown here as soon as one has.`;
  }

  close() {
    clearTimeout(this.#timer);
  }
}

class CameraView {
  #context;
  #history = new History();
  #colours = new ClassColours();
  #canvas = element("canvas", { role: "img" });
  #state = element("p", { className: "camera-state" });
  #notice = element("p", { className: "notice", role: "status", hidden: true });
  #said = element("p", { className: "unseen", role: "status" });
  #events = element("ul", { className: "camera-events" });
  #shownAtMs = []; // when pictures were shown, for their rate
  #lastShown = null;
  #frozenWindow = null; // what the timeline shows while frozen
  #saidMs = -Infinity;
  #timer;
  #transport;
  #timeline;
  #classes;
  #paint;
  #facts;
  #keys;

  constructor(root, camera, context) {
    this.camera = camera;
    this.#context = context;
    this.player = new Player(this.#canvas, this.#history, context.palette);
    this.player.onshown = (shown) => this.#onshown(shown);
    this.player.onmode = () => this.#onmode();
    this.#build(root);
    context.cameras.addEventListener("frame", this.#take);
    context.cameras.addEventListener("result", this.#take);
    document.addEventListener("visibilitychange", this.#ask);
    this.#ask();
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.#timer = setInterval(() => this.#update(), calm ? UPDATE_CALMLY_MS : UPDATE_MS);
    this.#update();
  }

  #build(root) {
    const { camera, player } = this, main = element("div", { className: "camera-main" });
    const side = element("div", { className: "camera-side" });
    const keys = element("button", { type: "button", className: "show-keys", "aria-label": "Keys" }, "?");
    const [previous, next] = this.#neighbours();
    root.append(
      element("header", { className: "camera-head" },
        element("h1", { title: camera.id }, camera.id), this.#state,
        element("nav", { "aria-label": "Other cameras" },
          linkTo(previous, "‹", "Previous"), linkTo(next, "›", "Next"), keys)),
      this.#notice,
      element("div", { className: "camera-body" }, main, side),
      this.#said,
    );
    main.append(element("figure", { className: "camera-picture" }, this.#canvas));
    this.#transport = new Transport(main, player, this.#history, () => this.#snapshot());
    const timeline = element("section", { className: "timeline", "aria-label": "Scores over the last minute" });
    main.append(timeline, this.#events);
    this.#timeline = new Timeline(timeline, this.#colours);
    this.#timeline.onseek = (atMs) => player.seek(atMs);
    this.#classes = new ClassList(side, this.#colours);
    this.#classes.onchoose = (label) => (player.label = label);
    const paint = element("section", { className: "paint", "aria-label": "How heat is painted" });
    const facts = element("section", { "aria-label": "About this camera" });
    side.append(paint, facts);
    this.#paint = new PaintOptions(paint, player);
    this.#facts = new Facts(facts);
    this.#keys = new Keys(root, this.#keysOf());
    keys.addEventListener("click", () => this.#keys.show());
  }

  #keysOf() {
    const go = (id) => id && (location.hash = addressOf(id));
    return [
      { key: " ", shown: "Space", does: "freeze, or go on", act: () => this.#transport.toggle() },
      { key: "l", does: "live", act: () => this.player.goLive() },
      { key: "arrowleft", shown: "←", does: "one picture back", act: () => this.player.step(-1) },
      { key: "arrowright", shown: "→", does: "one picture on", act: () => this.player.step(1) },
      { key: "s", does: "save the picture that is shown", act: () => this.#snapshot() },
      { key: "[", does: "previous camera", act: () => go(this.#neighbours()[0]) },
      { key: "]", does: "next camera", act: () => go(this.#neighbours()[1]) },
      { key: "escape", shown: "Esc", does: "all cameras", act: () => (location.hash = "#/") },
    ];
  }

  /** The ids of the cameras before and after this one, by name; null where it is the only one. */
  #neighbours() {
    const ids = [...this.#context.cameras.byId.keys()].sort((a, b) => a.localeCompare(b));
    const place = ids.indexOf(this.camera.id), count = ids.length;
    return count < 2 ? [null, null] : [ids[(place + count - 1) % count], ids[(place + 1) % count]];
  }

  #ask = () => {
    const kinds = document.hidden ? {} : { [this.camera.id]: ["frame", "result"] };
    this.#context.connection.want(this, kinds);
  };

  #take = ({ detail: { camera, message } }) => {
    if (camera !== this.camera) return;
    const heat = message.header.kind === "result" ? camera.heat : null;
    const { cleared } = this.#history.take(message, heat, this.player.live ? KEEP_MS : KEEP_FROZEN_MS);
    if (!cleared) return;
    this.#notify("The camera was lost and came back. Its last minute begins anew.");
    this.player.goLive();
  };

  #notify(text) {
    write(this.#notice, text);
    this.#notice.hidden = !text;
  }

  /** Tell that the camera is no longer listed: the last picture stays. */
  leave() {
    this.#notify("Its publisher no longer has this camera. This is what was seen last.");
  }

  #onshown(shown) {
    if (shown.moment !== this.#lastShown) {
      this.#lastShown = shown.moment;
      this.#shownAtMs.push(performance.now());
      if (this.player.live) this.camera.latencyMs = Date.now() - shown.moment.message.header.frame.captured_ns / 1e6;
    }
    this.#transport.update();
    this.#paint.update();
    if (!this.player.live) this.#showScores();
  }

  #onmode() {
    const { newestMs } = this.#history;
    this.#frozenWindow = this.player.live || newestMs === null ? null : newestMs;
    this.#transport.update();
    this.#update();
  }

  /** The times that the timeline shows. Frozen, it stands still, unless what is shown lies outside. */
  #window() {
    const shownMs = this.player.shown?.moment.atMs;
    let toMs = this.#frozenWindow ?? this.#history.newestMs ?? Date.now();
    if (this.#frozenWindow !== null && shownMs > toMs) toMs = this.#frozenWindow = shownMs;
    return { fromMs: toMs - KEEP_MS, toMs };
  }

  #update() {
    const { state, why } = this.camera.state;
    write(this.#state, why ? `${state}: ${why}` : state);
    this.#state.dataset.state = state;
    const span = this.#window(), events = eventsIn(this.camera, span);
    this.#timeline.update(this.#history.curve, { ...span, events });
    this.#listEvents(events);
    this.#facts.update(this.camera, this.player.shown, this.#fps());
    this.#transport.update();
    this.#showScores();
  }

  #fps() {
    const now = performance.now(), times = this.#shownAtMs;
    while (times.length && times[0] < now - FPS_OVER_MS) times.shift();
    return (1000 * times.length) / FPS_OVER_MS;
  }

  /** What depends on the moment that is shown. */
  #showScores() {
    const { shown, label, live } = this.player, classes = shown?.heat?.classes ?? [];
    const strongest = shown?.heat ? classes[classToPaint(shown.heat, null)]?.label ?? null : null;
    const recent = new Set(this.#history.curve.flatMap(({ scores }) => [...scores.keys()]));
    this.#classes.update(classes, recent, strongest);
    this.#timeline.mark({ shownMs: shown?.moment.atMs ?? null, frozen: !live, selected: label ?? strongest });
    this.#say(classes, label ?? strongest);
  }

  /** Say in words what is to be seen, seldom enough to be listened to. */
  #say(classes, painted) {
    const sure = classes.filter((c) => c.score >= THRESHOLD && c.label !== NONE_OF_THESE);
    const list = sure.map((c) => `${c.label} ${percent(c.score)}`).join(", ");
    const seen = sure.length ? `It sees ${list}.` : "Nothing is sure.";
    const heat = painted ? ` with the heat of ${painted}` : "";
    this.#canvas.setAttribute("aria-label", `Picture of ${this.camera.id}${heat}. ${seen}`);
    const names = sure.map((c) => c.label).join(", ");
    if (performance.now() - this.#saidMs < SAY_MS || names === this.#said.dataset.names) return;
    this.#said.dataset.names = names;
    this.#saidMs = performance.now();
    write(this.#said, seen);
  }

  #listEvents(events) {
    const wanted = events.map(({ record }) => `${record.id} ${record.state} ${record.pts_s}`).join("\n");
    if (wanted === this.#events.dataset.shown) return;
    this.#events.dataset.shown = wanted;
    this.#events.replaceChildren(...events.map(({ name, fromMs, toMs, over, record }) => {
      const span = over ? `${timeOf(fromMs)} – ${timeOf(toMs)}` : `since ${timeOf(fromMs)}`;
      const button = element("button", { type: "button" }, `${name}: ${record.label} ${percent(record.peak)}, ${span}`);
      const peakMs = fromMs + 1000 * (record.peak_pts_s - record.start_pts_s);
      button.addEventListener("click", () => this.player.seek(peakMs));
      return element("li", {}, button);
    }));
  }

  #snapshot() {
    const { shown } = this.player;
    if (!shown) return;
    const name = `streamcam-${this.camera.id}-${fileTime(shown.moment.atMs)}.png`;
    this.#canvas.toBlob((blob) => {
      const url = URL.createObjectURL(blob);
      element("a", { href: url, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    }, "image/png");
  }

  close() {
    clearInterval(this.#timer);
    this.#context.cameras.removeEventListener("frame", this.#take);
    this.#context.cameras.removeEventListener("result", this.#take);
    document.removeEventListener("visibilitychange", this.#ask);
    this.#context.connection.want(this, {});
    this.player.close();
    this.#timeline.close();
    this.#keys.close();
  }
}

const addressOf = (id) => `#/camera/${encodeURIComponent(id)}`;

function linkTo(id, sign, name) {
  return id && element("a", { href: addressOf(id), "aria-label": `${name} camera: ${id}` }, sign);
}

/** The events that overlap a time, the oldest first: what to call them, from when to when, and their records. */
function eventsIn(camera, { fromMs, toMs }) {
  const spans = [...camera.events.values()].map((record) => {
    const startMs = record.start_ns / 1e6, over = record.state === "end" || record.state === "saved";
    const endMs = over ? startMs + 1000 * (record.pts_s - record.start_pts_s) : toMs;
    return { name: record.rule, fromMs: startMs, toMs: endMs, over, record };
  });
  return spans.filter((e) => e.toMs >= fromMs && e.fromMs <= toMs).sort((a, b) => a.fromMs - b.fromMs);
}
