// Draws the heat cube with WebGL2. What is drawn, and from where, comes with each call: nothing here keeps time.
//
// The volume is marched through ray by ray, in a layer of its own. Its heat is smooth, so that the layer may be smaller
// than the view and be enlarged, while lines and the picture keep every pixel.

import { COPY, LINE, PICTURE, SLICE, VOLUME } from "./cube-shaders.js";

const DENSITY = 14; // per length of the cube's depth, where the paint hides all: its front shows, and what is behind it
const EDGES = [0, 1, 2].flatMap((axis) => [0, 1, 2, 3].map((k) => [axis, k & 1 ? 1 : -1, k & 2 ? 1 : -1]));

/** How finely the volume is drawn: pixels of its layer by pixels of the view, and steps along the longest ray. */
export const QUALITIES = [{ share: 1, steps: 72 }, { share: 0.6, steps: 56 }, { share: 0.4, steps: 40 }, { share: 0.25, steps: 28 }];

/** A drawing of the heat cube on a canvas. */
export class CubeGL {
  #gl;
  #programs = {};
  #heat;
  #heatShape = "";
  #picture;
  #pictureShape = "";
  #layer;
  #layerTexture = null;
  #layerSize = [0, 0];

  /** @throws {Error} where there is no WebGL2 */
  constructor(canvas, palette) {
    const gl = canvas.getContext("webgl2", { alpha: true, antialias: false, depth: false, powerPreference: "low-power" });
    if (!gl) throw new Error("no WebGL2");
    this.#gl = gl;
    for (const [name, source] of Object.entries({ COPY, LINE, PICTURE, SLICE, VOLUME })) {
      this.#programs[name] = new Program(gl, source);
    }
    gl.bindVertexArray(gl.createVertexArray());
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    const paint = new Uint8Array(256 * 4);
    for (let i = 0; i < 256; i++) paint.set([...palette.colours[i], Math.round(palette.hidden[i] * 255)], 4 * i);
    this.#texture(1, gl.TEXTURE_2D, gl.LINEAR);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA8, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, paint);
    this.#layer = gl.createFramebuffer();
  }

