// The heat cube as a volume that one can turn: the picture on its front face, and the time before it behind.

import { Camera, project } from "./cube-camera.js";
import { CubeControls, make, turnByHand } from "./cube-controls.js";
import { CubeFlat } from "./cube-flat.js";
import { CubeGL, QUALITIES } from "./cube-gl.js";
import { describe, evenSlices, momentsOf, shareOf } from "./cube-heat.js";
import { Labels } from "./cube-labels.js";
import { Pace } from "./cube-pace.js";

const DEPTH = 1.15, ALONE_DEPTH = 0.06; // of the cube by the picture's height; and where there is one slice only
const PICTURE_PX = 640; // at most so wide is the picture on the front face
const SWAY = 0.4, SWAY_MS = 16_000; // radians either way, and the time to and fro
const SWAY_FRAME_MS = 30, FRAME_MS = 17; // between pictures while it turns by itself, and by hand
const REST_MS = 300; // once the heat has not changed for so long, it is drawn as finely as can be
const GIVE_UP_MS = 4000; // a graphics context that has not come back by then stays away

/** A view of a heat cube, with its controls, inside an element. */
export class CubeView {
  #container;
  #palette;
  #end = new AbortController();
  #camera = new Camera();
  #stage;
  #canvas;
  #note;
  #controls;
  #labels;
  #gl = null;
  #flat = null;
  #sizes;
  #seen;
  #isSeen = true;
  #calm = matchMedia("(prefers-reduced-motion: reduce)");
  #turning = !this.#calm.matches;
  #phase = 0;
  #shown = null; // {heat, k, scale, opacity, ptsS}
  #uploaded = {}; // {heat, k, picture}: what the textures hold
  #picture = { canvas: document.createElement("canvas"), bitmap: null, hides: 0.35 };
  #slice = null;
  #moments = [];
  #ink = [0.5, 0.5, 0.5];
  #scheduled = 0;
  #lastMs = 0;
  #stale = true;
  #rest = 0;
  #moving = false;
  #fine = false;
  #quality = 0; // of the volume that is drawn
  #pace = new Pace(QUALITIES.length);
  /** How often it has been drawn. */
  drawn = 0;

