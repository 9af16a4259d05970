/** The passage a citation stands in: the document's text with the quote highlighted, beside the answer or above it. */

import * as api from "./api.js";
import { button, byId, element } from "./dom.js";
import { folderOf, languageOf, nameOf, say } from "./texts.js";

const BESIDE = matchMedia("(min-width: 60rem)");
/** Characters of text on either side of a quote, at first, and at most. */
const AROUND = 1200;
const MAX_AROUND = 9600;
/** Where the quote comes to stand, as a share of the height. */
const QUOTE_AT = 0.28;
/** A sheet that is pulled down so far closes. */
const PULL = 90;

/** Shows one citation of a turn after the other. */
export class PassagePanel {
  #dialog = byId("passage");
  #text = byId("passage-text");
  #turn = null;
  #index = 0;
  #around = AROUND;
  #opener = null;
  #passage = null;
  #collectionFor;

  /** @param {(turn, source: string) => string} collectionFor Where a source of a turn may be found by now. */
  constructor(collectionFor) {
    this.#collectionFor = collectionFor;
    byId("passage-close").addEventListener("click", () => this.close());
    byId("passage-previous").addEventListener("click", () => this.#step(-1));
    byId("passage-next").addEventListener("click", () => this.#step(1));
    this.#dialog.addEventListener("click", ({ target }) => target === this.#dialog && this.close());
    // The sheet's own Escape.
    this.#dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      this.close();
    });
    BESIDE.addEventListener("change", () => this.isOpen && this.#showDialog());
    this.#followPulls(byId("passage-head"));
  }

  /** Whether it is there. */
  get isOpen() {
    return this.#dialog.open;
  }

  /** Shows a citation; once it is closed, the focus goes back to where it came from. */
  open(turn, index, opener) {
    this.#opener = opener;
    this.#turn = turn;
    this.#show(index);
    if (!this.isOpen) this.#showDialog();
    this.#text.focus({ preventScroll: true });
  }

  /** Puts it away. */
  close() {
    this.#dialog.close();
    delete document.body.dataset.passage;
    this.#mark(null);
    if (this.#opener?.isConnected) this.#opener.focus();
    this.#turn = null;
  }

  #showDialog() {
    this.#dialog.close();
    // Beside the answer one goes on reading; a sheet has the page to itself.
    if (BESIDE.matches) this.#dialog.show();
    else this.#dialog.showModal();
    document.body.dataset.passage = "open";
  }

  #step(by) {
    this.#show(this.#index + by);
    const { citations } = this.#turn.result;
    // A button that leads nowhere cannot keep the focus.
    const leadsOn = citations[this.#index + by] !== undefined;
    byId(by < 0 === leadsOn ? "passage-previous" : "passage-next").focus();
  }

  #show(index) {
    this.#index = index;
    this.#around = AROUND;
    this.#passage = null;
    const { citations } = this.#turn.result;
    byId("passage-previous").disabled = index === 0;
    byId("passage-next").disabled = index === citations.length - 1;
    byId("passage-position").textContent = say("position", index + 1, citations.length);
    this.#showPlace(citations[index]);
    this.#mark(this.#turn);
    return this.#load();
  }

  #showPlace({ source, page }) {
    byId("passage-source").textContent = nameOf(source);
    const place = [page && say("page", page), folderOf(source)].filter(Boolean);
    byId("passage-place").textContent = place.join(" · ");
  }

  /** Marks the citation that is shown, wherever it is named. */
  #mark(turn) {
    for (const node of document.querySelectorAll("[data-citation][aria-current]")) node.removeAttribute("aria-current");
    if (!turn) return;
    const named = document.querySelectorAll(`#turn-${turn.id} [data-citation="${this.#index}"]`);
    for (const node of named) node.setAttribute("aria-current", "true");
  }

  async #load() {
    const turn = this.#turn;
    const index = this.#index;
    const citation = turn.result.citations[index];
    const isStill = () => this.#turn === turn && this.#index === index;
    // What comes at once shall not flicker.
    const waiting = setTimeout(
      () => isStill() && this.#text.replaceChildren(element("p", { class: "loading" }, say("reading"))),
      150,
    );
    try {
      const passage = await api.passage(this.#collectionFor(turn, citation.source), citation, this.#around);
      if (isStill()) this.#showPassage(passage);
    } catch (error) {
      if (isStill()) this.#showQuote(citation, error);
    } finally {
      clearTimeout(waiting);
    }
  }

  #showPassage(passage) {
    const { before, quote, after, is_start: isStart, is_end: isEnd } = passage;
    const kept = this.#passage && this.#quoteTop();
    this.#passage = passage;
    this.#showPlace(passage);
    const mark = element("mark", { tabindex: -1 }, quote);
    const text = element("div", { class: "passage", lang: languageOf(before + quote + after) }, before, mark, after);
    this.#text.replaceChildren(
      this.#edge(isStart, "beginning", "moreBefore"),
      text,
      this.#edge(isEnd, "end", "moreAfter"),
    );
    this.#text.scrollTop += this.#quoteTop() - (kept ?? this.#text.clientHeight * QUOTE_AT);
  }

  #edge(isReached, reached, more) {
    if (isReached) return element("p", { class: "edge" }, say(reached));
    if (this.#around >= MAX_AROUND) return element("p", { class: "edge" }, "…");
    return button({ text: say(more), class: "quiet edge", onclick: () => this.#widen() });
  }

  #widen() {
    this.#around *= 2;
    this.#text.focus({ preventScroll: true });
    return this.#load();
  }

  /** Where the quote stands below the upper edge, in pixels. */
  #quoteTop() {
    return this.#text.querySelector("mark").getBoundingClientRect().top - this.#text.getBoundingClientRect().top;
  }

  #showQuote({ quote }, error) {
    const reason = error.status === 404 ? say("onlyQuote") : say("passageFailed", error.message);
    const text = element("div", { class: "passage", lang: languageOf(quote) }, element("mark", {}, quote));
    this.#text.replaceChildren(element("p", { class: "problem", role: "alert" }, reason), text);
  }

  /** A sheet is pulled down by its head. */
  #followPulls(head) {
    let from = null;
    const release = ({ clientY }) => {
      const isFar = from !== null && clientY - from > PULL;
      from = null;
      this.#dialog.style.transform = "";
      if (isFar) this.close();
    };
    head.addEventListener("pointerdown", (event) => {
      if (BESIDE.matches || event.target.closest("button")) return;
      from = event.clientY;
      head.setPointerCapture(event.pointerId);
    });
    head.addEventListener("pointermove", ({ clientY }) => {
      if (from !== null) this.#dialog.style.transform = `translateY(${Math.max(0, clientY - from)}px)`;
    });
    head.addEventListener("pointerup", release);
    head.addEventListener("pointercancel", () => release({ clientY: -Infinity }));
  }
}
