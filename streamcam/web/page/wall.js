// All cameras at once.

import { make, say } from "./dom.js";
import { settings } from "./settings.js";
import { Tile } from "./tile.js";

const LOOK_MS = 100; // a camera that dies says so within 2 s: this comes on top of SILENT_MS
const DRAW_MS = 500;
const SORT_MS = 3000;
const STILL_MS = 5000; // nothing moves from under somebody's hand
const WIDEST = 16 / 9; // width / height of a tile's picture; wider ones get bars
const NO_CAMERAS_AFTER_MS = 1500; // publishers say what they have within a second

const SORTS = {
  name: (a, b) => byName(a, b),
  activity: (a, b) => b.activity - a.activity || byName(a, b),
  event: (a, b) => (b.newestEvent?.start_ns ?? 0) - (a.newestEvent?.start_ns ?? 0) || byName(a, b),
};

const byName = (a, b) => a.camera.id.localeCompare(b.camera.id, undefined, { numeric: true });

let leftFor = null; // the camera that was opened last: coming back, the keyboard is where it was

/** Show the wall. */
export function open(root, context) {
  const wall = new Wall(root, context);
  return { close: () => wall.close() };
}

class Wall {
  #context;
  #tiles = new Map(); // by camera, a Tile
  #grid = make("ul", { className: "wall" });
  #notice = make("div", { className: "notice", hidden: true });
  #refusals = make("div", { className: "refusals", role: "status" });
  #count = make("p", { className: "count" });
  #told = make("p", { className: "unseen", role: "status" });
  #states = new Map(); // by camera: what was told
  #touchedMs = -Infinity;
  #openedMs = performance.now();
  #seen;
  #sizes;
  #timers;
  #undo = new AbortController();

