// The buttons and sliders below the heat cube, and turning it by hand.

const PER_PX = 0.008, PER_KEY = Math.PI / 36; // radians
const ZOOM_KEY = 1.15;
const HELP = "Drag or use the arrow keys to turn it, pinch or use + and − for the size, Home for the first view.";
let count = 0;

/** Make an element. */
export function make(name, className, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Controls; they tell `on`: `view(name)`, `turning(boolean)`, `slice(number | null)`, `picture(0–1)`. */
export class CubeControls {
  #turning;
  #all;
  #slice;
  #moment;

  constructor(on, { turning, picture }) {
    const button = (text, click, properties) => make("button", "", { type: "button", textContent: text, onclick: click, ...properties });
    const view = (text, name, title) => button(text, () => on.view(name), { title });
    this.help = make("p", "cube-help", { textContent: HELP, id: `cube-help-${++count}` });
    this.#turning = button("Turn", () => on.turning(this.#turning.ariaPressed !== "true"), { title: "Turn slowly by itself" });
    this.turning = turning;
    this.#all = button("All", () => this.#choose(on, null), { title: "All slices, as a volume", ariaPressed: "true" });
    this.#slice = make("input", "", { type: "range", min: 0, max: 0, step: 1, value: 0, ariaLabel: "Slice of time" });
    this.#slice.oninput = () => this.#choose(on, this.#slice.valueAsNumber);
    this.#moment = make("output", "", { textContent: "all" });
    const amount = make("input", "", { type: "range", min: 0, max: 1, step: 0.05, value: picture });
    amount.oninput = () => on.picture(amount.valueAsNumber);
    const views = make("div", "cube-group", { role: "group", ariaLabel: "View of the cube" });
    views.append(
      view("Front", "front", "As the camera sees it: all of the time lies behind the picture"),
      view("Side", "side", "From the side: time runs to the right"),
      view("Top", "top", "From above: time runs downwards"),
      view("Reset", "home", "The first view"),
      this.#turning,
    );
    this.element = make("div", "cube-controls", {}, views,
      make("div", "cube-group is-wide", { role: "group", ariaLabel: "Slice" }, make("span", "", { textContent: "Slice" }),
        this.#all, this.#slice, this.#moment),
      make("label", "cube-group", {}, make("span", "", { textContent: "Picture" }), amount));
  }

  set turning(value) {
    this.#turning.ariaPressed = String(value);
  }

  /** Say what slices there are, as words for each; returns the chosen one, or null for all. */
  setSlices(moments) {
    this.#slice.max = moments.length - 1;
    this.#slice.disabled = this.#all.disabled = moments.length < 2;
    this.moments = moments;
    if (this.#all.ariaPressed === "true") this.#slice.value = moments.length - 1;
    this.#say();
    return this.#all.ariaPressed === "true" ? null : this.#slice.valueAsNumber;
  }

  #choose(on, slice) {
    this.#all.ariaPressed = String(slice === null);
    this.#say();
    on.slice(slice);
  }

  #say() {
    const all = this.#all.ariaPressed === "true";
    const text = all ? "all" : this.moments?.[this.#slice.valueAsNumber] ?? "";
    if (this.#moment.textContent !== text) this.#moment.textContent = text;
    this.#slice.setAttribute("aria-valuetext", text);
  }
}

/**
 * Let people turn a camera by hand.
 * @param {() => void} onturn told before anything moves
 * @param {AbortSignal} signal ends it
 */
export function turnByHand(canvas, camera, onturn, signal) {
  const fingers = new Map();
  const listen = (name, listener, options) => canvas.addEventListener(name, listener, { signal, ...options });
  const spread = () => {
    const [a, b] = fingers.values();
    return Math.hypot(a.x - b.x, a.y - b.y);
  };
  listen("pointerdown", (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    onturn();
  });
  listen("pointermove", (event) => {
    const finger = fingers.get(event.pointerId);
    if (!finger) return;
    const [dx, dy] = [event.clientX - finger.x, event.clientY - finger.y], before = fingers.size > 1 ? spread() : 0;
    Object.assign(finger, { x: event.clientX, y: event.clientY });
    if (fingers.size > 1) camera.zoom(spread() / Math.max(before, 1));
    else camera.turn(dx * PER_PX, dy * PER_PX);
    onturn();
  });
  for (const name of ["pointerup", "pointercancel"]) listen(name, (event) => fingers.delete(event.pointerId));
  listen("wheel", (event) => {
    // The page scrolls by the wheel too: the cube takes it once it was clicked, and a trackpad's pinch always.
    if (!event.ctrlKey && document.activeElement !== canvas) return;
    event.preventDefault();
    camera.zoom(Math.exp(-Math.max(-60, Math.min(event.deltaY, 60)) * (event.ctrlKey ? 0.01 : 0.003)));
    onturn();
  }, { passive: false });
  listen("dblclick", () => {
    camera.go("home");
    onturn();
  });
  listen("keydown", (event) => {
    const angle = event.shiftKey ? 3 * PER_KEY : PER_KEY;
    const act = {
      ArrowLeft: () => camera.turn(-angle, 0), ArrowRight: () => camera.turn(angle, 0),
      ArrowUp: () => camera.turn(0, -angle), ArrowDown: () => camera.turn(0, angle),
      "+": () => camera.zoom(ZOOM_KEY), "=": () => camera.zoom(ZOOM_KEY), "-": () => camera.zoom(1 / ZOOM_KEY),
      Home: () => camera.go("home"),
    }[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation(); // the page has a use of its own for these keys
    act();
    onturn();
  });
}
