// Elements of the page, made without HTML text: nothing that comes from a camera can become markup.

/**
 * Make an element.
 * @param {string} tag
 * @param {object} properties set on the element; names with a dash, and `role`, become attributes
 * @param {...(Node|string|null)} children
 */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "role" || name.includes("-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

/** Write a text, if it is another than before: what has not changed is neither drawn nor read out again. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
