// A polygon over a picture, to be drawn with mouse, finger or keyboard.

import { make } from "./dom.js";
import { MAX_POINTS, nearestEdge, problemOf, rounded } from "./zone-shape.js";

const NEAR_PX = 14; // so near to an edge, a new corner goes into it
const STEP = 0.005, LARGE_STEP = 0.05; // of the picture, for each press of an arrow key
const MOST_UNDO = 200;
const SVG = "http://www.w3.org/2000/svg";

/**
 * `element` lies over a picture, of the same size. `points` are its corners, as fractions of the picture. `onchange` is
 * called after each change. A new corner goes into the edge that is near, or else behind the last one.
 */
export class ZoneEditor {
  onchange = () => {};
  element = make("div", { className: "zone-editor" });

  #svg = document.createElementNS(SVG, "svg");
  #shape = path("shape");
  #crossed = path("crossed");
  #others = path("others");
  #handles = [];
  #points = [];
  #undo = [];
  #last = -1; // the corner that was touched last
  #dragged = -1;

  constructor() {
    this.#svg.setAttribute("viewBox", "0 0 1 1");
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.#svg.setAttribute("aria-hidden", "true");
    this.#svg.append(this.#others, this.#shape, this.#crossed);
    this.element.append(this.#svg);
    this.element.addEventListener("pointerdown", (event) => this.#press(event));
    this.element.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) this.element.addEventListener(end, () => { this.#dragged = -1; });
    this.element.addEventListener("keydown", (event) => this.#key(event));
  }

  get points() {
    return this.#points;
  }

  /** Take other corners; that can be undone, too. */
  set points(points) {
    this.#remember();
    this.#last = -1;
    this.#become(points.map(rounded));
  }

  /** Polygons that are shown thin, and cannot be changed. */
  set others(polygons) {
    this.#others.setAttribute("d", polygons.map(outline).join(" "));
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  undo() {
    if (!this.#undo.length) return;
    this.#become(this.#undo.pop());
    this.#handles[Math.min(this.#last, this.#handles.length - 1)]?.focus();
  }

  /** Add a corner without pointing: a rectangle where there are none yet, else one in the middle of the next edge. */
  add() {
    const points = this.#points, n = points.length;
    if (n < 2) {
      this.points = [[0.3, 0.3], [0.7, 0.3], [0.7, 0.7], [0.3, 0.7]];
      return this.#handles[0].focus();
    }
    const at = this.#last >= 0 && this.#last < n ? this.#last : n - 1, [a, b] = [points[at], points[(at + 1) % n]];
    this.#insert(at + 1, [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2]);
    this.#handles[at + 1]?.focus();
  }

  /** Remove the corner that was touched last. */
  remove() {
    if (!this.#points.length) return;
    const at = this.#last >= 0 && this.#last < this.#points.length ? this.#last : this.#points.length - 1;
    this.#remember();
    this.#last = Math.max(0, at - 1);
    this.#become(this.#points.toSpliced(at, 1));
    this.#handles[Math.min(at, this.#handles.length - 1)]?.focus();
  }

  #remember() {
    this.#undo.push(this.#points);
    if (this.#undo.length > MOST_UNDO) this.#undo.shift();
  }

  #insert(at, point) {
    if (this.#points.length >= MAX_POINTS) return;
    this.#remember();
    this.#last = at;
    this.#become(this.#points.toSpliced(at, 0, rounded(point)));
  }

  #press(event) {
    if (event.button !== 0) return;
    event.preventDefault(); // no text is marked, and no page is scrolled
    this.element.setPointerCapture(event.pointerId);
    const handle = this.#handles.indexOf(event.target.closest("button"));
    if (handle >= 0) {
      this.#remember();
      this.#last = this.#dragged = handle;
    } else {
      const at = this.#placeFor(event);
      this.#insert(at, this.#at(event));
      this.#dragged = this.#last;
    }
    this.#handles[this.#last]?.focus({ preventScroll: true });
  }

  #placeFor(event) {
    const { width, height } = this.element.getBoundingClientRect(), pixels = ([x, y]) => [x * width, y * height];
    const n = this.#points.length, near = nearestEdge(this.#points.map(pixels), pixels(this.#at(event)));
    return n >= 3 && near.distance < NEAR_PX ? near.edge + 1 : n;
  }

  #at(event) {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    return [(event.clientX - left) / width, (event.clientY - top) / height];
  }

  #drag(event) {
    if (this.#dragged >= 0) this.#become(this.#points.with(this.#dragged, rounded(this.#at(event))));
  }

  #key(event) {
    const handle = this.#handles.indexOf(event.target);
    if (handle < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    this.#last = handle;
    const step = event.shiftKey ? LARGE_STEP : STEP, [x, y] = this.#points[handle];
    const to = { ArrowLeft: [x - step, y], ArrowRight: [x + step, y], ArrowUp: [x, y - step], ArrowDown: [x, y + step] }[event.key];
    if (to) {
      event.preventDefault();
      this.#remember();
      this.#become(this.#points.with(handle, rounded(to)));
    } else if (event.key === "Delete" || event.key === "Backspace") {
      event.preventDefault();
      this.remove();
    } else if (event.key === "Insert" || event.key === "+") {
      event.preventDefault();
      this.add();
    }
  }

  #become(points) {
    this.#points = points;
    while (this.#handles.length > points.length) this.#handles.pop().remove();
    while (this.#handles.length < points.length) {
      const handle = make("button", { type: "button", className: "corner" });
      handle.addEventListener("focus", () => { this.#last = this.#handles.indexOf(handle); });
      this.#handles.push(handle);
      this.element.append(handle);
    }
    points.forEach(([x, y], i) => {
      const handle = this.#handles[i], words = `${(100 * x).toFixed(1)} % from the left, ${(100 * y).toFixed(1)} % from the top`;
      [handle.style.left, handle.style.top] = [`${100 * x}%`, `${100 * y}%`];
      handle.setAttribute("aria-label", `Corner ${i + 1} of ${points.length}: ${words}`);
    });
    const edges = problemOf(points)?.edges ?? [];
    this.#shape.setAttribute("d", outline(points));
    this.#crossed.setAttribute("d", edges.map((i) => `M${points[i]}L${points[(i + 1) % points.length]}`).join(""));
    this.onchange();
  }
}

const outline = (points) => (points.length ? `M${points.map((point) => point.join(" ")).join("L")}Z` : "");

function path(name) {
  const element = document.createElementNS(SVG, "path");
  element.setAttribute("class", name);
  return element;
}
