// The scores of all classes over the last minute, with events marked. A moment is chosen by dragging on it.

import uPlot from "./vendor/uplot.js";
import { make, percent, say } from "./dom.js";
import { exactTimeOf, timeOf } from "./words.js";

export const COLOURS = 8; // --class-0 … in camera.css
export const THRESHOLD = 0.5; // from here a class counts as sure: streamcam/render/canvas.py
const HEIGHT = 190, HEIGHT_NARROW = 150, NARROW = 520; // CSS pixels
const MOST_READ = 4; // classes in the line of values
const TITLE_PX = 11;

/** The place of a class's colour: classes get theirs as they come, and keep it. */
export class ClassColours {
  #places = new Map();

  of(label) {
    if (!this.#places.has(label)) this.#places.set(label, this.#places.size);
    return this.#places.get(label) % COLOURS;
  }

  /** How a class's curve is dashed: the ninth class and those after it share colours with others. */
  dash(label) {
    this.of(label);
    return this.#places.get(label) < COLOURS ? [] : [6, 3];
  }
}

export class Timeline {
  /** Called with a time, in Unix milliseconds, while somebody drags. */
  onseek = () => {};

  #plot = null;
  #labels = [];
  #selected = null;
  #colours;
  #fromMs = 0;
  #toMs = 1;
  #shownMs = null;
  #heatMs = null;
  #frozen = false;
  #events = [];
  #data = [[]];
  #chart = make("div", { className: "timeline-chart", "aria-hidden": "true" });
  #values = make("p", { className: "timeline-values" });
  #resized = new ResizeObserver(() => this.#fit());
  #scheme = matchMedia("(prefers-color-scheme: dark)");
  #recolour = () => this.#build();

  /**
   * @param {HTMLElement} root
   * @param {ClassColours} colours
   */
  constructor(root, colours) {
    this.#colours = colours;
    root.append(this.#chart, this.#values);
    this.#resized.observe(this.#chart);
    this.#scheme.addEventListener("change", this.#recolour);
  }

  /**
   * Show curves.
   * @param {{atMs: number, scores: Scores}[]} curve ascending
   * @param {Map<string, number>} classes the indices of those to show, by label
   * @param {{fromMs: number, toMs: number, events: {name: string, fromMs: number, toMs: number}[]}} options
   */
  update(curve, classes, { fromMs, toMs, events }) {
    [this.#fromMs, this.#toMs, this.#events] = [fromMs, toMs, events];
    const times = curve.map(({ atMs }) => atMs / 1000), labels = [...classes.keys()];
    this.#data = [times, ...labels.map((label) => curve.map(({ scores }) => scores.of(label, classes.get(label))))];
    if (this.#plot && labels.join("\n") === this.#labels.join("\n")) return this.#plot.setData(this.#data);
    this.#labels = labels;
    this.#build();
  }

  /**
   * Mark the moment that is shown, and the class whose heat is painted.
   * @param {{shownMs: number?, heatMs: number?, frozen: boolean, selected: string?}} moment heatMs: the window whose
   *   heat is painted, whose scores are written below the curves
   */
  mark({ shownMs, heatMs, frozen, selected }) {
    if (selected !== this.#selected) {
      this.#selected = selected;
      this.#plot?.series.forEach((series, i) => i && (series.width = this.#width(this.#labels[i - 1])));
    }
    [this.#shownMs, this.#heatMs, this.#frozen] = [shownMs, heatMs, frozen];
    this.#plot?.redraw(true);
    this.#read();
  }

  close() {
    this.#resized.disconnect();
    this.#scheme.removeEventListener("change", this.#recolour);
    this.#plot?.destroy();
    this.#plot = null;
  }

  #width(label) {
    return label === this.#selected ? 3 : 1.25;
  }

  #build() {
    this.#plot?.destroy();
    const width = this.#chart.clientWidth;
    if (!width) return;
    const style = getComputedStyle(this.#chart);
    const axis = style.getPropertyValue("--axis"), grid = style.getPropertyValue("--grid");
    const font = `11px ${style.fontFamily}`;
    const axes = { stroke: axis, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1, size: 4 } };
    this.#plot = new uPlot({
      width,
      height: heightOf(width),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { range: () => [this.#fromMs / 1000, this.#toMs / 1000] }, y: { range: [0, 1] } },
      axes: [
        { ...axes, space: 90, size: 28, values: (_, splits) => splits.map((s) => timeOf(1000 * s)) },
        { ...axes, space: 30, size: 46, values: (_, splits) => splits.map(percent) },
      ],
      series: [{}, ...this.#labels.map((label) => ({
        label,
        stroke: style.getPropertyValue(`--class-${this.#colours.of(label)}`),
        dash: this.#colours.dash(label),
        width: this.#width(label),
        points: { show: true, size: 4, filter: alone },
      }))],
      hooks: {
        drawClear: [(plot) => this.#drawEvents(plot, style)],
        draw: [(plot) => this.#drawLines(plot, style)],
        setCursor: [() => this.#read()],
      },
    }, this.#data, this.#chart);
    this.#listen(this.#plot.over);
  }

  #fit() {
    const width = this.#chart.clientWidth;
    if (!this.#plot) this.#build();
    else if (width) this.#plot.setSize({ width, height: heightOf(width) });
  }

  #listen(over) {
    const seek = (event) => {
      const x = event.clientX - over.getBoundingClientRect().left;
      const atS = this.#plot.posToVal(Math.min(Math.max(x, 0), over.clientWidth), "x");
      this.onseek(1000 * atS);
    };
    over.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      over.setPointerCapture(event.pointerId);
      seek(event);
    });
    over.addEventListener("pointermove", (event) => over.hasPointerCapture(event.pointerId) && seek(event));
  }