  constructor(root, context) {
    this.#context = context;
    const { signal } = this.#undo;
    this.#seen = new IntersectionObserver((entries) => this.#watch(entries), { rootMargin: "64px" });
    this.#sizes = new ResizeObserver((entries) => this.#resize(entries));
    root.append(
      make("h1", { className: "unseen" }, "Cameras"), this.#bar(), this.#refusals, this.#notice, this.#grid, this.#told,
    );
    context.cameras.addEventListener("list", () => this.#list(), { signal });
    for (const kind of ["status", "event"]) {
      context.cameras.addEventListener(kind, ({ detail }) => this.#tiles.get(detail.camera)?.update(), { signal });
    }
    document.addEventListener("visibilitychange", () => this.#ask(), { signal });
    this.#grid.addEventListener("keydown", (event) => this.#key(event), { signal });
    this.#grid.addEventListener("click", (event) => this.#opened(event), { signal });
    for (const touch of ["pointermove", "pointerdown", "keydown"]) {
      this.#grid.addEventListener(touch, () => (this.#touchedMs = performance.now()), { signal, passive: true });
    }
    this.#timers = [
      setInterval(() => this.#look(), LOOK_MS),
      setInterval(() => this.#draw(), DRAW_MS),
      setInterval(() => this.#sort(), SORT_MS),
    ];
    this.#list();
    const last = [...this.#tiles.values()].find((tile) => tile.camera.id === leftFor);
    last?.link.focus();
    leftFor = null;
  }

  close() {
    this.#undo.abort();
    this.#timers.forEach(clearInterval);
    this.#seen.disconnect();
    this.#sizes.disconnect();
    for (const tile of this.#tiles.values()) tile.close();
    this.#context.connection.want(this, {});
  }

  #bar() {
    const sort = choice("Sort by", { name: "name", activity: "activity", event: "newest event" }, "sort");
    const pictures = choice("Pictures", { heat: "with their heat", live: "as soon as they come" }, "pictures");
    pictures.title = "Heat comes a moment after the picture that it speaks of. Pictures can wait for it.";
    settings.addEventListener("change", () => this.#chosen(), { signal: this.#undo.signal });
    return make("div", { className: "bar" }, this.#count, sort, pictures);
  }

  #chosen() {
    this.#touchedMs = -Infinity;
    this.#ask();
    this.#sort();
  }

  /** Results of all cameras, where they are sorted by them; otherwise, each tile asks for what it shows. */
  #ask() {
    const all = settings.get("sort") === "activity" && !document.hidden;
    const cameras = all ? [...this.#context.cameras.byId.keys()] : [];
    this.#context.connection.want(this, Object.fromEntries(cameras.map((id) => [id, ["result"]])));
  }

  #list() {
    const cameras = new Set(this.#context.cameras.byId.values());
    for (const [camera, tile] of this.#tiles) if (!cameras.has(camera)) this.#remove(tile);
    for (const camera of cameras) if (!this.#tiles.has(camera)) this.#add(camera);
    this.#grid.dataset.size = cameras.size <= 1 ? "one" : cameras.size <= 4 ? "few" : cameras.size <= 9 ? "some" : "many";
    this.#refused();
    this.#ask();
    this.#sort(true);
    this.#look();
    this.#draw();
  }

  #add(camera) {
    const tile = new Tile(camera, this.#context);
    this.#tiles.set(camera, tile);
    this.#grid.append(tile.element);
    this.#seen.observe(tile.element);
    this.#sizes.observe(tile.frame);
  }

  #remove(tile) {
    this.#tiles.delete(tile.camera);
    this.#states.delete(tile.camera);
    this.#seen.unobserve(tile.element);
    this.#sizes.unobserve(tile.frame);
    tile.close();
    tile.element.remove();
  }

  #refused() {
    const { endpoints } = this.#context.cameras;
    const lines = endpoints.filter((e) => e.refused).map((e) =>
      `${endpoints.length > 1 ? `Publisher ${e.number + 1}` : "The publisher"} refuses this page's server: ${e.refused}.`);
    this.#refusals.replaceChildren(...lines.map((line) => make("p", { className: "refusal" }, line)));
  }

  /** Whether a tile can be seen, by the browser's own account. */
  #watch(entries) {
    for (const { target, isIntersecting } of entries) {
      const tile = this.#tileOf(target);
      if (tile) tile.visible = isIntersecting;
    }
  }

  #resize(entries) {
    for (const { target, contentRect } of entries) {
      const tile = this.#tileOf(target.closest("li"));
      if (tile) tile.width = contentRect.width * (devicePixelRatio || 1);
    }
  }

  #tileOf(element) {
    return [...this.#tiles.values()].find((tile) => tile.element === element);
  }

  /** See how each camera is, and tell those who cannot see it of what has changed. */
  #look() {
    const changes = [], counts = new Map();
    for (const [camera, tile] of this.#tiles) {
      const { state } = camera.state, before = this.#states.get(camera);
      counts.set(state, (counts.get(state) ?? 0) + 1);
      if (state === before) continue;
      this.#states.set(camera, state);
      tile.update();
      if (before !== undefined && this.#context.connection.isOpen) changes.push(`${camera.id} is ${state}`);
    }
    if (changes.length) say(this.#told, changes.join(", "));
    const troubles = [...counts].filter(([state]) => state !== "live").map(([state, n]) => `${n} ${state}`);
    const size = this.#tiles.size;
    say(this.#count, [`${size} ${size === 1 ? "camera" : "cameras"}`, ...troubles].join(", "));
    this.#count.hidden = size === 0;
    this.#empty();
  }

  #empty() {
    const waited = performance.now() - this.#openedMs > NO_CAMERAS_AFTER_MS;
    const show = this.#tiles.size === 0 && waited && this.#context.connection.isOpen;
    if (show && !this.#notice.childElementCount) this.#notice.append(...noCameras());
    this.#notice.hidden = !show;
  }

  #draw() {
    if (document.hidden) return;
    const ratios = [...this.#tiles.values()].map((tile) => tile.ratio).filter(Boolean).sort((a, b) => a - b);
    const middle = ratios[Math.floor(ratios.length / 2)] ?? WIDEST;
    this.#grid.style.setProperty("--ratio", Math.min(Math.max(middle, 1), WIDEST).toFixed(3));
    for (const tile of this.#tiles.values()) {
      if (!tile.visible) continue;
      tile.update();
      tile.draw();
    }
  }

  /** Put the tiles in order, where nobody is about to choose one. */
  #sort(now = false) {
    if (!now && performance.now() - this.#touchedMs < STILL_MS) return;
    // Tiles are compared as they are now: their activity changes while they are sorted.
    const keys = [...this.#tiles.values()].map(({ camera, element, activity, newestEvent }) =>
      ({ camera, element, activity: Math.round(10 * activity), newestEvent }));
    const sorted = keys.sort(SORTS[settings.get("sort")] ?? SORTS.name).map(({ element }) => element);
    if (sorted.every((element, i) => element === this.#grid.children[i])) return;
    const focused = this.#grid.contains(document.activeElement) ? document.activeElement : null;
    this.#grid.append(...sorted);
    focused?.focus({ preventScroll: true });
  }

  /** Arrow keys go from tile to tile, as they lie on the screen. */
  #key(event) {
    const links = [...this.#grid.querySelectorAll("a.tile")], at = links.indexOf(document.activeElement);
    if (at < 0 || event.ctrlKey || event.altKey || event.metaKey) return;
    const top = (link) => link.getBoundingClientRect().top;
    const columns = links.findIndex((link) => top(link) > top(links[0]) + 1);
    const row = columns < 0 ? links.length : columns;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -row, ArrowDown: row, Home: -at, End: links.length - 1 - at };
    if (!(event.key in steps)) return;
    event.preventDefault();
    links[at + steps[event.key]]?.focus();
  }

  #opened(event) {
    const link = event.target.closest("a.tile");
    leftFor = [...this.#tiles.values()].find((tile) => tile.link === link)?.camera.id ?? null;
  }
}

/** A list of choices, kept as a setting: value → what people read. */
function choice(label, options, setting) {
  const select = make(
    "select",
    { onchange: () => settings.set(setting, select.value) },
    ...Object.entries(options).map(([value, text]) => make("option", { value }, text)),
  );
  select.value = settings.get(setting);
  return make("label", {}, `${label} `, select);
}

function noCameras() {
  return [
    make("h2", {}, "No cameras yet"),
    make("p", {}, "Nothing is published where this page's server listens. Start a camera, for example the sample:"),
    make("pre", {}, "streamcam run sample --loop"),
    make("p", {}, "If it publishes elsewhere, name its address when you start the page:"),
    make("pre", {}, "streamcam web tcp://127.0.0.1:5555"),
    make("p", {}, "Cameras appear here by themselves."),
  ];
}
