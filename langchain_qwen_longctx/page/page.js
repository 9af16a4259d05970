/** The page: puts its parts together, and carries a question from the field to its answer. */

import * as api from "./api.js";
import { Composer } from "./composer.js";
import { Documents, filesIn } from "./documents.js";
import { DocumentsView } from "./documents_view.js";
import { button, byId, element, withCode } from "./dom.js";
import { copy, download, fileName, toMarkdown, toText } from "./markdown_export.js";
import { PassagePanel } from "./passage.js";
import { addTurn, keep, requestOf, restore, session } from "./session.js";
import { languageOf, say, spoken, switchLanguage, translate } from "./texts.js";
import { TurnView } from "./thread.js";

/** Where a button's text goes back to what it was. */
const SAID_FOR = 1600;

restore();
const documents = new Documents();
const documentsView = new DocumentsView(documents, () => byId("files").click());
const composer = new Composer();
const passage = new PassagePanel(collectionFor);
/** By id of their turn. @type {Map<number, TurnView>} */
const views = new Map();
/** What stops the question that is being answered, or null. */
let work = null;
let info = null;

const actions = {
  cite: (turn, index, opener) => passage.open(turn, index, opener),
  again: (turn, changes) => askAgain(turn, changes),
  recover,
  copy: async (turn, pressed) => flash(pressed, (await copy(toText(turn.result))) ? "copied" : "copyFailed"),
  save: (turn) => download(fileName(turn.question), toMarkdown([turn])),
  announce,
};

function announce(text) {
  byId("announcements").textContent = text;
}

function flash(pressed, key) {
  const label = pressed.querySelector("span");
  const before = label.textContent;
  label.textContent = say(key);
  announce(say(key));
  setTimeout(() => (label.textContent = before), SAID_FOR);
}

/** Citations outlive the collection they were made from, where another one has the same source. */
function collectionFor(turn, source) {
  const { current } = documents;
  const isThere = current?.documents.some((document) => document.source === source);
  return isThere && turn.collection !== "served" ? current.id : turn.collection;
}

async function start() {
  try {
    info = await api.info();
    await documents.start(info, session.collection);
  } catch (error) {
    showFailure(error);
    return;
  }
  byId("model").textContent = info.model;
  byId("trouble").hidden = true;
  render();
}

function showFailure(error) {
  const retry = button({ text: say(error.status === 401 ? "enterKey" : "again"), class: "quiet", onclick: start });
  byId("trouble").replaceChildren(element("p", {}, ...withCode(error.message)), retry);
  byId("trouble").hidden = false;
}

function translatePage() {
  document.documentElement.lang = spoken() === "zh" ? "zh-CN" : "en";
  document.title = say("title");
  translate(document);
  byId("language").lang = spoken() === "zh" ? "en" : "zh-CN";
}

/** Shows everything anew, in the language of the page. */
function render() {
  translatePage();
  views.clear();
  byId("thread").replaceChildren(...session.turns.map((turn, index) => viewOf(turn, index > 0).element));
  composer.render(info);
  composer.isWorking = work !== null;
  renderExamples();
  arrange();
}

function viewOf(turn, isFollowUp) {
  const view = new TurnView(turn, isFollowUp, actions);
  views.set(turn.id, view);
  return view;
}

/** Puts the documents where they belong: before the first question they are what the page is about. */
function arrange() {
  const isEmpty = session.turns.length === 0;
  document.body.classList.toggle("empty", isEmpty);
  byId(isEmpty ? "welcome-documents" : "sidebar-documents").append(documentsView.element);
  documentsView.render();
  const count = documents.current?.documents.length ?? 0;
  byId("documents-button").querySelector("span").textContent = say("documentCount", count);
  byId("questions").replaceChildren(...session.turns.map(questionLink));
}

function questionLink({ id, question }) {
  const link = { href: `#turn-${id}`, title: question, lang: languageOf(question) };
  return element("li", {}, element("a", link, element("span", {}, question)));
}

function renderExamples() {
  const examples = say("examples").map((question) =>
    element("li", {}, button({ text: question, class: "example", onclick: () => composer.suggest(question) })),
  );
  byId("examples").replaceChildren(...examples);
}

documents.addEventListener("change", () => {
  const before = session.collection;
  session.collection = documents.added?.id ?? null;
  const isNeeded = before === session.collection || session.turns.some(({ collection }) => collection === before);
  if (before && !isNeeded) api.forget(before);
  if (documents.current) composer.hint("");
  arrange();
  keep();
});

