/** What is going on while a question is answered, and afterwards how the answer was found. */

import { element, icon } from "./dom.js";
import { clock, languageOf, placeOf, say } from "./texts.js";
import { begin, draftingStep, follow, shownDraft, tally, toCells } from "./work.js";

/** Shows a question's work: a summary that opens and closes, the steps in it, and the draft below. */
export class WorkView {
  #asked;
  #work;
  #steps = [];
  #announce;
  #status = element("span", { class: "status" });
  #clock = element("span", { class: "clock" });
  #summary = element("summary", {}, element("span", { class: "pulse" }), this.#status, this.#clock);
  #list = element("ol", { class: "steps" });
  #draftText = element("div", { class: "prose" });

  /** The summary with the steps. */
  element = element("details", { class: "work", open: true }, this.#summary, this.#list);
  /** The answer while it is being written. */
  draft = element("section", { class: "draft", hidden: true });

  /**
   * @param {string} asked The question.
   * @param {boolean} isFollowUp Whether others were asked before.
   * @param {(text: string) => void} announce Is told each new status.
   */
  constructor(asked, isFollowUp, announce) {
    this.#asked = asked;
    this.#work = begin(asked, isFollowUp);
    this.#announce = announce;
    this.draft.append(element("p", { class: "label" }, say("draft")), this.#draftText);
    this.#showStatus();
  }

  /** Takes in one event. */
  follow(name, data) {
    follow(this.#work, name, data);
    const { steps } = this.#work;
    while (this.#steps.length < steps.length) this.#addStep();
    if (name !== "draft" && name !== "draft_begin") this.#steps.at(-1)?.update();
    this.#showStatus();
    this.#showDraft();
  }

  /** Shows how long it has taken, and how long it may take. */
  tick(seconds, limit) {
    this.#clock.textContent = limit ? `${clock(seconds)} / ${clock(limit)}` : clock(seconds);
  }

  /** Closes the work with a line on what it came to. */
  finish(line) {
    this.draft.remove();
    this.#summary.replaceChildren(element("span", { class: "status" }, line), icon("chevron"));
    this.#summary.title = say("howFound");
    this.element.open = false;
    this.element.classList.add("finished");
    this.#steps.at(-1)?.showDraft("");
  }

  /** Whether there is anything to open. */
  get isEmpty() {
    return this.#steps.length === 0;
  }

  #addStep() {
    const step = this.#work.steps[this.#steps.length];
    // Looked up by itself, the question stands above already.
    const view = new StepView(step, this.#steps.length > 0 || step.question !== this.#asked);
    this.#steps.push(view);
    this.#list.append(view.element);
  }

  #showStatus() {
    const text = say(...this.#work.status);
    if (text === this.#status.textContent) return;
    this.#status.textContent = text;
    this.#announce(text);
  }

  #showDraft() {
    const text = shownDraft(this.#work.draft);
    const isStep = draftingStep(this.#work) !== null;
    this.#steps.at(-1)?.showDraft(isStep ? text : "");
    this.draft.hidden = isStep || !text;
    this.#draftText.textContent = isStep ? "" : text;
    this.#draftText.lang = languageOf(text);
  }
}

/** A (sub-)question with what was searched for, read, found, and answered. */
class StepView {
  #step;
  #terms = element("p", { class: "terms" });
  #cells = element("div", { class: "cells", role: "img", hidden: true });
  #counts = element("p", { class: "counts", hidden: true });
  #evidence = element("ul", { class: "evidence", "aria-label": say("evidence") });
  #answer = element("p", { class: "step-answer", hidden: true });

  constructor(step, isNamed) {
    this.#step = step;
    this.element = element(
      "li",
      { class: isNamed ? "step named" : "step" },
      isNamed && element("p", { class: "step-question", lang: languageOf(step.question) }, step.question),
      this.#terms,
      this.#cells,
      this.#counts,
      this.#evidence,
      this.#answer,
    );
  }

  update() {
    const { queries, keywords, outcomes, evidence, answer, found } = this.#step;
    const terms = [...queries, ...keywords];
    this.#terms.hidden = terms.length === 0;
    this.#terms.replaceChildren(element("span", { class: "label" }, say("keywords")), terms.join(" · "));
    if (outcomes.length) this.#showOutcomes(outcomes);
    this.#evidence.append(...evidence.slice(this.#evidence.childElementCount).map(evidenceItem));
    if (answer !== null) {
      this.element.classList.add(found ? "found" : "unfound");
      this.#say(found ? answer : say("notThere"));
    }
  }

  /** Shows the step's answer while it is being written. */
  showDraft(text) {
    if (this.#step.answer !== null) return;
    this.#answer.classList.toggle("drafted", text !== "");
    this.#say(text);
  }

  #say(text) {
    this.#answer.hidden = text === "";
    this.#answer.lang = languageOf(text);
    this.#answer.replaceChildren(icon("arrow"), text);
    if (this.#step.answer !== null) this.#answer.classList.remove("drafted");
  }

  #showOutcomes(outcomes) {
    const { read, relevant, failed } = tally(outcomes);
    const said = say("counts", read, relevant, failed);
    const cells = toCells(outcomes);
    this.#cells.hidden = this.#counts.hidden = false;
    this.#cells.ariaLabel = said;
    this.#counts.textContent = said;
    // From the first cell that differs on, so that only what is new moves.
    const old = [...this.#cells.children].map((cell) => cell.dataset.outcome);
    const same = cells.findIndex((outcome, index) => outcome !== old[index]);
    const kept = same < 0 ? cells.length : same;
    for (const cell of [...this.#cells.children].slice(kept)) cell.remove();
    this.#cells.append(...cells.slice(kept).map((outcome) => element("span", { "data-outcome": outcome })));
  }
}

function evidenceItem({ source, page, quote }) {
  return element(
    "li",
    {},
    element("blockquote", { lang: languageOf(quote) }, quote),
    element("p", { class: "place", title: source }, placeOf(source, page)),
  );
}