  /**
   * @param {HTMLElement} container
   * @param {{colours: number[][], hidden: number[], fullScore: number}} palette of heat.js
   */
  constructor(container, palette) {
    [this.#container, this.#palette] = [container, palette];
    container.classList.add("cube");
    this.#controls = new CubeControls({
      view: (name) => this.#touch(() => this.#camera.go(name)),
      turning: (value) => this.#turn(value),
      slice: (value) => this.#touch(() => { this.#slice = value; }),
      picture: (value) => this.#invalidate(() => { this.#picture.hides = value; }, false),
    }, { turning: this.#turning, picture: this.#picture.hides });
    this.#canvas = make("canvas", "", { tabIndex: 0, role: "application", ariaRoleDescription: "view that can be turned" });
    this.#canvas.setAttribute("aria-describedby", this.#controls.help.id);
    const labels = make("div", "", { ariaHidden: "true" });
    this.#labels = new Labels(labels);
    this.#note = make("p", "cube-note", { hidden: true });
    this.#note.setAttribute("role", "status");
    this.#stage = make("div", "cube-stage", {}, this.#canvas, labels, this.#note);
    container.append(this.#stage, this.#controls.element, this.#controls.help);
    this.#canvas.ariaLabel = "Heat cube: no heat yet.";
    this.#listen();
    this.#start();
  }

  /**
   * Show the heat of class k.
   * @param {Heat} heat
   * @param {number} k the class, as its place among `heat.classes`
   * @param {{scale: number, opacity: number, bitmap: ImageBitmap | null, ptsS?: number}} options the centred heat, in
   *   logit units, of full strength; how much full strength hides, 0–1; the camera's picture, which may be closed
   *   afterwards; and its moment in seconds, by default the newest slice's
   */
  show(heat, k, { scale, opacity, bitmap, ptsS = heat.info.pts_s.at(-1) }) {
    const before = this.#shown, same = before && before.heat === heat && before.k === k;
    this.#shown = { heat, k, scale, opacity, ptsS };
    if (bitmap && bitmap !== this.#picture.bitmap) this.#takePicture(bitmap);
    this.#picture.bitmap = bitmap;
    this.#moments = momentsOf(heat, ptsS);
    this.#slice = this.#controls.setSlices(this.#moments);
    this.#camera.size = [this.#aspect, 1, heat.slices > 1 ? DEPTH : ALONE_DEPTH];
    if (!same) this.#canvas.ariaLabel = describe(heat, k, this.#moments);
    this.#invalidate(() => {}, !same || before.scale !== scale || before.opacity !== opacity);
  }

  /** Where a point lies in the view: x and y as fractions of the picture, and time from 0, the oldest, to 1. */
  place(x, y, time) {
    const size = this.#camera.size, point = [(x - 0.5) * size[0], 0.5 - y, (time - 0.5) * size[2]];
    return project(this.#camera.view().matrix, point, this.#camera.width, this.#camera.height);
  }

  /** How coarsely the volume is drawn: 0 is the finest. */
  get coarseness() {
    return this.#quality;
  }

  /** Whether nothing is to be drawn just now. */
  get isStill() {
    return this.#scheduled === 0;
  }

  /** Whether it turns by itself. */
  get turning() {
    return this.#turning;
  }

  close() {
    this.#end.abort();
    this.#sizes.disconnect();
    this.#seen.disconnect();
    cancelAnimationFrame(this.#scheduled);
    clearTimeout(this.#rest);
    this.#gl?.close();
    this.#gl = null;
    this.#shown = null;
    this.#container.classList.remove("cube");
    this.#container.replaceChildren();
  }

  get #aspect() {
    return this.#picture.canvas.width / this.#picture.canvas.height;
  }

  #start() {
    try {
      this.#gl = new CubeGL(this.#canvas, this.#palette);
    } catch (error) {
      console.info("heat cube:", error.message);
      this.#flatten("This browser has no WebGL2, which the turning view needs. Here are the slices, the oldest first.");
    }
    this.#uploaded = {};
  }

  #flatten(why) {
    this.#flat = new CubeFlat(this.#palette);
    this.#note.textContent = why;
    this.#note.hidden = false;
    this.#container.replaceChildren(this.#note, this.#flat.element);
  }

  #listen() {
    const { signal } = this.#end;
    turnByHand(this.#canvas, this.#camera, () => this.#touch(() => {}), signal);
    let wait = 0;
    this.#canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault(); // then it can come back
      this.#gl = null;
      this.#note.textContent = "The graphics card was interrupted. The view comes back by itself.";
      this.#note.hidden = false;
      wait = setTimeout(() => this.#flatten("The graphics card is gone. Here are the slices, the oldest first."), GIVE_UP_MS);
      signal.addEventListener("abort", () => clearTimeout(wait));
    }, { signal });
    this.#canvas.addEventListener("webglcontextrestored", () => {
      clearTimeout(wait);
      if (this.#flat) return;
      this.#note.hidden = true;
      this.#start();
      this.#invalidate();
    }, { signal });
    this.#calm.addEventListener("change", () => this.#turn(this.#turning && !this.#calm.matches), { signal });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#invalidate(() => this.#readInk()), { signal });
    this.#sizes = new ResizeObserver(() => this.#invalidate(() => this.#resize()));
    this.#sizes.observe(this.#stage);
    this.#seen = new IntersectionObserver(([{ isIntersecting }]) => this.#invalidate(() => { this.#isSeen = isIntersecting; }));
    this.#seen.observe(this.#container);
  }

  #resize() {
    const { clientWidth: width, clientHeight: height } = this.#stage, ratio = Math.min(devicePixelRatio, 2);
    if (!width || !height) return;
    Object.assign(this.#camera, { width, height });
    [this.#canvas.width, this.#canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    this.#readInk();
  }

  #readInk() {
    const numbers = getComputedStyle(this.#stage).color.match(/[\d.]+/g) ?? [128, 128, 128];
    this.#ink = numbers.slice(0, 3).map((value) => value / 255);
  }

  #turn(value) {
    this.#turning = this.#controls.turning = value;
    this.#invalidate();
  }

  /** Do what somebody asked for by hand; it turns by itself no more. */
  #touch(act) {
    if (this.#turning) this.#turn(false);
    this.#invalidate(act);
  }

  /** Change something, and draw soon; `stale` where the volume looks different for it. */
  #invalidate(change = () => {}, stale = true) {
    change();
    this.#stale ||= stale;
    if (!this.#scheduled && this.#isSeen && this.#shown && !this.#end.signal.aborted) {
      this.#scheduled = requestAnimationFrame((now) => this.#frame(now));
    }
  }

