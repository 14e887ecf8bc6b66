// The page: it opens the connection, and shows the view that the address names.

import { Cameras } from "./cameras.js";
import { Connection } from "./connection.js";
import { loadPalette } from "./heat.js";

const connection = new Connection(), cameras = new Cameras(connection);
const server = {}; // what `hello` says: version, events, zones, edit
connection.addEventListener("hello", ({ detail }) => Object.assign(server, detail));

/** By the first word of the address: a function that makes a view, `(root, context, rest) → {close()}`. */
const VIEWS = {
  "": () => import("./wall.js"),
  camera: () => import("./camera.js"),
  events: () => import("./events.js"),
};

const root = document.getElementById("view");
let shown = null;

async function show(context) {
  const [name, ...rest] = location.hash.replace(/^#\/?/, "").split("/").map(decodeURIComponent);
  const view = await (VIEWS[name] ?? VIEWS[""])();
  shown?.close();
  root.replaceChildren();
  shown = view.open(root, context, rest);
}

const context = { connection, cameras, server, palette: await loadPalette() };
addEventListener("hashchange", () => show(context));
connection.open();
show(context);
