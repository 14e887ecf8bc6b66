// Where one looks at the heat cube from: angles, projection, and how they move.
//
// The cube's own space has its origin in the middle: x to the right of the picture and y upwards, the picture's height
// being 1; z is time, and its newest end, +z, is the front face.

const NEAR = 1 / 3.4, FAR = 1 / 60; // 1 / distance of the eye: with perspective, and next to none
const MARGIN = 1.2; // of the view, in sizes of the cube: it leaves room for labels
const SETTLE_MS = 45;
const MAX_ZOOM = 6, MIN_ZOOM = 0.5;

/** Angles in radians. `flat` 1 looks in parallel, so that all that lies at one place of the picture is in one pixel. */
export const POSES = {
  home: { yaw: 0.62, pitch: 0.38, zoom: 1, flat: 0 },
  front: { yaw: 0, pitch: 0, zoom: 1, flat: 1 },
  side: { yaw: Math.PI / 2, pitch: 0, zoom: 1, flat: 1 },
  top: { yaw: 0, pitch: Math.PI / 2, zoom: 1, flat: 1 },
};

/** An eye that goes round the cube. */
export class Camera {
  constructor() {
    this.goal = { ...POSES.home };
    this.pose = { ...POSES.home };
    this.size = [4 / 3, 1, 1]; // of the cube
    this.width = this.height = 1; // of the view, in CSS pixels
  }

  /** Turn by angles in radians; perspective comes back. */
  turn(yaw, pitch) {
    this.goal.yaw += yaw;
    this.goal.pitch = Math.min(Math.max(this.goal.pitch + pitch, -Math.PI / 2), Math.PI / 2);
    this.goal.flat = 0;
  }

  zoom(factor) {
    this.goal.zoom = Math.min(Math.max(this.goal.zoom * factor, MIN_ZOOM), MAX_ZOOM);
  }

  /** Go to one of `POSES`, the short way round. */
  go(name) {
    const turns = Math.round((this.goal.yaw - POSES[name].yaw) / (2 * Math.PI));
    this.goal = { ...POSES[name], yaw: POSES[name].yaw + turns * 2 * Math.PI };
  }

  /** Come nearer to the goal. @returns {boolean} whether it moved */
  advance(elapsedMs, atOnce) {
    const share = atOnce ? 1 : 1 - Math.exp(-elapsedMs / SETTLE_MS);
    let moved = false;
    for (const key of Object.keys(this.pose)) {
      const left = this.goal[key] - this.pose[key];
      if (left === 0) continue;
      this.pose[key] = Math.abs(left) < 5e-4 ? this.goal[key] : this.pose[key] + share * left;
      moved = true;
    }
    return moved;
  }

  /** What a drawing needs: `matrix` (to clip space, column by column) and `eye`, in the cube's space. */
  view() {
    const { yaw, pitch, zoom, flat } = this.pose;
    const [sy, cy, sp, cp] = [Math.sin(yaw), Math.cos(yaw), Math.sin(pitch), Math.cos(pitch)];
    const rows = [[cy, 0, sy], [sp * sy, cp, -sp * cy], [-cp * sy, sp, cp * cy]]; // of the rotation
    const [rx, ry, rz] = rows.map((row) => row.reduce((sum, value, i) => sum + Math.abs(value) * this.size[i] / 2, 0));
    const distance = 1 / (NEAR + flat * (FAR - NEAR)), aspect = this.width / this.height;
    // What is near looks larger. The corners that stand out most are seldom the nearest: half of it is enough.
    const half = MARGIN * Math.max(ry, rx / aspect) * (1 + 0.5 * rz / distance) / zoom;
    const fx = distance / (half * aspect), fy = distance / half, matrix = new Float32Array(16);
    for (let i = 0; i < 3; i++) matrix.set([fx * rows[0][i], fy * rows[1][i], 0, -rows[2][i]], 4 * i);
    matrix[15] = distance;
    return { matrix, eye: rows[2].map((value) => value * distance) };
  }
}

/** Where a point of the cube's space lies in a view of so many CSS pixels: [x, y] from its top left. */
export function project(matrix, [x, y, z], width, height) {
  const at = [0, 1, 3].map((i) => matrix[i] * x + matrix[4 + i] * y + matrix[8 + i] * z + matrix[12 + i]);
  return [(at[0] / at[2] + 1) / 2 * width, (1 - at[1] / at[2]) / 2 * height];
}