  #takePicture(bitmap) {
    const { canvas } = this.#picture, width = Math.min(bitmap.width, PICTURE_PX);
    const height = Math.round(width * bitmap.height / bitmap.width);
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0, width, height);
    this.#uploaded.picture = false;
  }

  #frame(nowMs) {
    this.#scheduled = 0;
    const elapsedMs = nowMs - this.#lastMs, swaying = this.#turning && !this.#moving && !this.#stale;
    if (swaying && elapsedMs < SWAY_FRAME_MS) return this.#invalidate(() => {}, false);
    this.#lastMs = nowMs;
    if (this.#moving || this.#turning) this.#pace.take(elapsedMs, swaying ? SWAY_FRAME_MS : FRAME_MS);
    const stepMs = Math.min(elapsedMs, 100);
    if (this.#turning) {
      const before = Math.sin(this.#phase);
      this.#phase += 2 * Math.PI * stepMs / SWAY_MS;
      this.#camera.goal.yaw += SWAY * (Math.sin(this.#phase) - before);
    }
    this.#moving = this.#camera.advance(stepMs, this.#calm.matches) && !this.#turning;
    this.#draw(this.#stale || this.#moving || this.#turning);
    this.#stale = this.#fine = false;
    if (this.#moving || this.#turning) this.#invalidate(() => {}, false);
  }

  #draw(stale) {
    const { heat, k, scale, opacity } = this.#shown, { canvas, bitmap, hides } = this.#picture;
    this.drawn++;
    const source = bitmap ? canvas : null;
    if (this.#flat) {
      const picture = { source, width: canvas.width, height: canvas.height };
      return this.#flat.show(heat, k, { scale, opacity, picture, moments: this.#moments });
    }
    if (!this.#gl) return;
    this.#upload(heat, k);
    if (stale) this.#quality = this.#fine ? 0 : this.#pace.level;
    if (stale && this.#quality > 0) this.#restSoon();
    const { size, width, height } = this.#camera, view = this.#camera.view(), slices = [...this.#moments.keys()];
    this.#gl.draw({
      view, size, scale, stale, seen: heat.info.transform, picture: source ? hides : 0, ink: this.#ink,
      strength: opacity * Math.min(1, heat.classes[k].score / this.#palette.fullScore),
      slice: this.#slice === null ? null : shareOf(heat, this.#slice), ticks: slices.map((l) => shareOf(heat, l)),
      ratio: this.#canvas.width / width, quality: QUALITIES[this.#quality],
    });
    this.#labels.place(view, size, { width, height }, this.#times(heat));
  }

  #upload(heat, k) {
    const held = this.#uploaded, { canvas, bitmap } = this.#picture;
    if (held.heat !== heat || held.k !== k) {
      const { data, slices } = evenSlices(heat, k);
      this.#gl.setHeat(data, slices, heat.height, heat.width);
      Object.assign(held, { heat, k });
    }
    if (bitmap && !held.picture) this.#gl.setPicture(canvas);
    held.picture = true;
  }

  /** What to write on the time axis, the weightiest first. */
  #times(heat) {
    const name = (slice, strong) => ({ share: shareOf(heat, slice), text: this.#moments[slice], strong });
    if (heat.slices < 2) return [];
    const ends = [name(heat.slices - 1), name(0), { share: 0.5, text: "time" }];
    return this.#slice === null ? ends : [name(this.#slice, true), ...ends];
  }

  #restSoon() {
    clearTimeout(this.#rest);
    this.#rest = setTimeout(() => this.#invalidate(() => { this.#fine = true; }), REST_MS);
  }
}
