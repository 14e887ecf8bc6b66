// The WebSocket to the server. It reconnects by itself, and asks again for what is wanted.

import { decode } from "./message.js";

const RETRY_MS = [250, 500, 1000, 2000];
const ACKNOWLEDGE_MS = 10; // each message to the server costs it about as much as a picture

/**
 * Events: `open` and `closed`; `hello` and `cameras` with what the server says of itself and of the cameras as
 * `detail`; `message` with a decoded message of a camera. Whoever handles a `message` calls `got(message)` once it is
 * shown: the server sends no more than two of a topic before that.
 */
export class Connection extends EventTarget {
  #socket = null;
  #wants = new Map(); // by owner: camera → kinds
  #asked = "";
  #got = [];
  #attempts = 0;

  constructor(url = new URL("/ws", location.href.replace(/^http/, "ws"))) {
    super();
    this.url = url;
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    const socket = new WebSocket(this.url, "streamcam.1");
    socket.binaryType = "arraybuffer";
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempts = 0;
      this.#asked = "";
      this.#ask();
      this.dispatchEvent(new Event("open"));
    };
    socket.onmessage = ({ data }) => {
      if (typeof data === "string") {
        const detail = JSON.parse(data);
        this.dispatchEvent(new CustomEvent(detail.type, { detail }));
      } else {
        this.dispatchEvent(new CustomEvent("message", { detail: decode(data) }));
      }
    };
    socket.onclose = () => {
      this.dispatchEvent(new Event("closed"));
      const wait = RETRY_MS[Math.min(this.#attempts++, RETRY_MS.length - 1)];
      setTimeout(() => this.open(), wait * (0.8 + 0.4 * Math.random()));
    };
  }

  /** Say what a part of the page wants: camera → kinds. Parts want independently; `{}` wants nothing. */
  want(owner, kinds) {
    if (Object.keys(kinds).length) this.#wants.set(owner, kinds);
    else this.#wants.delete(owner); // the owner is gone, perhaps
    this.#ask();
  }

  /** Acknowledge a message that has been shown, or left out for good. */
  got(message) {
    if (message.header.kind === "event") return;
    this.#got.push([message.camera, message.header.kind]);
    if (this.#got.length > 1) return;
    const acknowledge = () => this.#send({ got: this.#got.splice(0) });
    if (document.hidden) queueMicrotask(acknowledge); // timers of hidden pages are slow
    else setTimeout(acknowledge, ACKNOWLEDGE_MS);
  }

  #ask() {
    const union = {};
    for (const kinds of this.#wants.values()) {
      for (const [camera, some] of Object.entries(kinds)) union[camera] = [...new Set([...(union[camera] ?? []), ...some])].sort();
    }
    const asked = JSON.stringify({ want: union });
    if (asked !== this.#asked && this.isOpen) {
      this.#asked = asked;
      this.#socket.send(asked);
    }
  }

  #send(request) {
    if (this.isOpen) this.#socket.send(JSON.stringify(request));
  }
}
