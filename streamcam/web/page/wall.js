// All cameras at once.

import { make, say } from "./dom.js";
import { settings } from "./settings.js";
import { Tile } from "./tile.js";
import { byName } from "./words.js";

const LOOK_MS = 100; // a camera that dies says so within 2 s: this comes on top of SILENT_MS
const DRAW_MS = 500;
const SORT_MS = 3000;
const STILL_MS = 5000; // nothing moves from under somebody's hand
const NARROWEST_REM = 17; // a tile, but for phones
const PHONE_REM = 39;
const WIDEST = 16 / 9; // width / height of a tile's picture; wider ones get bars
const NO_CAMERAS_AFTER_MS = 1500; // publishers say what they have within a second

const byCamera = (a, b) => byName(a.camera.id, b.camera.id);

const SORTS = {
  name: byCamera,
  activity: (a, b) => b.activity - a.activity || byCamera(a, b),
  event: (a, b) => (b.newestEvent?.start_ns ?? 0) - (a.newestEvent?.start_ns ?? 0) || byCamera(a, b),
};

let leftFor = null; // the camera that was opened last: coming back, the keyboard is where it was

/** Show the wall. */
export function open(root, context) {
  const wall = new Wall(root, context);
  return { close: () => wall.close() };
}

class Wall {
  #context;
  #tiles = new Map(); // by camera, a Tile
  #grid = make("ul", { className: "wall", role: "list" });
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
    addEventListener("resize", () => this.#fit(), { signal });
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
    const lines = endpoints.filter((e) => e.refused).map(({ number, refused }) => {
      const publisher = endpoints.length > 1 ? `Publisher ${number + 1}` : "The publisher";
      return `${publisher} refuses this page's server: ${refused}.`;
    });
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
    this.#count.parentElement.hidden = size === 0;
    this.#empty();
  }

  #empty() {
    const waited = performance.now() - this.#openedMs > NO_CAMERAS_AFTER_MS;
    const refused = this.#refusals.childElementCount > 0, { isOpen } = this.#context.connection;
    const show = this.#tiles.size === 0 && waited && isOpen && !refused;
    if (show && !this.#notice.childElementCount) this.#notice.append(...noCameras());
    this.#notice.hidden = !show;
  }

  #draw() {
    if (document.hidden) return;
    this.#fit();
    for (const tile of this.#tiles.values()) {
      if (!tile.visible) continue;
      tile.update();
      tile.draw();
    }
  }

  /** Choose the number of columns, and how wide they are. */
  #fit() {
    const tiles = [...this.#tiles.values()];
    if (!tiles.length) return;
    const ratios = tiles.map((tile) => tile.ratio).filter(Boolean).sort((a, b) => a - b);
    const ratio = Math.min(Math.max(ratios[Math.floor(ratios.length / 2)] ?? WIDEST, 1), WIDEST);
    const { width } = this.#grid.parentElement.getBoundingClientRect();
    const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
    const { columns, widest } = arrange({
      count: tiles.length, ratio, rem,
      width: width - 1.5 * rem,
      height: innerHeight - (this.#grid.getBoundingClientRect().top + scrollY) - rem,
      words: tiles[0].link.offsetHeight - tiles[0].frame.offsetHeight,
    });
    const { style } = this.#grid;
    style.setProperty("--ratio", ratio.toFixed(3));
    style.setProperty("--columns", columns);
    style.maxWidth = widest ? `${Math.floor(widest)}px` : "";
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
    const last = links.length - 1;
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - row, ArrowDown: at + row, Home: 0, End: last,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    links[to]?.focus();
  }

  #opened(event) {
    const link = event.target.closest("a.tile");
    leftFor = [...this.#tiles.values()].find((tile) => tile.link === link)?.camera.id ?? null;
  }
}

/**
 * How many columns make the tiles as large as they can be while all fit into the window. All numbers but `count` and
 * `ratio` are CSS pixels; `words` is the height of a tile without its picture.
 * @returns {{columns: number, widest: ?number}} the width of all columns; null for all that there is
 */
export function arrange({ count, ratio, rem, width, height, words }) {
  if (width < PHONE_REM * rem) return { columns: count > 4 ? 2 : 1, widest: null };
  const gap = 0.75 * rem, most = Math.max(1, Math.floor((width + gap) / (NARROWEST_REM * rem + gap)));
  let best = { columns: Math.min(most, count), tile: 0 };
  for (let columns = 1; columns <= Math.min(most, count); columns++) {
    const rows = Math.ceil(count / columns);
    const wide = (width - (columns - 1) * gap) / columns, high = (height - (rows - 1) * gap) / rows - words;
    const tile = Math.min(wide, high * ratio);
    if (tile > best.tile) best = { columns, tile };
  }
  if (best.tile < NARROWEST_REM * rem) return { columns: most, widest: null }; // too many: the page scrolls
  return { columns: best.columns, widest: best.columns * best.tile + (best.columns - 1) * gap };
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
