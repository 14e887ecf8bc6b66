// Where one looks at the heat cube from: angles, projection, and how they move.
//
// The cube's own space has its origin in the middle: x to the right of the picture and y upwards, the picture's height
// being 1; z is time, and its newest end, +z, is the front face.

const NEAR = 1 / 4.2, FAR = 1 / 60; // 1 / distance of the eye: with perspective, and next to none
const LABELS_X = 36, FLAT_X = 36, LABELS_Y = 30; // CSS pixels left free beside the cube, and more of them where it is flat
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
    const distance = 1 / (NEAR + flat * (FAR - NEAR));
    const { middle, reach } = this.#extent(rows, distance);
    // The cube fills the view from every side, but for room for labels.
    const [roomX, roomY] = [Math.max(this.width - 2 * (LABELS_X + flat * FLAT_X), 60), Math.max(this.height - 2 * LABELS_Y, 60)];
    const pixels = zoom * Math.min(roomX / reach[0], roomY / reach[1]), matrix = new Float32Array(16);
    const fx = distance * 2 * pixels / this.width, fy = distance * 2 * pixels / this.height;
    // clip = f · (turned − middle · w / distance), w being the distance from the eye: the middle of what is seen is at 0.
    for (let i = 0; i < 3; i++) {
      const w = -rows[2][i];
      matrix.set([fx * (rows[0][i] - middle[0] * w / distance), fy * (rows[1][i] - middle[1] * w / distance), 0, w], 4 * i);
    }
    matrix.set([-fx * middle[0], -fy * middle[1], 0, distance], 12);
    return { matrix, eye: rows[2].map((value) => value * distance) };
  }

  /** The rectangle that the corners cover, seen from a distance, in sizes at the cube's middle. */
  #extent(rows, distance) {
    const low = [Infinity, Infinity], high = [-Infinity, -Infinity];
    for (let corner = 0; corner < 8; corner++) {
      const at = this.size.map((value, i) => (corner >> i & 1 ? value / 2 : -value / 2));
      const [x, y, z] = rows.map((row) => row[0] * at[0] + row[1] * at[1] + row[2] * at[2]);
      [x, y].forEach((value, i) => {
        const seen = value * distance / (distance - z);
        [low[i], high[i]] = [Math.min(low[i], seen), Math.max(high[i], seen)];
      });
    }
    return { middle: low.map((value, i) => (value + high[i]) / 2), reach: low.map((value, i) => high[i] - value) };
  }
}

/** Where a point of the cube's space lies in a view of so many CSS pixels: [x, y] from its top left. */
export function project(matrix, [x, y, z], width, height) {
  const at = [0, 1, 3].map((i) => matrix[i] * x + matrix[4 + i] * y + matrix[8 + i] * z + matrix[12 + i]);
  return [(at[0] / at[2] + 1) / 2 * width, (1 - at[1] / at[2]) / 2 * height];
}
