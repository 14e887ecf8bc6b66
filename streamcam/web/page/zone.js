// Draw a zone on the live picture, and see what it says while drawing.

import { make, say } from "./dom.js";
import { ask } from "./event-words.js";
import { LivePicture } from "./picture.js";
import { ZoneEditor } from "./zone-editor.js";
import { problemOf } from "./zone-shape.js";
import { ZoneTable } from "./zone-table.js";

const CHECK_MS = 250;
const NAMES = "[A-Za-z0-9][A-Za-z0-9_\\-]{0,47}";
const HELP = "Click or tap to set corners, and drag them. With the keyboard: Tab to a corner, arrow keys move it (with Shift " +
  "farther), + adds one behind it, Delete removes it, Ctrl+Z undoes.";

/** Show the view of `#/camera/ID/zone`. */
export function open(root, context, [id]) {
  const view = new ZoneView(root, context, id);
  return { close: () => view.close() };
}

class ZoneView {
  #context;
  #id;
  #live = null;
  #editor = new ZoneEditor();
  #table = new ZoneTable();
  #canvas = make("canvas", { role: "img" });
  #problem = make("p", { className: "zone-problem", role: "status" });
  #choice = make("select");
  #name = make("input", { type: "text", maxLength: 48, pattern: NAMES, spellcheck: false, autocomplete: "off" });
  #everywhere = make("input", { type: "checkbox" });
  #yaml = make("textarea", { readOnly: true, rows: 4, "aria-label": "The zone as YAML" });
  #copy = make("button", {}, "Copy");
  #save = make("button", { className: "primary" }, "Save");
  #said = make("p", { role: "status" });
  #undoing = make("button", {}, "Undo");
  #hold = make("button", { "aria-pressed": "false" }, "Freeze");
  #zones = { zones: [], edit: false, file: null, version: null };
  #waiting = make("p", { className: "waiting" }, "Waiting for the first picture…");
  #timer = 0;
  #undo = new AbortController();

