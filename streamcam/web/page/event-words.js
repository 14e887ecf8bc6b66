// Events in words and times, and the server's answers about them.

import { make, percent, seconds } from "./dom.js";

const ABSOLUTE = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/** When an event began, by the publisher's clock: milliseconds since 1970. */
export const startMs = (event) => event.start_ns / 1e6;

/** When it began, in the viewer's own time zone. */
export const absolute = (event) => ABSOLUTE.format(startMs(event));

/** Whether it goes on, as far as is known. */
export const goesOn = (event) => event.state === "start" || event.state === "update";

/** How long it has gone on, and its highest score: "2.10 s, peak 87 %". */
export const extent = (event) => `${seconds(event.pts_s - event.start_pts_s)}, peak ${percent(event.peak)}`;

/** A line of the server's as a sentence: what it has in `backticks` becomes code. @returns {HTMLElement} */
export function sentence(line) {
  const text = `${line[0].toUpperCase()}${line.slice(1)}${/[.!?…]$/.test(line) ? "" : "."}`;
  return make("p", {}, ...text.split("`").map((part, i) => (i % 2 ? make("code", {}, part) : part)));
}

/** The address of an event's view. */
export const viewOf = (id) => `#/events/${encodeURIComponent(id)}`;

/** The address of a file of an event. */
export const fileOf = (event, name) => `/api/events/${encodeURIComponent(event.id)}/${encodeURIComponent(name)}`;

/**
 * Ask the server, and read its JSON.
 * @returns {Promise<object>}
 * @throws {Error} with one line for people; its `status` is that of the answer, or 0 without one
 */
export async function ask(address, options = {}) {
  let answer, content;
  try {
    answer = await fetch(address, options);
    content = await answer.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw Object.assign(new Error("The server does not answer."), { status: answer?.status ?? 0 });
  }
  if (!answer.ok) throw Object.assign(new Error(content.error ?? `The server says ${answer.status}.`), { status: answer.status });
  return content;
}