  /**
   * Take heat, evenly spaced in time.
   * @param {Float32Array} data in logit units, centred, [slices·height·width]
   */
  setHeat(data, slices, height, width) {
    const gl = this.#gl, shape = [width, height, slices].join();
    gl.activeTexture(gl.TEXTURE0);
    if (shape !== this.#heatShape) {
      gl.deleteTexture(this.#heat);
      this.#heat = this.#texture(0, gl.TEXTURE_3D, gl.LINEAR);
      gl.texStorage3D(gl.TEXTURE_3D, 1, gl.R16F, width, height, slices); // every WebGL2 enlarges halves linearly
      this.#heatShape = shape;
    }
    gl.texSubImage3D(gl.TEXTURE_3D, 0, 0, 0, 0, width, height, slices, gl.RED, gl.FLOAT, data);
  }

  /** Take the camera's picture, as a canvas. */
  setPicture(source) {
    const gl = this.#gl, shape = [source.width, source.height].join();
    gl.activeTexture(gl.TEXTURE2);
    if (shape !== this.#pictureShape) {
      gl.deleteTexture(this.#picture);
      this.#picture = this.#texture(2, gl.TEXTURE_2D, gl.LINEAR);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, source.width, source.height);
      this.#pictureShape = shape;
    }
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, gl.RGBA, gl.UNSIGNED_BYTE, source);
  }

  /**
   * Draw.
   * @param {object} scene `view` (of a Camera), `size` (of the cube), `seen` (the transform), `scale` (logit units),
   *   `strength` (0–1, how much full strength hides), `picture` (0–1, how much the picture hides), `slice` (null, or
   *   0–1 from the oldest to the newest), `ticks` (the slices' places, 0–1), `ink` (r, g, b, 0–1), `ratio` (pixels of
   *   the canvas by CSS pixels), `quality` (one of QUALITIES), `stale` (whether the volume's layer must be drawn again)
   */
  draw(scene) {
    const gl = this.#gl, { view, size, slice } = scene, { width, height } = gl.canvas;
    const outside = view.eye.map((value, axis) => [value < -size[axis] / 2, value > size[axis] / 2]);
    if (slice === null && this.#heat) this.#march(scene);
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.viewport(0, 0, width, height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    this.#frame(scene, outside, false);
    if (!outside[2][1]) this.#face(scene);
    if (this.#heat && slice === null) this.#copy();
    if (this.#heat && slice !== null) this.#slice(scene);
    if (outside[2][1]) this.#face(scene);
    this.#frame(scene, outside, true);
  }

  /** Give the graphics memory back: browsers allow few contexts at a time. */
  close() {
    this.#gl.getExtension("WEBGL_lose_context")?.loseContext();
  }

  #texture(unit, target, filter) {
    const gl = this.#gl, texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(target, texture);
    for (const name of ["TEXTURE_WRAP_S", "TEXTURE_WRAP_T", "TEXTURE_WRAP_R"]) {
      gl.texParameteri(target, gl[name], gl.CLAMP_TO_EDGE);
    }
    gl.texParameteri(target, gl.TEXTURE_MIN_FILTER, filter);
    gl.texParameteri(target, gl.TEXTURE_MAG_FILTER, filter);
    return texture;
  }

  /** The heat, into the layer. */
  #march({ view, size, seen, scale, strength, quality, stale }) {
    const gl = this.#gl, layer = [gl.canvas.width, gl.canvas.height].map((n) => Math.max(1, Math.round(n * quality.share)));
    gl.bindFramebuffer(gl.FRAMEBUFFER, this.#layer);
    if (layer.join() !== this.#layerSize.join()) {
      gl.deleteTexture(this.#layerTexture);
      this.#layerTexture = this.#texture(3, gl.TEXTURE_2D, gl.LINEAR);
      gl.texStorage2D(gl.TEXTURE_2D, 1, gl.RGBA8, ...layer);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, this.#layerTexture, 0);
      this.#layerSize = layer;
    } else if (!stale) {
      return;
    }
    gl.viewport(0, 0, ...layer);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.enable(gl.CULL_FACE); // the faces behind alone: one ray for each pixel
    gl.cullFace(gl.FRONT);
    const [low, high] = boxOf(seen, size);
    this.#programs.VOLUME.use({
      u_view: view.matrix, u_eye: view.eye, u_low: low, u_high: high, u_size: size, u_seen: seen, u_scale: scale,
      u_density: DENSITY / size[2] * strength, u_step: Math.hypot(...size) / quality.steps, u_heat: 0, u_paint: 1,
    });
    gl.drawArrays(gl.TRIANGLES, 0, 36);
    gl.disable(gl.CULL_FACE);
  }

  #copy() {
    this.#programs.COPY.use({ u_layer: 3 });
    this.#gl.drawArrays(this.#gl.TRIANGLE_STRIP, 0, 3);
  }

  #face({ view, size, picture }) {
    if (!this.#picture || picture === 0) return;
    const uniforms = { u_view: view.matrix, u_size: size, u_part: [0, 0, 1, 1], u_depth: size[2] / 2 };
    this.#programs.PICTURE.use({ ...uniforms, u_picture: 2, u_opacity: picture });
    this.#gl.drawArrays(this.#gl.TRIANGLE_STRIP, 0, 4);
  }

  #slice({ view, size, seen, scale, strength, slice, ink }) {
    this.#programs.SLICE.use({
      u_view: view.matrix, u_size: size, u_part: seen, u_depth: (slice - 0.5) * size[2], u_seen: seen, u_scale: scale,
      u_opacity: strength, u_ground: [...ink, 0.1], u_heat: 0, u_paint: 1,
    });
    this.#gl.drawArrays(this.#gl.TRIANGLE_STRIP, 0, 4);
  }

  /** The edges that are behind the heat, or those before it, with a mark for each slice; and the chosen slice's rim. */
  #frame({ view, size, slice, ticks, ink, ratio }, outside, before) {
    const line = (from, to, alpha, width) => this.#line(view.matrix, from, to, [...ink, alpha], width * ratio);
    for (const [axis, p, q] of EDGES) {
      const [b, c] = [(axis + 1) % 3, (axis + 2) % 3];
      if ((outside[b][p > 0 ? 1 : 0] || outside[c][q > 0 ? 1 : 0]) !== before) continue;
      const from = [0, 0, 0];
      [from[b], from[c]] = [p * size[b] / 2, q * size[c] / 2];
      const at = (share) => from.map((value, i) => (i === axis ? (share - 0.5) * size[axis] : value));
      line(at(0), at(1), before ? 0.6 : 0.3, 1.2);
      if (axis !== 2 || from[1] > 0) continue;
      for (const tick of ticks) line(at(tick), at(tick).map((v, i) => (i === 1 ? v + 0.025 : v)), before ? 0.6 : 0.3, 1);
    }
    if (slice === null || !before) return;
    const [x, y, z] = [size[0] / 2, size[1] / 2, (slice - 0.5) * size[2]];
    const corners = [[-x, -y, z], [x, -y, z], [x, y, z], [-x, y, z]];
    corners.forEach((corner, i) => line(corner, corners[(i + 1) % 4], 0.9, 1.5));
  }

  #line(matrix, from, to, ink, width) {
    const { width: w, height: h } = this.#gl.canvas;
    this.#programs.LINE.use({ u_view: matrix, u_from: from, u_to: to, u_ink: ink, u_width: width, u_pixels: [w, h] });
    this.#gl.drawArrays(this.#gl.TRIANGLE_STRIP, 0, 4);
  }
}

/** What the network saw, as two corners in the cube's space; no more of it than the picture. */
function boxOf(seen, size) {
  const [left, top, right, bottom] = seen.map((value) => Math.min(Math.max(value, 0), 1));
  return [[(left - 0.5) * size[0], 0.5 - bottom, -size[2] / 2], [(right - 0.5) * size[0], 0.5 - top, size[2] / 2]];
}

/** A program, and its uniforms by name. */
class Program {
  #gl;
  #program;
  #uniforms = new Map();

  constructor(gl, { vertex, fragment }) {
    this.#gl = gl;
    this.#program = gl.createProgram();
    for (const [type, source] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
      const shader = gl.createShader(type);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(this.#program, shader);
      if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
        throw new Error(gl.getShaderInfoLog(shader));
      }
    }
    gl.linkProgram(this.#program);
    if (!gl.getProgramParameter(this.#program, gl.LINK_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getProgramInfoLog(this.#program));
    }
    for (let i = 0; i < (gl.getProgramParameter(this.#program, gl.ACTIVE_UNIFORMS) ?? 0); i++) {
      const { name, type } = gl.getActiveUniform(this.#program, i);
      this.#uniforms.set(name, { at: gl.getUniformLocation(this.#program, name), type });
    }
  }

  use(values) {
    const gl = this.#gl;
    gl.useProgram(this.#program);
    for (const [name, value] of Object.entries(values)) {
      const uniform = this.#uniforms.get(name);
      if (!uniform) continue;
      if (uniform.type === gl.FLOAT_MAT4) gl.uniformMatrix4fv(uniform.at, false, value);
      else if (uniform.type === gl.FLOAT) gl.uniform1f(uniform.at, value);
      else if (value.length) gl[`uniform${value.length}fv`](uniform.at, value);
      else gl.uniform1i(uniform.at, value);
    }
  }
}
