// Elements and short texts that all views need.

/**
 * Make an element. Properties that an element has are set as such; others, such as `aria-label`, are attributes.
 * @param {string} tag
 * @param {object} properties
 * @param {...(Node|string)} children strings become text
 */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** Set an element's text if it is another: what is not changed is neither laid out nor read out anew. */
export function say(element, text, title = null) {
  if (element.textContent !== text) element.textContent = text;
  if (title !== null && element.title !== title) element.title = title;
}

/** A probability, 0–1: "87 %". */
export const percent = (score) => `${(100 * score).toFixed(0)}\u00a0%`;

/** A number of seconds: "0.35 s", "12 s". */
export const seconds = (s) => `${s < 9.995 ? Math.max(0, s).toFixed(2) : s.toFixed(0)}\u00a0s`;

/** How long ago: "12 s ago", "3 min ago". */
export function ago(s) {
  const [size, unit] = s < 60 ? [1, "s"] : s < 3600 ? [60, "min"] : s < 86400 ? [3600, "h"] : [86400, "d"];
  return `${Math.max(0, Math.floor(s / size))}\u00a0${unit} ago`;
}
