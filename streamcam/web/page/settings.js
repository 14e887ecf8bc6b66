// What the viewer has chosen. The browser keeps it, where it is allowed to.

const KEY = "streamcam";

/** What holds until somebody chooses otherwise. */
const DEFAULTS = {
  pictures: "heat", // "heat": a picture waits for the heat of its moment; "live": it is shown as soon as it comes
  sort: "name", // of the wall: "name", "activity" or "event"
};

/** Settings by name. Event `change`, with `detail = {name, value}`. */
class Settings extends EventTarget {
  #values;

  constructor() {
    super();
    this.#values = { ...DEFAULTS, ...stored() };
  }

  get(name) {
    return this.#values[name];
  }

  set(name, value) {
    if (this.#values[name] === value) return;
    this.#values[name] = value;
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#values));
    } catch {
      // Private windows may keep nothing: it then holds until the page is closed.
    }
    this.dispatchEvent(new CustomEvent("change", { detail: { name, value } }));
  }
}

function stored() {
  try {
    return JSON.parse(localStorage.getItem(KEY)) ?? {};
  } catch {
    return {};
  }
}

export const settings = new Settings();
