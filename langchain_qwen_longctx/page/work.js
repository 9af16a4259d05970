/** What is known of a question's work, from the events that tell of it. */

/** Cells of a reading at most; where more chunks were read, each stands for several. */
const MAX_CELLS = 180;

/**
 * A (sub-)question that is looked up.
 * @typedef {{question: string, queries: string[], keywords: string[], outcomes: string[],
 *   evidence: {source: string, page: ?number, quote: string}[], answer: ?string, found: ?boolean}} Step
 */

/**
 * The state before the first event.
 * @param {string} asked The question.
 * @param {boolean} isFollowUp Whether others were asked before.
 */
export const begin = (asked, isFollowUp) => ({
  asked,
  steps: [],
  draft: "",
  status: [isFollowUp ? "contextualizing" : "planning"],
});

/** Takes in one event; `status` is then the key of a text with its values. */
export function follow(work, name, data) {
  FOLLOW[name]?.(work, data);
}

const FOLLOW = {
  analysis(work, { question, queries, keywords }) {
    const last = work.steps.at(-1);
    // A question that is looked up again, at the next level, goes on where it was.
    const step = last && isOpen(last) && last.question === question ? last : addStep(work, question);
    Object.assign(step, { queries: queries.filter((query) => query !== question), keywords });
    work.draft = "";
    work.status = question === work.asked ? ["searching"] : ["searchingFor", question];
  },
  retrieved(work, { passages, tokens }) {
    work.status = ["answering", passages, tokens];
  },
  chunk_read(work, { outcome }) {
    openStep(work).outcomes.push(outcome);
    work.draft = "";
    work.status = ["readingChunks"];
  },
  evidence_found(work, { source, page, quotes }) {
    openStep(work).evidence.push(...quotes.map((quote) => ({ source, page, quote })));
  },
  hop(work, { question, answer, found }) {
    const last = work.steps.at(-1);
    const step = last && isOpen(last) && last.question === question ? last : addStep(work, question);
    Object.assign(step, { answer: withoutMarkers(answer), found });
    work.draft = "";
    work.status = ["proposing"];
  },
  draft_begin(work) {
    work.draft = "";
  },
  draft(work, { text }) {
    work.draft += text;
    work.status = ["writing"];
  },
};

/** The step whose answer is being written, or null where that is the question's own. */
export function draftingStep(work) {
  const last = work.steps.at(-1);
  return last && isOpen(last) && last.question !== work.asked ? last : null;
}

/** A draft as it is shown: its markers number passages that nobody sees. */
export const shownDraft = (draft) => withoutMarkers(draft).replace(/\s*\[[\d, ]*$/, "");

/** Text without markers such as `[2]`. */
export const withoutMarkers = (text) => text.replace(/\s*\[\d+(?:, ?\d+)*\]/g, "");

/** How many of the outcomes are of each kind. */
export function tally(outcomes) {
  const count = (kind) => outcomes.filter((outcome) => outcome === kind).length;
  return { read: outcomes.length, relevant: count("relevant"), failed: count("failed") };
}

/** Outcomes of at most `MAX_CELLS` cells; a cell of several chunks shows the one that matters most. */
export function toCells(outcomes) {
  const width = Math.ceil(outcomes.length / MAX_CELLS);
  const cells = [];
  for (let start = 0; start < outcomes.length; start += width) {
    const group = outcomes.slice(start, start + width);
    cells.push(["relevant", "failed", "irrelevant"].find((kind) => group.includes(kind)));
  }
  return cells;
}

const isOpen = (step) => step.answer === null;

function openStep(work) {
  const last = work.steps.at(-1);
  return last && isOpen(last) ? last : addStep(work, work.asked);
}

function addStep(work, question) {
  const step = { question, queries: [], keywords: [], outcomes: [], evidence: [], answer: null, found: null };
  work.steps.push(step);
  return step;
}
