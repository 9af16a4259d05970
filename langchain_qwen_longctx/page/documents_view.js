/** The list of documents: what each has become, what to do about those that could not be read, and how to add more. */

import { button, element, icon, withCode } from "./dom.js";
import { folderOf, nameOf, say, size } from "./texts.js";

/** So many documents are listed at once; more than these open on demand. */
const MAX_LISTED = 8;

/** Shows documents in one element, which may be moved about. */
export class DocumentsView {
  #documents;
  #choose;
  element = element("section", { class: "documents" });

  /**
   * @param {import("./documents.js").Documents} documents
   * @param {() => void} choose Lets the user choose files.
   */
  constructor(documents, choose) {
    this.#documents = documents;
    this.#choose = choose;
    documents.addEventListener("change", () => this.render());
  }

  /** Shows the documents anew. */
  render() {
    const { current, added, isLost, limits } = this.#documents;
    this.element.hidden = !limits;
    this.element.ariaLabel = say("documents");
    this.element.classList.toggle("without", !current && !this.#documents.isReading);
    this.element.replaceChildren(
      ...[
        element("h2", { class: "label" }, say("documents")),
        isLost && this.#note("lost"),
        this.#list(),
        this.#documents.remark &&
          element("p", { class: "problem", role: "alert" }, ...withCode(this.#documents.remark)),
        limits && this.#adding(),
        added &&
          !isLost &&
          element("p", { class: "muted kept" }, say("kept", Math.round(limits.lifetime_seconds / 60))),
        (added || isLost) && this.#documents.served && this.#wayBack(),
      ].filter(Boolean),
    );
  }

  #list() {
    const { current, pending, refused } = this.#documents;
    const failed = [...(current?.failed ?? []), ...refused];
    const documents = (current?.documents ?? []).filter(({ source }) => !pending.some(({ name }) => name === source));
    const rows = documents.map((document) => this.#document(document));
    return element(
      "div",
      { class: "list" },
      rows.length > MAX_LISTED ? this.#folded(rows) : element("ul", {}, ...rows),
      element("ul", { "aria-live": "polite" }, ...pending.map(pendingRow), ...failed.map((file) => this.#failed(file))),
    );
  }

  #folded(rows) {
    const { documents, chunks } = this.#documents.current;
    const summary = element(
      "summary",
      {},
      icon("file"),
      say("documentTotal", documents.length, chunks),
      icon("chevron"),
    );
    return element("details", {}, summary, element("ul", {}, ...rows));
  }

  #document({ source, chunks, pages }) {
    const remove = this.#documents.canRemove(source) && {
      label: say("remove", source),
      onclick: () => this.#documents.remove(source),
    };
    const extent = [say("chunks", chunks), pages && say("pages", pages), folderOf(source)].filter(Boolean).join(" · ");
    return row("file", source, extent, "", remove);
  }

  #failed({ source, problem }) {
    const dismiss = { label: say("dismiss", source), onclick: () => this.#documents.dismiss(source) };
    return row("warning", source, problem, "failed", dismiss);
  }

  #note(key) {
    const again =
      this.#documents.canRestore &&
      button({ text: say("uploadAgain"), class: "quiet", onclick: () => this.#documents.restore() });
    return element("div", { class: "problem", role: "alert" }, element("p", {}, say(key)), again);
  }

  #adding() {
    const { suffixes, max_files: files, max_file_bytes: bytes } = this.#documents.limits;
    const types = suffixes.map((suffix) => suffix.slice(1).toUpperCase()).join(" ");
    const isFirst = !this.#documents.current;
    return element(
      "div",
      { class: "adding" },
      element("p", { class: "drop-here" }, icon("drop"), say("dropHere")),
      button({ text: say(isFirst ? "orChoose" : "addFiles"), picture: "plus", class: "choose", onclick: this.#choose }),
      element("p", { class: "muted accepted" }, say("accepted", types, files, size(bytes))),
    );
  }

  #wayBack() {
    return button({ text: say("useServed"), class: "quiet", onclick: () => this.#documents.useServed() });
  }
}

const pendingRow = ({ name, size: bytes }) => row("file", name, `${say("reading")} ${size(bytes)}`, "pending");

function row(picture, name, text, state, close) {
  return element(
    "li",
    { class: `document ${state}` },
    icon(picture),
    element("span", { class: "name", title: name }, nameOf(name)),
    element("span", { class: "state" }, text),
    close && button({ picture: "close", class: "small", ...close }),
  );
}
