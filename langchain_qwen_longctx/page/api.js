/** The server's HTTP interface: requests, the key they carry, errors as one type, and server-sent events. */

import { say } from "./texts.js";

const KEY = "qwen-longctx.key";

/** What went wrong, in a sentence that can be shown; `status` is the HTTP status, 0 if the server did not answer. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

let key = sessionStorage.getItem(KEY);
let askForKey = async () => null;
let asking = null;

/** Sets who is asked for the key: a function from whether one was refused to a promise of another, or of null. */
export function onKeyNeeded(request) {
  askForKey = request;
}

/** What the server is and allows. */
export const info = () => getJson("info");

/** A set of documents that was uploaded before. */
export const collection = (id) => getJson(`collections/${encodeURIComponent(id)}`);

/** Text around a span of a source, `around` characters on either side. */
export function passage(id, { source, start, end }, around) {
  const query = new URLSearchParams({ source, start, end, around });
  return getJson(`collections/${encodeURIComponent(id)}/passage?${query}`);
}

/** Uploads files and returns what became of them. */
export async function upload(files, signal) {
  const body = new FormData();
  for (const file of files) body.append("files", file, file.name);
  return (await send("collections", { method: "POST", body, signal })).json();
}

/** Has the server forget a set of documents; that it has done so before is no error. */
export async function forget(id) {
  await send(`collections/${encodeURIComponent(id)}`, { method: "DELETE" }).catch(() => null);
}

/** Asks a question and yields `[name, data]` of each event; ends with `result`, or throws. */
export async function* ask(body, signal) {
  const headers = { "Content-Type": "application/json", Accept: "text/event-stream" };
  const response = await send("ask", { method: "POST", headers, body: JSON.stringify(body), signal });
  try {
    for await (const [name, data] of readEvents(response.body)) {
      if (name === "error") throw new ApiError(data.status, data.detail);
      yield [name, data];
      if (name === "result") return;
    }
  } catch (error) {
    throw error instanceof TypeError ? new ApiError(0, say("brokenOff")) : error;
  }
  throw new ApiError(0, say("brokenOff"));
}

/** Yields `[name, data]` of each event in a stream of bytes, without comments and a last event that is cut off. */
export async function* readEvents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let unread = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const blocks = (unread + value).split(/\r?\n\r?\n/);
      unread = blocks.pop();
      for (const block of blocks) {
        const event = parseEvent(block);
        if (event) yield event;
      }
    }
  } finally {
    reader.cancel().catch(() => null);
  }
}

function parseEvent(block) {
  let name = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const [, field, value] = /^(\w+):? ?(.*)$/s.exec(line) ?? [];
    if (field === "event") name = value;
    if (field === "data") data.push(value);
  }
  return data.length ? [name, JSON.parse(data.join("\n"))] : null;
}

const getJson = async (path) => (await send(path)).json();

async function send(path, options = {}) {
  const used = key;
  const response = await reach(path, options);
  if (response.status === 401) {
    if (await haveAnotherKey(used)) return send(path, options);
    throw new ApiError(401, say("needsKey"));
  }
  if (!response.ok) throw new ApiError(response.status, await detailOf(response));
  return response;
}

async function reach(path, options) {
  const headers = key ? { ...options.headers, Authorization: `Bearer ${key}` } : options.headers;
  try {
    return await fetch(new URL(path, document.baseURI), { ...options, headers });
  } catch (error) {
    throw error.name === "AbortError" ? error : new ApiError(0, say("unreachable"));
  }
}

/** Requests that are refused at the same time share one question for the key. */
async function haveAnotherKey(used) {
  if (key === used) {
    asking ??= askForKey(used !== null).finally(() => (asking = null));
    const given = await asking;
    if (given === null) return false;
    sessionStorage.setItem(KEY, (key = given));
  }
  return true;
}

async function detailOf(response) {
  const { detail } = await response.json().catch(() => ({}));
  if (typeof detail === "string") return detail;
  if (Array.isArray(detail)) return detail.map(({ loc, msg }) => `${loc?.at(-1) ?? ""}: ${msg}`).join("; ");
  return say("unexpected", response.status);
}