  constructor(root, context, id) {
    this.#context = context;
    this.#id = id;
    this.#canvas.setAttribute("aria-label", `The live picture of ${id}`);
    root.append(
      make("div", { className: "view-head" }, make("h1", { className: "cut" }, `A zone in the picture of ${id}`),
        make("a", { className: "button", href: `#/camera/${encodeURIComponent(id)}` }, "Back to the camera")),
      make("div", { className: "zone-view" },
        make("div", { className: "zone-drawing" }, make("div", { className: "over-picture zone-screen" }, this.#canvas, this.#waiting, this.#editor.element),
          this.#tools(), this.#problem, make("p", { className: "faint" }, HELP)),
        make("div", { className: "zone-side" }, this.#table.element, this.#form())),
    );
    this.#listen();
    this.#find();
    this.#load();
    this.#changed();
  }

  close() {
    this.#undo.abort();
    clearTimeout(this.#timer);
    this.#live?.close();
  }

  #tools() {
    const add = make("button", { onclick: () => this.#editor.add() }, "Add a corner");
    const remove = make("button", { onclick: () => this.#editor.remove() }, "Remove corner");
    const clear = make("button", { onclick: () => { this.#editor.points = []; } }, "Clear");
    this.#undoing.onclick = () => this.#editor.undo();
    this.#hold.onclick = () => {
      const frozen = this.#hold.getAttribute("aria-pressed") !== "true";
      this.#hold.setAttribute("aria-pressed", frozen);
      if (this.#live) this.#live.frozen = frozen;
    };
    return make("div", { className: "tools" }, add, remove, this.#undoing, clear, this.#hold);
  }

  #form() {
    this.#name.value = "zone-1";
    const field = (words, input) => make("label", {}, words, input);
    return make("section", { className: "zone-form", "aria-label": "The zone" },
      field("Zone", this.#choice), field("Name", this.#name),
      make("label", { className: "check" }, this.#everywhere, "In the pictures of all cameras"),
      this.#yaml, make("div", { className: "tools" }, this.#copy, this.#save), this.#said);
  }

  #listen() {
    const { signal } = this.#undo, { cameras } = this.#context;
    this.#editor.onchange = () => this.#changed();
    this.#name.addEventListener("input", () => this.#changed());
    this.#everywhere.addEventListener("change", () => this.#changed());
    this.#choice.addEventListener("change", () => this.#choose());
    this.#copy.addEventListener("click", () => this.#copied());
    this.#save.addEventListener("click", () => this.#saved());
    cameras.addEventListener("list", () => this.#find(), { signal });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest("input[type=text], textarea");
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z" && !typing) {
        event.preventDefault();
        this.#editor.undo();
      } else if (event.key === "Escape" && !typing) location.hash = `#/camera/${encodeURIComponent(this.#id)}`;
    }, { signal });
  }

  /** Open the live picture, once the camera is known. */
  #find() {
    const camera = this.#context.cameras.byId.get(this.#id);
    if (!camera) return say(this.#waiting, `There is no camera ${this.#id} now.`);
    if (this.#live) return;
    say(this.#waiting, "Waiting for the first picture…");
    this.#live = new LivePicture(this.#canvas, camera, this.#context);
    this.#live.onshown = () => {
      this.#waiting.hidden = true;
      this.#scores();
    };
    this.#offer();
  }

  async #load() {
    try {
      this.#zones = await ask("/api/zones", this.#undo);
    } catch (error) {
      if (error.name === "AbortError") return;
      say(this.#said, error.message);
    }
    this.#offer();
    this.#changed();
  }

  get #source() {
    return this.#context.cameras.byId.get(this.#id)?.source ?? this.#id;
  }

  /** The zones of this camera's picture, to be changed. */
  #offer(selected = this.#choice.value) {
    const here = this.#zones.zones.filter(({ source }) => source === null || source === this.#source);
    const option = (value, text) => make("option", { value }, text);
    this.#choice.replaceChildren(option("", "A new one"), ...here.map(({ name }) => option(name, `Change ${name}`)));
    this.#choice.value = here.some(({ name }) => name === selected) ? selected : "";
    this.#editor.others = here.filter(({ name }) => name !== this.#choice.value).map(({ polygon }) => polygon);
    if (!this.#choice.value && here.some(({ name }) => name === this.#name.value)) this.#name.value = this.#freeName();
    this.#save.hidden = !this.#zones.edit;
  }

  #freeName() {
    let number = 1;
    while (this.#zones.zones.some(({ name }) => name === `zone-${number}`)) number++;
    return `zone-${number}`;
  }

  #choose() {
    const zone = this.#zones.zones.find(({ name }) => name === this.#choice.value);
    this.#name.value = zone?.name ?? this.#freeName();
    this.#everywhere.checked = zone ? zone.source === null : false;
    this.#offer();
    this.#editor.points = zone?.polygon ?? [];
    say(this.#said, zone?.rules.length ? `Rules about it: ${zone.rules.join(", ")}. They follow a new name.` : "");
  }

  get #zone() {
    return { name: this.#name.value.trim(), polygon: this.#editor.points, source: this.#everywhere.checked ? null : this.#source };
  }

  #changed() {
    const problem = problemOf(this.#editor.points);
    say(this.#problem, problem?.words ?? "");
    this.#problem.classList.toggle("bad", Boolean(problem?.edges.length));
    this.#undoing.disabled = !this.#editor.canUndo;
    this.#copy.disabled = this.#save.disabled = true;
    this.#yaml.value = "";
    this.#scores();
    clearTimeout(this.#timer);
    if (!problem) this.#timer = setTimeout(() => this.#check(), CHECK_MS);
  }

  #scores() {
    const shown = this.#live?.shown;
    this.#table.show(shown?.heat ?? null, shown?.ptsS ?? 0, this.#editor.points);
  }

  #post(address, content) {
    const headers = { "Content-Type": "application/json" };
    return ask(address, { method: "POST", headers, body: JSON.stringify(content), signal: this.#undo.signal });
  }

  /** Let the server say what `streamcam run` would say of it. */
  async #check() {
    const asked = this.#zone;
    try {
      const { ok, problem, yaml } = await this.#post("/api/zones/check", asked);
      if (JSON.stringify(asked) !== JSON.stringify(this.#zone)) return; // it has been changed meanwhile
      this.#yaml.value = yaml;
      this.#copy.disabled = this.#save.disabled = !ok;
      say(this.#problem, problem ?? "");
      this.#problem.classList.toggle("bad", !ok);
    } catch (error) {
      if (error.name !== "AbortError") say(this.#problem, error.message);
    }
  }

  async #copied() {
    try {
      await navigator.clipboard.writeText(this.#yaml.value);
      say(this.#said, "Copied.");
    } catch { // without TLS, browsers let nobody write to the clipboard
      this.#yaml.focus();
      this.#yaml.select();
      say(this.#said, document.execCommand("copy") ? "Copied." : "Copy the marked text with Ctrl+C.");
    }
  }

  async #saved() {
    const replaces = this.#choice.value || null, zone = this.#zone;
    this.#save.disabled = true;
    try {
      this.#zones = await this.#post("/api/zones", { ...zone, replaces, version: this.#zones.version });
      say(this.#said, `Saved to ${this.#zones.file}. streamcam run reads it when it starts again.`);
      this.#offer(zone.name);
    } catch (error) {
      if (error.name === "AbortError") return;
      say(this.#said, `${error.message[0].toUpperCase()}${error.message.slice(1)}.`);
      if (error.status === 409) this.#refresh();
    }
    this.#save.disabled = false;
  }

  /** After a conflict: look at what the file has now, and leave what is drawn. */
  async #refresh() {
    try {
      this.#zones = await ask("/api/zones", this.#undo);
      this.#offer();
    } catch {
      // The next save says it.
    }
  }
}
