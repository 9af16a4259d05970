/** The documents that questions go to: those the server was started with, or those that were added here. */

import * as api from "./api.js";
import { say, size } from "./texts.js";

/**
 * Keeps the files that were added, so that others can join them: the server knows only whole collections.
 * Fires `change` whenever there is something else to show.
 */
export class Documents extends EventTarget {
  #limits = null;
  #begun = null;
  /** What is added before it is known what the server takes has to wait. */
  #beginning = new Promise((resolve) => (this.#begun = resolve));
  /** By name, those in the added collection, and while an upload is under way, those that will be. */
  #files = new Map();
  #wanted = null;
  #upload = null;

  /** The server's own collection, or null. */
  served = null;
  /** The collection that was added here, or null. */
  added = null;
  /** Whether the added collection is no longer on the server. */
  isLost = false;
  /** Files that were not taken. @type {{source: string, problem: string}[]} */
  refused = [];
  /** Something about all of them that has to be said, or an empty text. */
  remark = "";

  /** Takes up what the server says of itself, and the collection that was in use before a reload. */
  async start({ upload, served }, id) {
    this.#limits = upload;
    this.served = served;
    if (id && id !== "served") {
      this.added = await api.collection(id).catch(() => null);
      this.isLost = this.added === null;
    }
    this.#begun();
    this.#changed();
  }

  /** The collection that is asked, or null. */
  get current() {
    return this.isLost ? null : (this.added ?? this.served);
  }

  /** Files that are being read. @returns {File[]} */
  get pending() {
    return [...(this.#wanted?.values() ?? [])].filter((file) => this.isLost || this.#files.get(file.name) !== file);
  }

  /** Whether the server is reading. */
  get isReading() {
    return this.#wanted !== null;
  }

  /** What the server takes. */
  get limits() {
    return this.#limits;
  }

  /** Whether the files of a lost collection are still at hand. */
  get canRestore() {
    return this.#files.size > 0;
  }

  /** Whether a document can be taken out again. */
  canRemove = (source) => this.#files.has(source);

  /** Adds files to those that were added before; a file of the same name takes the other's place. */
  async add(files) {
    if (!files.length) return;
    await this.#beginning;
    this.refused = [];
    this.remark = this.added && !this.#files.size ? say("replaced") : "";
    const taken = files.filter((file) => this.#accepts(file));
    const union = new Map([...(this.#wanted ?? this.#files), ...taken.map((file) => [file.name, file])]);
    if (union.size > this.#limits.max_files) this.remark = say("tooMany", this.#limits.max_files);
    else if (taken.length) return this.#read(union);
    this.#changed();
  }

  /** Takes a document out. */
  async remove(source) {
    const rest = new Map([...this.#files].filter(([name]) => name !== source));
    if (rest.size) return this.#read(rest);
    this.useServed();
  }

  /** Goes back to the server's own documents, or to none. */
  useServed() {
    this.#upload?.abort();
    this.#files.clear();
    this.#wanted = null;
    Object.assign(this, { added: null, isLost: false, refused: [], remark: "" });
    this.#changed();
  }

  /** Adds the files of a lost collection again; tells whether that worked. */
  async restore() {
    await this.#read(this.#files);
    return this.current !== null;
  }

  /** Notes that the server does not know a collection any more. */
  lose(id) {
    if (id === this.added?.id) this.isLost = true;
    this.#changed();
  }

  /** Passes over the note on a file. */
  dismiss(source) {
    this.refused = this.refused.filter((file) => file.source !== source);
    if (this.added) this.added.failed = this.added.failed.filter((file) => file.source !== source);
    this.#changed();
  }

  /** Only what need not be sent to be refused; of all else the server says best what to do. */
  #accepts({ name, size: bytes }) {
    const { max_file_bytes: limit } = this.#limits;
    if (bytes > limit) this.refused.push({ source: name, problem: say("tooLarge", size(bytes), size(limit)) });
    return bytes <= limit;
  }

  /** Has the server read files; what it had before stays in use until that has worked. */
  async #read(files) {
    this.#upload?.abort();
    const upload = (this.#upload = new AbortController());
    this.#wanted = files;
    this.#changed();
    try {
      this.added = await api.upload(files.values(), upload.signal);
      const failed = new Set(this.added.failed.map(({ source }) => source));
      this.#files = new Map([...files].filter(([name]) => !failed.has(name)));
      this.isLost = false;
    } catch (error) {
      if (upload.signal.aborted) return;
      this.remark = error.message;
    }
    this.#wanted = null;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** The files in what was dropped, those in folders included. */
export async function filesIn(dropped) {
  const items = [...dropped.items].filter(({ kind }) => kind === "file");
  // What is in the list is gone once this turn of the loop is over, so nothing is awaited before all is taken.
  const found = items.map((item) => [item.webkitGetAsEntry(), item.getAsFile()]);
  return (await Promise.all(found.map(([entry, file]) => (entry ? filesOf(entry) : [file])))).flat();
}

async function filesOf(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader();
  const found = [];
  // A folder is told in parts, and an empty one comes last.
  for (;;) {
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!entries.length) return found;
    found.push(...(await Promise.all(entries.map(filesOf))).flat());
  }
}
