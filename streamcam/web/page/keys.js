// The keys of a view, and the window that lists them.

import { make } from "./dom.js";
import { settings } from "./settings.js";

/** What takes letters, or does something of its own with the space bar. */
const OWN_SPACE = "button, a, summary, select, textarea, input:not([type=range]), [contenteditable]";
const OWN_LETTERS = "textarea, select, input:not([type=range], [type=radio], [type=checkbox]), [contenteditable]";

/**
 * Listens for keys until it is closed. `?` lists them, and they can be turned off there: programs that are spoken to,
 * or clumsy hands, press letters by mistake.
 */
export class Keys {
  #keys;
  #dialog;
  #press = (event) => this.#take(event);

  /**
   * @param {HTMLElement} root
   * @param {{key: string, shown?: string, does: string, act: () => void}[]} keys `key` as in KeyboardEvent, letters
   *   in lower case; `shown` is its name where people read it
   */
  constructor(root, keys) {
    this.#keys = new Map(keys.map((key) => [key.key, key]));
    const list = make("dl", {});
    for (const { key, shown, does } of [...keys, { key: "?", does: "show this list" }]) {
      list.append(make("dt", {}, make("kbd", {}, shown ?? key.toUpperCase())), make("dd", {}, does));
    }
    const on = make("input", { type: "checkbox", checked: settings.get("keys") !== false });
    on.addEventListener("change", () => settings.set("keys", on.checked));
    const close = make("button", { type: "button" }, "Close");
    close.addEventListener("click", () => this.#dialog.close());
    this.#dialog = make("dialog", { className: "keys", "aria-label": "Keys" },
      make("h2", {}, "Keys"), list, make("label", {}, on, " Use these keys"), close);
    root.append(this.#dialog);
    document.addEventListener("keydown", this.#press);
  }

  show() {
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  close() {
    document.removeEventListener("keydown", this.#press);
    this.#dialog.remove();
  }

  #take(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.target.closest?.(event.key === " " ? OWN_SPACE : OWN_LETTERS)) return;
    if (event.key === "?") return this.show();
    const key = settings.get("keys") === false ? null : this.#keys.get(event.key.toLowerCase());
    if (!key) return;
    event.preventDefault();
    key.act();
  }
}
