// A class's score over the last seconds, as a small curve.

const GAP_MS = 6000; // between two scores: the line is not drawn through what is not known
const THRESHOLD = 0.5; // from here on, a class counts as sure

/** Draws a curve on a canvas, as large as its element is. Its colours are the element's `color` and `border-color`. */
export class Curve {
  #canvas;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /**
   * @param {{atMs: number, session: number, scores: Map<string, number>}[]} points oldest first
   * @param {?string} label the class; null draws none
   * @param {number} nowMs the right edge, as of performance.now
   * @param {number} spanMs from the left edge to the right one
   */
  draw(points, label, nowMs, spanMs) {
    const canvas = this.#canvas, ratio = devicePixelRatio || 1;
    const width = Math.round(canvas.clientWidth * ratio), height = Math.round(canvas.clientHeight * ratio);
    if (!width || !height) return;
    if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
    const context = canvas.getContext("2d"), style = getComputedStyle(canvas);
    const x = (atMs) => width * (1 - (nowMs - atMs) / spanMs), y = (score) => 1 + (1 - score) * (height - 2);
    context.clearRect(0, 0, width, height);
    context.lineWidth = ratio;
    context.strokeStyle = style.borderTopColor;
    context.setLineDash([2 * ratio, 3 * ratio]);
    context.beginPath();
    context.moveTo(0, y(THRESHOLD));
    context.lineTo(width, y(THRESHOLD));
    context.stroke();
    context.setLineDash([]);
    context.strokeStyle = context.fillStyle = style.color;
    context.lineWidth = 1.5 * ratio;
    context.lineJoin = "round";
    for (const piece of label === null ? [] : pieces(points, label)) {
      const line = new Path2D();
      for (const [atMs, score] of piece) line.lineTo(x(atMs), y(score));
      context.stroke(line);
      line.lineTo(x(piece.at(-1)[0]), height);
      line.lineTo(x(piece[0][0]), height);
      context.globalAlpha = 0.18;
      context.fill(line);
      context.globalAlpha = 1;
    }
  }
}

/** The stretches in which the score of a class is known: lists of [atMs, score]. */
function pieces(points, label) {
  const all = [];
  let last = null;
  for (const { atMs, session, scores } of points) {
    const score = scores.get(label);
    if (score === undefined) { // it was not among the strongest
      last = null;
      continue;
    }
    if (!last || last.session !== session || atMs - last.atMs > GAP_MS) all.push([]);
    all.at(-1).push([atMs, score]);
    last = { session, atMs };
  }
  return all;
}