composer.addEventListener("ask", (event) => {
  if (documents.isReading || !documents.current) {
    event.preventDefault();
    composer.hint(say(documents.isReading ? "stillReading" : documents.isLost ? "lost" : "firstAdd"));
    return;
  }
  ask(addTurn(event.detail, documents.current.id));
});

composer.addEventListener("stop", () => work?.abort());

/** Puts a question again, in another way; what came of it before makes room. */
function askAgain(turn, changes) {
  if (work || !documents.current) return;
  session.turns = session.turns.filter(({ id }) => id !== turn.id);
  views.get(turn.id).element.remove();
  const { level, seconds } = turn;
  ask(Object.assign(addTurn(turn.question, documents.current.id), { level, seconds }, changes));
}

/** Brings back the documents that the server has lost, and asks again. */
async function recover(turn) {
  if (documents.canRestore) {
    if (await documents.restore()) askAgain(turn, {});
  } else if (documents.current && documents.current.id !== turn.collection) askAgain(turn, {});
  else byId("files").click();
}

async function ask(turn) {
  const abort = (work = new AbortController());
  const view = viewOf(turn, session.turns.length > 1);
  byId("thread").append(view.element);
  composer.render();
  composer.isWorking = true;
  arrange();
  view.element.scrollIntoView({ block: "start" });
  keep();
  const began = performance.now();
  const elapsed = () => (performance.now() - began) / 1000;
  const ticking = setInterval(() => views.get(turn.id)?.tick(elapsed()), 500);
  try {
    await follow(turn, abort.signal);
    turn.state = "answered";
    announce(`${say(turn.result.found ? "answered" : "notFound")}: ${turn.result.answer}`);
  } catch (error) {
    turn.state = abort.signal.aborted ? "stopped" : "failed";
    turn.error = { status: error.status ?? 0, detail: error.message };
    if (error.status === 404) documents.lose(turn.collection);
    if (turn.state === "stopped") announce(say("stopped"));
  }
  clearInterval(ticking);
  turn.elapsed = elapsed();
  finish(turn, abort);
}

async function follow(turn, signal) {
  for await (const [name, data] of api.ask(requestOf(turn), signal)) {
    if (name === "result") turn.result = data;
    else {
      turn.events.push([name, data]);
      views.get(turn.id)?.follow(name, data);
    }
  }
}

function finish(turn, abort) {
  turn.events = turn.events.filter(([name]) => !name.startsWith("draft"));
  if (work !== abort) return;
  work = null;
  composer.isWorking = false;
  views.get(turn.id)?.finish();
  keep();
}

byId("new").addEventListener("click", () => {
  work?.abort();
  work = null;
  if (passage.isOpen) passage.close();
  session.turns = [];
  render();
  keep();
  composer.focus();
});

byId("save-all").addEventListener("click", () => {
  download(fileName(say("exportTitle")), toMarkdown(session.turns, say("exportTitle")));
});

byId("language").addEventListener("click", () => {
  if (passage.isOpen) passage.close();
  switchLanguage();
  render();
  announce("");
});

byId("sidebar").addEventListener("click", ({ target }) => target.closest("a") && byId("sidebar").hidePopover());

byId("files").addEventListener("change", ({ target }) => {
  documents.add([...target.files]);
  target.value = "";
});

addEventListener("pagehide", keep);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && passage.isOpen && !event.defaultPrevented) passage.close();
});

// A drag over the page enters and leaves each element on its way.
let depth = 0;
const hasFiles = ({ dataTransfer }) => dataTransfer?.types.includes("Files");
const showDrop = (isOver) => document.body.classList.toggle("dropping", isOver);

document.addEventListener("dragenter", (event) => hasFiles(event) && showDrop(++depth > 0));
document.addEventListener("dragleave", (event) => hasFiles(event) && showDrop(--depth > 0));
document.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
document.addEventListener("drop", async (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  showDrop((depth = 0) > 0);
  documents.add(await filesIn(event.dataTransfer));
});

api.onKeyNeeded((wasRefused) => {
  const dialog = byId("key-dialog");
  const field = byId("key");
  field.value = "";
  byId("key-problem").textContent = wasRefused ? say("keyWrong") : "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "given" ? field.value.trim() : null), {
      once: true,
    });
  });
});

byId("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  byId("key-dialog").close("given");
});
byId("key-cancel").addEventListener("click", () => byId("key-dialog").close(""));

render();
start();
