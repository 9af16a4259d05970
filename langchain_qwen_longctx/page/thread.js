/** The conversation as it is read: a question with its work, and then its answer, or what came instead. */

import { button, element, icon, withCode } from "./dom.js";
import { costOf, duration, languageOf, nameOf, placeOf, say } from "./texts.js";
import { withoutMarkers } from "./work.js";
import { WorkView } from "./work_view.js";

const MARKER_OR_STRONG = /\s*\[(\d+)\]|\*\*([^*\n]+)\*\*/g;
const DEEPER = { retrieve: "read", read: "reason" };

/**
 * What a turn's buttons do.
 * @typedef {{cite: (turn, index: number, opener: Element) => void, again: (turn, changes: object) => void,
 *   recover: (turn) => void, copy: (turn, button: Element) => void, save: (turn) => void,
 *   announce: (text: string) => void}} Actions
 */

/** Shows one turn. */
export class TurnView {
  #turn;
  #actions;
  #work;
  #body = element("div", { class: "body" });

  /** @param {Actions} actions */
  constructor(turn, isFollowUp, actions) {
    this.#turn = turn;
    this.#actions = actions;
    const isWorking = turn.state === "working";
    this.#work = new WorkView(turn.question, isFollowUp, isWorking ? actions.announce : () => null);
    const title = `question-${turn.id}`;
    this.element = element(
      "article",
      { class: "turn", id: `turn-${turn.id}`, tabindex: -1, "aria-labelledby": title },
      element("h2", { id: title, lang: languageOf(turn.question) }, turn.question),
      this.#body,
    );
    this.#body.append(this.#work.element, this.#work.draft);
    for (const [name, data] of turn.events) this.#work.follow(name, data);
    if (!isWorking) this.finish();
  }

  /** Takes in one event. */
  follow(name, data) {
    this.#work.follow(name, data);
  }

  /** Shows how long it has taken. */
  tick(seconds) {
    this.#work.tick(seconds, this.#turn.seconds);
  }

  /** Shows what came of it. */
  finish() {
    const turn = this.#turn;
    this.#work.finish(turn.result ? costOf(turn.result) : say("whatHappened"));
    const work = this.#work.isEmpty ? null : this.#work.element;
    this.#body.replaceChildren(...this.#outcome(turn), this.#foot(turn, work));
  }

  #outcome(turn) {
    if (turn.state === "failed") return [this.#failure(turn)];
    if (turn.state !== "answered") return [this.#interruption(turn)];
    return turn.result.found ? this.#answer(turn) : [this.#absence(turn)];
  }

  #answer({ result }) {
    return [...noticesOf(result), this.#prose(result), result.citations.length > 0 && this.#citations(result)].filter(
      Boolean,
    );
  }

  #prose({ answer, citations }) {
    const paragraphs = answer.split(/\n{2,}/).map((text) => element("p", {}, ...this.#inline(text, citations)));
    return element("div", { class: "prose answer", lang: languageOf(answer) }, ...paragraphs);
  }

  /** Text with its markers as chips, and with what is set off by `**` as such. */
  #inline(text, citations) {
    const parts = [];
    let end = 0;
    for (const match of text.matchAll(MARKER_OR_STRONG)) {
      const [whole, marker, strong] = match;
      if (marker && !citations[marker - 1]) continue;
      parts.push(text.slice(end, match.index));
      parts.push(
        ...(marker
          ? this.#chip(Number(marker), citations)
          : [element("strong", {}, ...this.#inline(strong, citations))]),
      );
      end = match.index + whole.length;
    }
    return [...parts, text.slice(end)];
  }

  #chip(number, citations) {
    const label = say("showCitation", number, nameOf(citations[number - 1].source));
    const chip = button({
      text: String(number),
      label,
      class: "chip",
      "data-citation": number - 1,
      onclick: this.#cite,
    });
    // A word joiner: a line does not begin with a chip.
    return ["\u2060", chip];
  }

  #citations({ citations }) {
    const items = citations.map(({ quote, source, page }, index) =>
      element(
        "li",
        {},
        element(
          "button",
          { type: "button", class: "citation", "data-citation": index, onclick: this.#cite },
          element("span", { class: "number" }, String(index + 1)),
          element("span", { class: "quote", lang: languageOf(quote) }, quote),
          element("span", { class: "place", title: source }, placeOf(source, page)),
        ),
      ),
    );
    return element(
      "section",
      { class: "citations" },
      element("h3", { class: "label" }, say("citations")),
      element("ol", {}, ...items),
    );
  }

  #cite = ({ currentTarget }) => this.#actions.cite(this.#turn, Number(currentTarget.dataset.citation), currentTarget);

  #absence(turn) {
    const { answer, coverage, level, stopped } = turn.result;
    const deeper = DEEPER[level];
    const changes = stopped && turn.seconds ? { seconds: null } : deeper && !stopped ? { level: deeper } : null;
    const text = changes && ("seconds" in changes ? say("withoutLimit") : say("goDeeper")[deeper]);
    return element(
      "section",
      { class: "absent" },
      element("h3", {}, icon("absent"), say(stopped ? "notFoundInTime" : "notFound")),
      element("p", { class: "prose", lang: languageOf(answer) }, withoutMarkers(answer)),
      element("p", { class: "muted" }, say("unread", coverage.chunks_read, coverage.chunks_total)),
      coverage.chunks_failed > 0 && element("p", { class: "muted" }, say("unreadable", coverage.chunks_failed)),
      changes && button({ text, class: "quiet", onclick: () => this.#actions.again(turn, changes) }),
    );
  }

  #failure(turn) {
    const isLost = turn.error.status === 404;
    return element(
      "section",
      { class: "failure", role: "alert" },
      element("h3", {}, icon("warning"), say("failed")),
      element("p", {}, ...withCode(isLost ? say("lost") : turn.error.detail)),
      button({
        text: say(isLost ? "uploadAgain" : "again"),
        class: "quiet",
        onclick: () => (isLost ? this.#actions.recover(turn) : this.#actions.again(turn, {})),
      }),
    );
  }

  #interruption(turn) {
    const text = turn.state === "stopped" ? say("stoppedAfter", duration(turn.elapsed)) : say("interrupted");
    return element(
      "section",
      { class: "interrupted" },
      element("p", { class: "muted" }, text),
      button({ text: say("again"), class: "quiet", onclick: () => this.#actions.again(turn, {}) }),
    );
  }

  #foot(turn, work) {
    if (turn.state !== "answered") return work ?? "";
    const copy = button({ text: say("copy"), picture: "copy", onclick: () => this.#actions.copy(turn, copy) });
    const save = button({ text: say("save"), picture: "save", onclick: () => this.#actions.save(turn) });
    const actions = element("div", { class: "actions" }, copy, save);
    return element("footer", {}, actions, work ?? element("p", { class: "muted" }, costOf(turn.result)));
  }
}

/** Where an answer rests on a part of the documents only. */
function noticesOf({ stopped, coverage }) {
  const read = [coverage.chunks_read, coverage.chunks_total];
  const texts = [];
  if (stopped) texts.push(say(stopped === "deadline" ? "deadline" : "limitReached", ...read));
  if (coverage.chunks_failed) texts.push(say("unreadable", coverage.chunks_failed));
  return texts.map((text) => element("p", { class: "notice" }, icon("warning"), text));
}
