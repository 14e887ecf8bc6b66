// All events: those that are saved, and those that are told of now. One of them is shown by event.js.

import { ago, make, say } from "./dom.js";
import { open as openEvent } from "./event.js";
import { absolute, ask, extent, fileOf, goesOn, sentence, startMs, viewOf } from "./event-words.js";
import { byName } from "./words.js";

const AGE_MS = 5000;
const FILTERS = [
  { name: "source", title: "Camera" }, { name: "rule", title: "Rule" }, { name: "zone", title: "Zone" },
  { name: "label", title: "Class" },
];
const UNSAVED = "Events are still listed here as they are told of, without pictures.";
const SINCE = [["", "Any time"], ["1", "Last hour"], ["24", "Last day"], ["168", "Last week"]];

const chosen = { source: "", rule: "", zone: "", label: "", since: "" }; // kept while the page is open

/** Show all events, or one. */
export function open(root, context, rest) {
  if (rest[0]) return openEvent(root, context, rest[0], query());
  const list = new EventList(root, context);
  return { close: () => list.close() };
}

/** What is chosen, as the query of an address. */
function query() {
  const given = Object.entries(chosen).filter(([name, value]) => value && name !== "since");
  if (chosen.since) given.push(["since", new Date(sinceMs()).toISOString()]);
  return new URLSearchParams(given);
}

const sinceMs = () => (chosen.since ? Date.now() - chosen.since * 3_600_000 : -Infinity);

class EventList {
  #context;
  #items = new Map(); // by id: {event, element, parts}
  #list = make("ol", { className: "events" });
  #selects = new Map();
  #status = make("p", { className: "count", role: "status" });
  #notice = make("div", { className: "notice", hidden: true });
  #more = make("button", { hidden: true, onclick: () => this.#load(this.#next) }, "Load more");
  #next = null;
  #total = 0;
  #trouble = "";
  #loaded = false;
  #asking = null;
  #undo = new AbortController();
  #timer;

