/** Where questions are written: the field, how to search, and one button that asks or stops. */

import { byId, element } from "./dom.js";
import { duration, say } from "./texts.js";
import { session } from "./session.js";

/** A screen that a keyboard takes half of. */
const BY_TOUCH = matchMedia("(hover: none)");

/** Fires `ask` with the question as its detail, and `stop`. */
export class Composer extends EventTarget {
  #form = byId("composer");
  #field = byId("question");
  #submit = byId("submit");
  #opener = byId("options-button");
  #options = byId("options");
  #hint = byId("composer-hint");
  #info = null;
  #isWorking = false;

  constructor() {
    super();
    this.#field.value = session.unsent;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#act();
    });
    this.#field.addEventListener("keydown", (event) => this.#press(event));
    this.#field.addEventListener("input", () => this.#changed());
    this.#field.addEventListener("focus", () => this.#form.classList.remove("compact"));
    this.#opener.addEventListener("click", () => this.#toggle(this.#options.hidden));
    this.#options.addEventListener("change", ({ target }) => this.#choose(target));
    document.addEventListener("pointerdown", ({ target }) => {
      if (!this.#options.contains(target) && !this.#opener.contains(target)) this.#toggle(false);
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.#options.hidden) return;
      event.stopPropagation();
      this.#toggle(false);
      this.#opener.focus();
    });
  }

  /** Says what there is to choose from, in the language of the page. */
  render(info = this.#info) {
    this.#info = info;
    this.#field.placeholder = say(session.turns.length ? "followUp" : "placeholder");
    this.#options.replaceChildren(this.#levels(), this.#budgets());
    this.#changed();
    this.#showChoice();
  }

  /** Whether a question is being answered; meanwhile the button stops it. */
  set isWorking(isWorking) {
    this.#isWorking = isWorking;
    this.#form.classList.toggle("working", isWorking);
    const label = say(isWorking ? "stop" : "send");
    this.#submit.ariaLabel = this.#submit.title = label;
    this.#submit.querySelector("use").setAttribute("href", isWorking ? "#icon-stop" : "#icon-send");
  }

  /** Puts a question into the field, for the user to send. */
  suggest(question) {
    this.#field.value = question;
    this.#changed();
    this.focus();
  }

  /** Says what has to be done first; an empty text takes that back. */
  hint(text) {
    this.#hint.textContent = text;
  }

  /** Lets the user write. */
  focus() {
    this.#field.focus();
  }

  #press(event) {
    // While characters are being composed, Enter takes the proposal; Safari tells only by the code 229.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!this.#isWorking) this.#act();
  }

  #act() {
    if (this.#isWorking) {
      this.dispatchEvent(new Event("stop"));
      return;
    }
    const question = this.#field.value.trim();
    if (!question) return this.focus();
    if (!this.dispatchEvent(new CustomEvent("ask", { detail: question, cancelable: true }))) return;
    this.#field.value = "";
    this.#changed();
    if (BY_TOUCH.matches) this.#makeWay();
  }

  /** Leaves the screen to the answer. */
  #makeWay() {
    this.#field.blur();
    this.#form.classList.add("compact");
  }

  #changed() {
    session.unsent = this.#field.value;
    this.#form.classList.toggle("empty", !this.#field.value.trim());
    // Browsers without `field-sizing` need to be told.
    if (CSS.supports("field-sizing", "content")) return;
    this.#field.style.height = "auto";
    this.#field.style.height = `${this.#field.scrollHeight}px`;
  }

  #toggle(isOpen) {
    this.#options.hidden = !isOpen;
    this.#opener.ariaExpanded = String(isOpen);
    if (isOpen) this.#options.querySelector("input:checked")?.focus();
  }

  #choose({ name, value }) {
    if (name === "level") session.level = value;
    else session.budget = Number(value);
    this.#showChoice();
  }

  #showChoice() {
    const parts = [say("levels")[session.level][0], session.budget && say("budgets")[session.budget]].filter(Boolean);
    this.#opener.querySelector("span").textContent = parts.join(" · ");
    this.#opener.ariaLabel = `${say("options")}: ${parts.join(", ")}`;
  }

  #levels() {
    const offered = this.#info?.levels ?? ["auto"];
    if (!offered.includes(session.level)) session.level = offered[0];
    const radios = offered.map((level) => {
      const [name, what] = say("levels")[level];
      return radio(
        "level",
        level,
        level === session.level,
        element("span", { class: "name" }, name),
        element("span", { class: "muted" }, what),
      );
    });
    return element("fieldset", { class: "levels" }, element("legend", { class: "label" }, say("level")), ...radios);
  }

  #budgets() {
    const limit = this.#info?.max_seconds;
    const offered = [0, 30, 120, 600].filter((seconds) => !limit || seconds < limit);
    if (!offered.includes(session.budget)) session.budget = 0;
    const radios = offered.map((seconds) =>
      radio("budget", seconds, seconds === session.budget, element("span", { class: "name" }, say("budgets")[seconds])),
    );
    return element(
      "fieldset",
      { class: "budgets" },
      element("legend", { class: "label" }, say("budget")),
      element("div", { class: "segments" }, ...radios),
      limit && element("p", { class: "muted" }, say("serverLimit", duration(limit))),
    );
  }
}

const radio = (name, value, checked, ...content) =>
  element(
    "label",
    { class: "choice" },
    element("input", { type: "radio", name, value, checked }),
    element("span", { class: "text" }, ...content),
  );
