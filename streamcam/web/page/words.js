// Numbers and times as people read them, in the viewer's own zone.

const TIME = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const EXACT = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 1,
});

/** A time of day, of Unix milliseconds. */
export const timeOf = (atMs) => TIME.format(atMs);

/** A time of day with tenths of a second, of Unix milliseconds. */
export const exactTimeOf = (atMs) => EXACT.format(atMs);

/** For `sort`: names in the order in which people expect them, cam2 before cam10. */
export const byName = (a, b) => a.localeCompare(b, undefined, { numeric: true });

/** A number with three digits that count, from 0.01 up. */
export function short(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}

/** A duration, in milliseconds. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return "–";
  const size = Math.abs(ms);
  if (size < 1000) return `${Math.round(ms)}\u00a0ms`;
  if (size < 60_000) return `${(ms / 1000).toFixed(1)}\u00a0s`;
  if (size < 3_600_000) return `${Math.round(ms / 60_000)}\u00a0min`;
  return `${Math.round(ms / 3_600_000)}\u00a0h`;
}

/** A local time as in a file's name, of Unix milliseconds: 2026-11-30T21-40-07.123. */
export function fileTime(atMs) {
  const d = new Date(atMs), two = (n) => String(n).padStart(2, "0");
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  const time = [d.getHours(), d.getMinutes(), d.getSeconds()].map(two).join("-");
  return `${day}T${time}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}
