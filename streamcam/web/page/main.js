// The page: it opens the connection, and shows the view that the address names.

import { Cameras } from "./cameras.js";
import { Connection } from "./connection.js";
import { make, say } from "./dom.js";
import { loadPalette } from "./heat.js";

const RETRY_MS = 2000;
const SAY_LOST_AFTER_MS = 300; // a connection that is back at once is not worth a word

/** By the first word of the address: what loads a view's module, with `open(root, context, rest) → {close()}`. */
const VIEWS = {
  "": () => import("./wall.js"),
  camera: (rest) => (rest[1] === "zone" ? import("./zone.js") : import("./camera.js")),
  events: () => import("./events.js"),
};

const connection = new Connection(), cameras = new Cameras(connection);
const server = {}; // what `hello` says: version, events, zones, edit
const root = document.getElementById("view"), banner = document.getElementById("connection");
let shown = null, asked = 0;

/** Show the view that the address names; `moved` is false for the first one. */
async function show(context, moved) {
  const number = ++asked;
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(unescaped);
  const known = Object.hasOwn(VIEWS, name) && (name !== "camera" || rest[0]) ? name : "";
  let view;
  try {
    view = await VIEWS[known](rest);
  } catch {
    view = { open: notLoaded };
  }
  if (number !== asked) return; // another one has been chosen meanwhile
  shown?.close();
  root.replaceChildren();
  for (const link of document.querySelectorAll("[data-view]")) {
    if (link.dataset.view === known) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = rest[0] ? `${rest[0]} – streamcam` : "streamcam";
  if (moved) {
    root.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  shown = view.open(root, context, rest);
}

function unescaped(word) {
  try {
    return decodeURIComponent(word);
  } catch {
    return word;
  }
}

function notLoaded(element) {
  const again = make("button", { onclick: () => location.reload() }, "Load the page again");
  element.append(make("div", { className: "notice" }, make("p", {}, "This view could not be loaded."), again));
  return { close() {} };
}

/** Say when there is no connection, and load the page anew after an update of the server. */
function watchConnection() {
  let timer = 0;
  connection.addEventListener("closed", () => {
    timer ||= setTimeout(() => say(banner, "No connection to the server. Trying again…"), SAY_LOST_AFTER_MS);
    logInIfRefused();
  });
  connection.addEventListener("open", () => {
    clearTimeout(timer);
    timer = 0;
    say(banner, "");
  });
  connection.addEventListener("hello", ({ detail }) => {
    if (server.version && server.version !== detail.version) location.reload();
    Object.assign(server, detail);
  });
}

/** The token may have been changed: then the page loaded anew asks for it. A WebSocket does not tell why it failed. */
async function logInIfRefused() {
  const answer = await fetch("/", { headers: { accept: "text/html" } }).catch(() => null);
  if (answer?.status === 401) location.reload();
}

async function palette() {
  for (;;) {
    try {
      return await loadPalette();
    } catch {
      say(banner, "No connection to the server. Trying again…");
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address names the view
  root.focus();
});
watchConnection();
connection.open();
const context = { connection, cameras, server, palette: await palette() };
addEventListener("hashchange", () => show(context, true));
show(context, false);
