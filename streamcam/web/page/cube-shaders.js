// The shaders of the heat cube. Colours are premultiplied by how much they hide.

/** Points at which heat is read: `u_seen` is what the network saw of the picture, as in a message's `transform`. */
const HEAT = `
uniform sampler3D u_heat;
uniform sampler2D u_paint;
uniform vec3 u_size;
uniform vec4 u_seen;
uniform float u_scale;
vec3 cell(vec3 at) {
  float slices = float(textureSize(u_heat, 0).z);
  vec2 place = (vec2(at.x / u_size.x + .5, .5 - at.y) - u_seen.xy) / (u_seen.zw - u_seen.xy);
  // A cell's value lies on its centre; but the first and the last slice lie on the cube's faces.
  return vec3(place, ((at.z / u_size.z + .5) * (slices - 1.) + .5) / slices);
}
float strength(vec3 cell) { return clamp(texture(u_heat, cell).r / u_scale, 0., 1.); }
vec4 paint(float strength) { return texture(u_paint, vec2((strength * 255. + .5) / 256., .5)); }`;

const HEAD = `#version 300 es
precision highp float;
precision highp sampler3D;
uniform mat4 u_view;
`;

/** The heat, along each pixel's ray through the box from `u_low` to `u_high`; what it hides per length is in the paint. */
export const VOLUME = {
  vertex: `${HEAD}
uniform vec3 u_low, u_high;
out vec3 v_at;
const int CORNERS[36] = int[36](
  0, 2, 1, 1, 2, 3, 4, 5, 6, 5, 7, 6, 0, 1, 4, 1, 5, 4, 2, 6, 3, 3, 6, 7, 0, 4, 2, 2, 4, 6, 1, 3, 5, 3, 7, 5);
void main() {
  int corner = CORNERS[gl_VertexID];
  v_at = mix(u_low, u_high, vec3(corner & 1, corner >> 1 & 1, corner >> 2));
  gl_Position = u_view * vec4(v_at, 1);
}`,
  fragment: `${HEAD}${HEAT}
uniform vec3 u_eye, u_low, u_high;
uniform float u_step, u_density;
in vec3 v_at;
out vec4 colour;
void main() {
  vec3 way = v_at - u_eye;
  float end = length(way);
  way /= end;
  vec3 slope = mix(way, vec3(1e-6), lessThan(abs(way), vec3(1e-6)));
  vec3 entries = min((u_low - u_eye) / slope, (u_high - u_eye) / slope);
  float start = max(max(entries.x, entries.y), entries.z);
  float noise = fract(52.9829189 * fract(dot(gl_FragCoord.xy, vec2(.06711056, .00583715))));
  vec3 at = cell(u_eye + way * (start + u_step * noise)), move = cell(u_eye + way * (start + u_step * (noise + 1.))) - at;
  int steps = int(max((end - start) / u_step - noise, 0.)) + 1;
  colour = vec4(0);
  for (int i = 0; i < steps; i++) {
    float hot = strength(at);
    vec4 painted = paint(hot);
    at += move;
    if (painted.a <= 0.) continue;
    // The fainter heat is, the less it hides: else the rim of a hot place would hide its middle.
    float hidden = 1. - exp(-painted.a * mix(.15, 1., hot * hot) * u_density * u_step);
    colour += (1. - colour.a) * hidden * vec4(painted.rgb, 1);
    if (colour.a > .98) break;
  }
}`,
};

/** A part of the picture's rectangle, `u_part` (left, top, right, bottom as fractions), at a depth `u_depth`. */
const PLANE = `${HEAD}
uniform vec3 u_size;
uniform vec4 u_part;
uniform float u_depth;
out vec2 v_place;
out vec3 v_at;
void main() {
  v_place = vec2(gl_VertexID & 1, gl_VertexID >> 1);
  vec2 place = mix(u_part.xy, u_part.zw, v_place);
  v_at = vec3((place.x - .5) * u_size.x, .5 - place.y, u_depth);
  gl_Position = u_view * vec4(v_at, 1);
}`;

/** One slice, solid; `u_ground` is what it lies on. */
export const SLICE = {
  vertex: PLANE,
  fragment: `${HEAD}${HEAT}
uniform vec4 u_ground;
uniform float u_opacity;
in vec3 v_at;
out vec4 colour;
void main() {
  vec4 painted = paint(strength(cell(v_at)));
  float hidden = painted.a * u_opacity;
  colour = vec4(painted.rgb, 1) * hidden + (1. - hidden) * vec4(u_ground.rgb, 1) * u_ground.a;
}`,
};

/** The camera's picture. */
export const PICTURE = {
  vertex: PLANE,
  fragment: `${HEAD}
uniform sampler2D u_picture;
uniform float u_opacity;
in vec2 v_place;
out vec4 colour;
void main() { colour = vec4(texture(u_picture, v_place).rgb, 1) * u_opacity; }`,
};

/** A line from `u_from` to `u_to`, `u_width` pixels wide. */
export const LINE = {
  vertex: `${HEAD}
uniform vec3 u_from, u_to;
uniform vec2 u_pixels;
uniform float u_width;
out float v_off;
void main() {
  vec4 a = u_view * vec4(u_from, 1), b = u_view * vec4(u_to, 1);
  vec2 from = a.xy / a.w * u_pixels / 2., to = b.xy / b.w * u_pixels / 2.;
  vec2 along = length(to - from) > 1e-3 ? normalize(to - from) : vec2(1, 0);
  v_off = (gl_VertexID & 1) == 0 ? -u_width / 2. - 1. : u_width / 2. + 1.;
  vec2 end = gl_VertexID > 1 ? to + along * u_width / 2. : from - along * u_width / 2.;
  gl_Position = vec4((end + vec2(-along.y, along.x) * v_off) / u_pixels * 2., 0, 1);
}`,
  fragment: `${HEAD}
uniform vec4 u_ink;
uniform float u_width;
in float v_off;
out vec4 colour;
void main() { colour = vec4(u_ink.rgb, 1) * u_ink.a * clamp(u_width / 2. + .5 - abs(v_off), 0., 1.); }`,
};

/** A picture of the whole view. */
export const COPY = {
  vertex: `${HEAD}
out vec2 v_place;
void main() {
  v_place = vec2(gl_VertexID & 1, gl_VertexID >> 1) * 2.;
  gl_Position = vec4(v_place * 2. - 1., 0, 1);
}`,
  fragment: `${HEAD}
uniform sampler2D u_layer;
in vec2 v_place;
out vec4 colour;
void main() { colour = texture(u_layer, v_place); }`,
};