  constructor(root, context) {
    this.#context = context;
    root.append(make("h1", { className: "unseen" }, "Events"), this.#bar(), this.#notice, this.#list, this.#more);
    const { signal } = this.#undo;
    this.#list.addEventListener("keydown", (event) => this.#key(event), { signal });
    context.cameras.addEventListener("event", ({ detail }) => this.#told(detail.message.header.event), { signal });
    this.#timer = setInterval(() => this.#age(), AGE_MS);
    this.#load();
  }

  close() {
    this.#undo.abort();
    this.#asking?.abort();
    clearInterval(this.#timer);
  }

  #bar() {
    const bar = make("div", { className: "bar filters" }, this.#status);
    for (const { name, title } of FILTERS) {
      const select = make("select", { onchange: () => this.#choose(name, select.value) });
      this.#selects.set(name, select);
      bar.append(make("label", {}, title, select));
    }
    const since = make("select", { onchange: () => this.#choose("since", since.value) });
    since.append(...SINCE.map(([value, text]) => make("option", { value, selected: value === chosen.since }, text)));
    bar.append(make("label", {}, "Time", since));
    return bar;
  }

  #choose(name, value) {
    chosen[name] = value;
    this.#load();
  }

  /** Load the newest events anew, or those behind a cursor. */
  async #load(before = null) {
    this.#asking?.abort();
    const asking = this.#asking = new AbortController(), asked = query();
    if (before) asked.set("before", before);
    this.#more.disabled = true;
    let answer = { events: [], next: null };
    try {
      answer = await ask(`/api/events?${asked}`, { signal: asking.signal });
      this.#trouble = "";
    } catch (error) {
      if (error.name === "AbortError") return;
      this.#trouble = error.message;
    }
    if (!before) {
      this.#items.clear();
      this.#list.replaceChildren();
      this.#total = answer.total ?? 0;
      this.#offer(answer.values ?? {});
      for (const camera of this.#context.cameras.byId.values()) for (const event of camera.events.values()) this.#put(event);
    }
    this.#next = answer.next;
    for (const event of answer.events) this.#put(event);
    this.#more.hidden = !this.#next;
    this.#more.disabled = false;
    this.#loaded = true;
    this.#count();
  }

  /** Offer what filters can be: the server's values, and those of events that are told of now. */
  #offer(values) {
    const live = [...this.#context.cameras.byId.values()].flatMap((camera) => [...camera.events.values()]);
    for (const { name } of FILTERS) {
      const all = new Set([...(values[name] ?? []), ...live.map((event) => event[name]), chosen[name]].filter(Boolean));
      const options = [...all].sort(byName).map((value) => make("option", { value }, value));
      const select = this.#selects.get(name);
      select.replaceChildren(make("option", { value: "" }, "All"), ...options);
      select.value = chosen[name];
    }
  }

  #told(event) {
    if (!this.#loaded) return;
    const known = this.#items.has(event.id);
    this.#put(event);
    if (!known && this.#items.has(event.id)) this.#total++;
    for (const [name, select] of this.#selects) { // whoever has one open is not disturbed by what is known already
      if (event[name] && ![...select.options].some(({ value }) => value === event[name])) {
        select.append(make("option", { value: event[name] }, event[name]));
      }
    }
    this.#count();
  }

  /** Show an event where it belongs, if the filters let it through. A saved record is never replaced by an older one. */
  #put(event) {
    const passes = FILTERS.every(({ name }) => !chosen[name] || event[name] === chosen[name]) && startMs(event) >= sinceMs();
    const item = this.#items.get(event.id);
    if (!passes || (item && item.event.state === "saved" && event.state !== "saved")) return;
    if (item) return this.#fill(item, event);
    const made = this.#build(event);
    const later = [...this.#list.children].find((other) => other.dataset.order < made.element.dataset.order);
    this.#list.insertBefore(made.element, later ?? null);
    this.#items.set(event.id, made);
  }

  #build(event) {
    const parts = {
      picture: make("span", { className: "picture" }), state: make("span", { className: "going" }, "going on"),
      rule: make("strong", { className: "cut" }), label: make("span", { className: "cut" }),
      place: make("span", { className: "cut faint" }), time: make("time", { className: "cut" }),
      age: make("span", { className: "faint" }), extent: make("span", { className: "faint" }),
    };
    const link = make("a", { href: viewOf(event.id), className: "event-card" },
      parts.picture,
      make("span", { className: "words" },
        make("span", { className: "line" }, parts.rule, parts.state), parts.label, parts.place,
        make("span", { className: "line" }, parts.time, parts.age), parts.extent));
    const element = make("li", {}, link);
    element.dataset.order = `${String(event.start_ns).padStart(20, "0")} ${event.id}`;
    const item = { element, parts, event: null };
    this.#fill(item, event);
    return item;
  }

  #fill(item, event) {
    const { parts } = item, place = event.zone ? `${event.source}, ${event.zone}` : `${event.source}, whole picture`;
    item.event = event;
    say(parts.rule, event.rule, event.rule);
    say(parts.label, event.label || "its record is damaged", event.label);
    say(parts.place, place, place);
    say(parts.time, absolute(event));
    parts.time.dateTime = new Date(startMs(event)).toISOString();
    say(parts.age, ago((Date.now() - startMs(event)) / 1000));
    say(parts.extent, extent(event));
    parts.state.hidden = !goesOn(event);
    if (!event.files.includes("snapshot.jpg")) {
      say(parts.picture, event.state === "saved" ? "no picture" : goesOn(event) ? "its picture comes once it is over" : "");
    } else if (!parts.picture.firstElementChild) {
      const image = make("img", { loading: "lazy", decoding: "async", alt: "", onerror: () => image.remove() });
      image.src = fileOf(event, "snapshot.jpg");
      parts.picture.replaceChildren(image);
    }
  }

  #count() {
    const shown = this.#items.size, total = Math.max(this.#total, shown);
    say(this.#status, `${total} event${total === 1 ? "" : "s"}${total > shown ? `, ${shown} shown` : ""}`);
    const filtered = Object.values(chosen).some(Boolean);
    this.#notice.hidden = shown > 0 && !this.#trouble;
    const told = this.#trouble ? [sentence(this.#trouble), make("p", {}, UNSAVED)] : [];
    const why = shown ? [] : filtered ? nothingFound() : noEvents();
    this.#notice.replaceChildren(...why, ...told);
  }

  #age() {
    for (const { event, parts } of this.#items.values()) say(parts.age, ago((Date.now() - startMs(event)) / 1000));
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    const links = [...this.#list.querySelectorAll("a")], at = links.indexOf(document.activeElement);
    if (at < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = event.key === "Home" ? 0 : event.key === "End" ? links.length - 1 : step ? at + step : null;
    if (to === null || !links[to]) return;
    event.preventDefault();
    links[to].focus();
  }
}

const nothingFound = () => [make("p", {}, "No event fits these filters.")];

const noEvents = () => [
  make("h2", {}, "No events yet"),
  make("p", {}, "An event is what you call one: a class, for so long, in a zone. Write a rule into the file of your run:"),
  make("pre", {}, "zones:\n  gate: {polygon: [[0.1, 0.2], [0.6, 0.2], [0.6, 0.9]]}\nevents:\n  way: {classes: [moving left], zone: gate, on: 0.5}\nevent_files: {folder: events}"),
  make("p", {}, "A zone can be drawn on the picture: open a camera, and choose “Draw a zone”."),
];
