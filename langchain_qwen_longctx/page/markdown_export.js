/** Answers with their citations as Markdown and as plain text, and how they leave the page. */

import { costOf, say } from "./texts.js";
import { withoutMarkers } from "./work.js";

/** Characters that mean something to Markdown wherever they stand. */
const SPECIAL = /[\\`*_{}[\]<>|~$&]/g;
/** What means something at the beginning of a line only. */
const LEADING = /^(\s*)([#+=-]|\d+(?=[.)]))/;

/**
 * Answered turns as a Markdown document.
 * @param {import("./session.js").Turn[]} turns
 * @param {string} title Its heading; if empty, it has none.
 */
export function toMarkdown(turns, title = "") {
  const level = title ? "##" : "#";
  const parts = turns.filter(({ result }) => result).map(({ result }) => answerToMarkdown(result, level));
  return `${[title && `# ${escape(title)}`, ...parts].filter(Boolean).join("\n\n")}\n`;
}

function answerToMarkdown(result, level) {
  const { question, answer, found, citations, steps } = result;
  return [
    `${level} ${escape(question.replace(/\s+/g, " "))}`,
    found ? escape(answer) : `**${say("notFound")}** ${escape(withoutMarkers(answer))}`,
    ...citations.map(citationToMarkdown),
    steps.length && [`**${say("askedAs")}**`, "", ...steps.map(stepToMarkdown)].join("\n"),
    `*${escape(costLine(result))}*`,
  ]
    .filter(Boolean)
    .join("\n\n");
}

function citationToMarkdown({ quote, ...citation }, index) {
  const lines = escape(quote).split("\n");
  return [
    `**\\[${index + 1}\\]** ${escape(placeOf(citation))}`,
    "",
    ...lines.map((line) => `> ${line}`.trimEnd()),
  ].join("\n");
}

function stepToMarkdown({ question, answer, found }, index) {
  return `${index + 1}. ${escape(oneLine(question))} → ${escape(found ? oneLine(answer) : say("notThere"))}`;
}

function placeOf({ source, page, start, end }) {
  return [source, page && say("page", page), say("characters", start, end)].filter(Boolean).join(", ");
}

const costLine = (result) => (result.stopped ? `${say("partial")}: ${costOf(result)}` : costOf(result));

/** Text that Markdown shows as it is, line by line. */
export function escape(text) {
  const lines = text
    .split(/\r\n?|\n/)
    .map((line) => line.replace(SPECIAL, "\\$&").replace(LEADING, escapeLeading).trimStart());
  return lines.join("\n");
}

const escapeLeading = (_, space, sign) => (/\d/.test(sign) ? `${space}${sign}\\` : `${space}\\${sign}`);
const oneLine = (text) => text.replace(/\s+/g, " ").trim();

/** An answer as plain text with its citations below. */
export function toText({ answer, citations }) {
  const places = citations.map(({ quote, source, page }, index) => {
    return `[${index + 1}] ${source}${page ? `, ${say("page", page)}` : ""}: ${oneLine(quote)}`;
  });
  return [answer, ...(places.length ? ["", ...places] : [])].join("\n");
}

/** A file name made of a text. */
export function fileName(text) {
  const words = text.replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
  return `${[...words].slice(0, 48).join("") || say("file")}.md`;
}

/** Has the browser save a text as a file. */
export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/markdown;charset=utf-8" }));
  const link = document.createElement("a");
  Object.assign(link, { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Puts a text on the clipboard; tells whether that worked. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Pages that come over plain HTTP from another machine have no clipboard of their own.
    return copySelected(text);
  }
}

function copySelected(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "unseen";
  document.body.append(field);
  field.select();
  try {
    return document.execCommand("copy");
  } finally {
    field.remove();
  }
}
