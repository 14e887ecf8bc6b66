// One event: its clip with heat, what is known of it, and its files.

import { Clip } from "./clip.js";
import { ago, make, percent, say, seconds } from "./dom.js";
import { absolute, ask, fileOf, goesOn, startMs, viewOf } from "./event-words.js";
import { decode } from "./message.js";

const REASONS = {
  over: "its score fell", lost: "its camera was lost", ended: "its video ended", stopped: "the run was stopped",
  "no results": "nothing was computed for too long",
};

/** Show an event. `query` is what the list was filtered by: the events before and after it are of that list. */
export function open(root, context, id, query) {
  const view = new EventView(root, context, id, query);
  return { close: () => view.close() };
}

class EventView {
  #context;
  #id;
  #query;
  #root;
  #title = make("h1", { className: "cut" }, "Event");
  #steps = make("nav", { className: "event-steps", "aria-label": "Other events" });
  #player = make("div", { className: "clip" });
  #facts = make("dl", { className: "event-facts" });
  #files = make("p", { className: "event-files" });
  #status = make("p", { role: "status", className: "faint" });
  #clip = null;
  #record = null;
  #around = {};
  #undo = new AbortController();

  constructor(root, context, id, query) {
    this.#context = context;
    this.#id = id;
    this.#query = query;
    this.#root = root;
    const { signal } = this.#undo;
    root.append(
      make("div", { className: "view-head" }, this.#title, this.#steps), this.#status,
      make("div", { className: "one-event" }, this.#player, make("section", { "aria-label": "Facts" }, this.#facts, this.#files)),
    );
    document.addEventListener("keydown", (event) => this.#key(event), { signal });
    context.cameras.addEventListener("event", ({ detail }) => this.#told(detail.message.header.event), { signal });
    this.#load();
  }

  close() {
    this.#undo.abort();
    this.#clip?.close();
  }

  async #load() {
    try {
      const { older, newer, ...record } = await ask(`/api/events/${encodeURIComponent(this.#id)}?${this.#query}`, this.#undo);
      this.#around = { older, newer };
      this.#show(record);
      await this.#play(record);
    } catch (error) {
      if (this.#undo.signal.aborted) return;
      const live = this.#live();
      if (!live) return say(this.#status, `${error.message[0].toUpperCase()}${error.message.slice(1)}`);
      this.#show(live);
      say(this.#status, goesOn(live) ? "It goes on. Its clip comes once it is over." : "Its files are not here.");
    }
  }

  #live() {
    for (const { events } of this.#context.cameras.byId.values()) if (events.has(this.#id)) return events.get(this.#id);
    return null;
  }

  #told(event) {
    if (event.id !== this.#id || this.#clip) return;
    if (event.state === "saved") this.#load();
    else if (!this.#record || this.#record.state !== "saved") this.#show(event);
  }

  #show(record) {
    this.#record = record;
    say(this.#status, "");
    say(this.#title, record.rule, record.rule);
    const { older, newer } = this.#around;
    this.#steps.replaceChildren(step("Newer", newer, "["), step("Older", older, "]"));
    const facts = [
      ["Class", record.label], ["Camera", record.source], ["Zone", record.zone ?? "the whole picture"],
      ["Began", `${absolute(record)} (${ago((Date.now() - startMs(record)) / 1000)})`],
      ["Went on for", seconds(record.pts_s - record.start_pts_s)], ["Peak", percent(record.peak)],
      ...Object.entries(record.scores).filter(([label]) => label !== record.label)
        .map(([label, score]) => [`Peak: ${label}`, percent(score)]),
      ["Over because", goesOn(record) ? "it goes on" : REASONS[record.reason] ?? "not known"],
      ...(record.kept ? [["Kept", "yes: it is never removed to make room"]] : []),
    ];
    this.#facts.replaceChildren(...facts.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
    this.#files.replaceChildren(...record.files.map((name) =>
      make("a", { className: "button", href: `${fileOf(record, name)}?download`, download: "" }, `Download ${name}`)));
  }

  /** Show the clip with its heat, or what there is of them. */
  async #play(record) {
    const [heat, zones] = await Promise.all([this.#heat(record), ask("/api/zones", this.#undo).catch(() => null)]);
    if (this.#undo.signal.aborted) return;
    const zone = zones?.zones.find(({ name }) => name === record.zone), rule = zones?.rules.find(({ name }) => name === record.rule);
    this.#clip?.close();
    this.#clip = new Clip(this.#player, { record, message: heat, palette: this.#context.palette, polygon: zone?.polygon ?? null, rule });
  }

  async #heat(record) {
    if (!record.files.includes("heat.npz")) return null;
    try {
      const answer = await fetch(fileOf(record, "heat"), this.#undo);
      if (answer.ok) return decode(await answer.arrayBuffer());
      say(this.#status, (await answer.json()).error);
    } catch {
      say(this.#status, "Its heat could not be loaded.");
    }
    return null;
  }

  #key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
    const to = { "[": this.#around.newer && viewOf(this.#around.newer), "]": this.#around.older && viewOf(this.#around.older), Escape: "#/events" }[event.key];
    if (to) location.hash = to;
  }
}

function step(text, id, key) {
  return id ? make("a", { className: "button", href: viewOf(id), title: `${text} event (${key})` }, text)
    : make("span", { className: "button none", "aria-disabled": "true" }, text);
}
