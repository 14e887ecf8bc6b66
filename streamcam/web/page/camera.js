// One camera: its picture with the heat of a class, live or of any moment of the last minute.

import { ClassList } from "./classes.js";
import { CubePanel } from "./cube-panel.js";
import { make, percent, say } from "./dom.js";
import { EventList, eventsIn } from "./event-list.js";
import { Facts } from "./facts.js";
import { History, KEEP_MS } from "./history.js";
import { Keys } from "./keys.js";
import { PaintOptions } from "./paint-options.js";
import { NONE_OF_THESE, classToPaint } from "./picture.js";
import { Player } from "./player.js";
import { ClassColours, THRESHOLD, Timeline } from "./timeline.js";
import { Transport } from "./transport.js";
import { byName, fileTime } from "./words.js";

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
  const view = make("article", { className: "camera" });
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
  #text = make("p", { role: "status" });
  #id;
  #timer;

  constructor(root, id, { cameras }) {
    this.#id = id;
    root.append(make("h1", {}, id ?? ""), this.#text, make("a", { href: "#/" }, "All cameras"));
    const { connection } = cameras;
    say(this.#text, connection.isOpen && cameras.byId.size ? this.#missing() : "Looking for this camera …");
    this.#timer = setTimeout(() => say(this.#text, this.#missing()), 2000);
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
  #canvas = make("canvas", { role: "img" });
  #state = make("p", { className: "camera-state" });
  #notice = make("p", { className: "camera-notice", role: "status", hidden: true });
  #said = make("p", { className: "unseen", role: "status" });
  #events = new EventList((atMs) => this.player.seek(atMs));
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
  #cube;

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
    const { camera, player } = this, part = (name) => make("div", { className: `camera-${name}` });
    const main = part("main"), side = part("side"), below = part("below"), about = part("about");
    const section = (name, label) => make("section", { className: name, "aria-label": label });
    const keys = make("button", { type: "button", "aria-label": "Keys", onclick: () => this.#keys.show() }, "?");
    root.append(
      make("header", { className: "camera-head" },
        make("h1", { title: camera.id }, camera.id), this.#state,
        make("a", { className: "button", href: `${addressOf(camera.id)}/zone` }, "Draw a zone"),
        make("nav", { "aria-label": "Other cameras" }, ...linksTo(this.#neighbours()), keys)),
      this.#notice,
      make("div", { className: "camera-body" }, main, make("div", { className: "camera-beside" }, side, about), below),
      this.#said,
    );
    const timeline = section("timeline", "Scores over the last minute");
    const paint = section("paint", "How heat is painted"), facts = section("facts-of-camera", "About this camera");
    main.append(make("figure", { className: "camera-picture" }, this.#canvas));
    below.append(timeline, this.#events.element);
    about.append(facts);
    this.#transport = new Transport(main, player, this.#history, () => this.#snapshot());
    this.#timeline = new Timeline(timeline, this.#colours);
    this.#timeline.onseek = (atMs) => player.seek(atMs);
    this.#classes = new ClassList(side, this.#colours);
    this.#classes.onchoose = (label) => (player.label = label);
    side.append(paint);
    this.#paint = new PaintOptions(paint, player);
    this.#cube = new CubePanel(below, this.#context.palette);
    this.#facts = new Facts(facts);
    this.#keys = new Keys(root, this.#keysOf());
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
    const ids = [...this.#context.cameras.byId.keys()].sort(byName);
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
    this.#notify("The camera came back, or its file began again. Its last minute begins anew.");
    this.player.goLive();
  };

  #notify(text) {
    say(this.#notice, text);
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
    if (this.player.live) return; // live, all else follows by the clock: more often than that, nobody can read it
    this.#showScores();
    this.#cube.show(shown, this.player.opacity);
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
    say(this.#state, why ? `${state}: ${why}` : state);
    this.#state.dataset.state = state;
    const span = this.#window(), events = eventsIn(this.camera, span);
    this.#timeline.update(this.#history.curve, this.#history.recent, { ...span, events });
    this.#events.update(events);
    this.#facts.update(this.camera, this.player.shown, this.#fps());
    this.#transport.update();
    this.#showScores();
    this.#cube.show(this.player.shown, this.player.opacity);
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
    this.#classes.update(shown?.heatMoment?.scores ?? null, this.#history.recent, strongest);
    const shownMs = shown?.moment.atMs ?? null, heatMs = shown?.heatMoment?.atMs ?? null;
    this.#timeline.mark({ shownMs, heatMs, frozen: !live, selected: label ?? strongest });
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
    say(this.#said, seen);
  }

  #snapshot() {
    const { shown } = this.player;
    if (!shown) return;
    const name = `streamcam-${this.camera.id}-${fileTime(shown.moment.atMs)}.png`;
    this.#canvas.toBlob((blob) => {
      const url = URL.createObjectURL(blob);
      make("a", { href: url, download: name }).click();
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
    this.#cube.close();
    this.#keys.close();
  }
}

const addressOf = (id) => `#/camera/${encodeURIComponent(id)}`;

/** Links to the cameras before and after. */
function linksTo([previous, next]) {
  if (previous === null) return [];
  const link = (id, sign, name) => make("a", { href: addressOf(id), "aria-label": `${name} camera: ${id}` }, sign);
  return [link(previous, "‹", "Previous"), link(next, "›", "Next")];
}
