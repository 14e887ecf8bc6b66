// What the page knows of each camera. One place keeps it; views read it, and are told when it changes.

import { Heat } from "./heat.js";

export const SILENT_MS = 1700; // a status comes every second; whoever looks 10 times a second sees it within 2 s
export const CURVE_MS = 60_000;
const MOST_EVENTS = 200; // of each camera
const SETTLE_MS = 3000; // a server that has just started does not know all cameras yet

/** One camera. */
export class Camera {
  #connection;

  constructor({ id, source, endpoint }, connection) {
    Object.assign(this, { id, source, endpoint });
    this.#connection = connection;
    this.status = {}; // the `data` of its last status: docs/reference/message-format.md
    this.heardMs = performance.now();
    this.heat = null; // of the newest `result`: a Heat
    this.latencyMs = null; // from the camera to this page, by both clocks, of the newest picture
    this.curve = []; // of the last 60 s: {atMs (performance.now), ptsS, session, scores: Map label → score}
    this.events = new Map(); // by id: the newest record
    this.publisher = null;
  }

  /** What people read: `{state, why}`; the states are those of a status, and `silent`. */
  get state() {
    if (!this.#connection.isOpen) return { state: "silent", why: "no connection to the server" };
    if (performance.now() - this.heardMs > SILENT_MS) return { state: "silent", why: "its publisher says nothing" };
    return { state: this.status.state ?? "connecting", why: this.status.reason ?? "" };
  }
}

/**
 * All cameras. Events: `list` when cameras come or go; `status`, `result`, `frame` and `event` with
 * `detail = {camera, message}`, after the camera has been brought up to date. Whoever shows a `frame` calls the event's
 * `preventDefault`, and acknowledges the message (`connection.got`) once it is shown. All others are acknowledged here.
 */
export class Cameras extends EventTarget {
  #openedMs = 0;
  #settling = 0;

  constructor(connection) {
    super();
    this.connection = connection;
    this.byId = new Map();
    this.endpoints = [];
    connection.addEventListener("open", () => this.#opened());
    connection.addEventListener("cameras", ({ detail }) => this.#list(detail));
    connection.addEventListener("message", ({ detail }) => this.#take(detail));
  }

  #opened() {
    this.#openedMs = performance.now();
    for (const camera of this.byId.values()) camera.heardMs = this.#openedMs; // it could not be heard meanwhile
  }

  #list(detail) {
    clearTimeout(this.#settling);
    const { cameras, endpoints } = detail, known = this.byId;
    const listed = new Map(cameras.map((c) => [c.id, known.get(c.id) ?? new Camera(c, this.connection)]));
    const leftMs = this.#openedMs + SETTLE_MS - performance.now();
    if (leftMs > 0 && [...known.keys()].some((id) => !listed.has(id))) {
      for (const [id, camera] of known) if (!listed.has(id)) listed.set(id, camera);
      this.#settling = setTimeout(() => this.#list(detail), leftMs);
    }
    this.endpoints = endpoints;
    this.byId = listed;
    this.connection.want("always", Object.fromEntries([...listed.keys()].map((id) => [id, ["status", "event"]])));
    this.dispatchEvent(new Event("list"));
  }

  #take(message) {
    const camera = this.byId.get(message.camera), { kind, publisher } = message.header;
    if (!camera) return this.connection.got(message);
    if (camera.publisher !== publisher) {
      // Restarted: it counts its sessions from 0 again, so old heat could look current.
      camera.publisher = publisher;
      camera.heat = null;
      endEvents(camera.events);
    }
    camera.heardMs = performance.now();
    if (kind === "status") {
      camera.status = message.header.data;
    } else if (kind === "result") {
      camera.heat = new Heat(message);
      this.#remember(camera);
    } else if (kind === "event") {
      const { events } = camera, { event } = message.header;
      events.set(event.id, event);
      if (events.size > MOST_EVENTS) events.delete(events.keys().next().value);
    }
    const detail = { camera, message }, cancelable = kind === "frame";
    // What nobody shows any longer is acknowledged, too: otherwise no more of it would ever come.
    if (this.dispatchEvent(new CustomEvent(kind, { detail, cancelable }))) this.connection.got(message);
  }

  #remember(camera) {
    const now = performance.now(), { frame, session, classes } = camera.heat;
    const scores = new Map(classes.map((c) => [c.label, c.score]));
    camera.curve.push({ atMs: now, ptsS: frame.pts_s, session, scores });
    while (camera.curve[0].atMs < now - CURVE_MS) camera.curve.shift();
  }
}

/** End the events that go on: their publisher has gone without a word. */
function endEvents(events) {
  for (const [id, event] of events) {
    if (event.state === "start" || event.state === "update") events.set(id, { ...event, state: "end", reason: "lost" });
  }
}
