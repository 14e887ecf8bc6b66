// Polygons as fractions of the picture: the same checks as streamcam/config/events.py.

export const MAX_POINTS = 64;

/** What is wrong with a polygon, in words, or null; with the numbers of the edges that cross, from 0. */
export function problemOf(points) {
  if (points.length < 3) {
    const left = 3 - points.length;
    return { words: points.length ? `${left} more corner${left > 1 ? "s" : ""}, and it is a zone.` : "", edges: [] };
  }
  const edges = crossingEdges(points);
  if (edges) {
    const words = `The edges from corner ${edges[0] + 1} and from corner ${edges[1] + 1} cross. Go around it once.`;
    return { words, edges };
  }
  if (Math.abs(signedArea(points)) < 1e-6) return { words: "The corners are on one line: there is nothing inside.", edges: [] };
  return null;
}

/** The numbers, from 0, of the first two edges that meet although they are not neighbours; null if none do. */
export function crossingEdges(points) {
  const n = points.length, end = (i) => points[(i + 1) % n];
  for (let i = 0; i < n; i++) {
    for (let j = i + 2; j < n; j++) {
      if (i === 0 && j === n - 1) continue;
      if (meet(points[i], end(i), points[j], end(j))) return [i, j];
    }
  }
  return null;
}

function signedArea(points) {
  return points.reduce((sum, [x0, y0], i) => {
    const [x1, y1] = points[(i + 1) % points.length];
    return sum + (x0 * y1 - x1 * y0) / 2;
  }, 0);
}

function meet(a, b, c, d) {
  const sides = [side(a, b, c), side(a, b, d), side(c, d, a), side(c, d, b)];
  if (sides[0] * sides[1] < 0 && sides[2] * sides[3] < 0) return true;
  const ends = [[a, b, c], [a, b, d], [c, d, a], [c, d, b]];
  return ends.some((end, i) => sides[i] === 0 && between(...end));
}

const side = (a, b, p) => (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0]);

const between = (a, b, p) =>
  Math.min(a[0], b[0]) <= p[0] && p[0] <= Math.max(a[0], b[0]) &&
  Math.min(a[1], b[1]) <= p[1] && p[1] <= Math.max(a[1], b[1]);

/** The edge that is nearest to a point, as `{edge, distance}`; all in the unit of `points`, which may be pixels. */
export function nearestEdge(points, [x, y]) {
  let best = { edge: -1, distance: Infinity };
  points.forEach(([x0, y0], edge) => {
    const [x1, y1] = points[(edge + 1) % points.length], dx = x1 - x0, dy = y1 - y0;
    const t = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
    const distance = Math.hypot(x - x0 - t * dx, y - y0 - t * dy);
    if (distance < best.distance) best = { edge, distance };
  });
  return best;
}

/** A point with as many decimals as are written to a file, within the picture. */
export const rounded = ([x, y]) => [x, y].map((value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4);