  /** Write the values under the cursor; without one, those of the moment that is shown. */
  #read() {
    const times = this.#data[0];
    const under = this.#plot?.cursor.left >= 0 ? this.#plot.cursor.idx : null;
    const place = under ?? (this.#heatMs === null ? -1 : times.findLastIndex((s) => 1000 * s <= this.#heatMs + 1));
    if (place == null || place < 0 || place >= times.length) return say(this.#values, "No heat of this moment.");
    const known = this.#labels.map((label, i) => ({ label, score: this.#data[i + 1][place] }));
    const first = known.filter(({ score }) => score !== null).sort((a, b) => b.score - a.score).slice(0, MOST_READ);
    const values = first.map(({ label, score }) => `${label} ${percent(score)}`);
    say(this.#values, [exactTimeOf(under === null ? this.#shownMs : 1000 * times[under]), ...values].join(" · "));
  }

  #drawEvents(plot, style) {
    const { ctx, bbox } = plot, scale = devicePixelRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${TITLE_PX * scale}px ${style.fontFamily}`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    for (const { name, fromMs, toMs } of this.#events) {
      const left = plot.valToPos(fromMs / 1000, "x", true), right = plot.valToPos(toMs / 1000, "x", true);
      ctx.fillStyle = style.getPropertyValue("--band");
      ctx.fillRect(left, bbox.top, Math.max(right - left, 2 * scale), bbox.height);
      ctx.fillStyle = style.getPropertyValue("--axis");
      const wide = ctx.measureText(name).width + 3 * scale;
      const x = Math.max(Math.min(left + 3 * scale, bbox.left + bbox.width - wide), bbox.left + 3 * scale);
      ctx.fillText(name, x, bbox.top + 2 * scale);
    }
    ctx.restore();
  }

  #drawLines(plot, style) {
    const { ctx, bbox } = plot, scale = devicePixelRatio;
    const line = (fromX, fromY, toX, toY, colour, width, dash) => {
      ctx.strokeStyle = colour;
      ctx.lineWidth = width * scale;
      ctx.setLineDash(dash.map((length) => length * scale));
      ctx.beginPath();
      ctx.moveTo(fromX, fromY);
      ctx.lineTo(toX, toY);
      ctx.stroke();
    };
    ctx.save();
    const y = plot.valToPos(THRESHOLD, "y", true), axis = style.getPropertyValue("--axis");
    line(bbox.left, y, bbox.left + bbox.width, y, axis, 1, [4, 4]);
    const x = this.#shownMs === null ? NaN : plot.valToPos(this.#shownMs / 1000, "x", true);
    if (x >= bbox.left && x <= bbox.left + bbox.width) {
      line(x, bbox.top, x, bbox.top + bbox.height, style.getPropertyValue("--marker"), this.#frozen ? 2 : 1, []);
    }
    ctx.restore();
  }
}

/** The places of values without neighbours, which no line goes through. */
function alone(plot, series) {
  const values = plot.data[series];
  return [...values.keys()].filter((i) => values[i] != null && values[i - 1] == null && values[i + 1] == null);
}

const heightOf = (width) => (width < NARROW ? HEIGHT_NARROW : HEIGHT);
