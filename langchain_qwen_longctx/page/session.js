/** The conversation: its questions with their answers, kept until the tab is closed. */

const STORE = "qwen-longctx.session";

/** The server takes questions in their context; older ones than these hardly matter to it. */
const MAX_HISTORY = 20;

/**
 * One question.
 * @typedef {{id: number, question: string, level: string, seconds: ?number, collection: string,
 *   state: "working"|"answered"|"stopped"|"interrupted"|"failed", events: [string, object][], result: ?object,
 *   error: ?{status: number, detail: string}, elapsed: number}} Turn
 */

/** The state of the page that outlives a reload. */
export const session = {
  /** @type {Turn[]} */
  turns: [],
  /** Id of the documents that were uploaded, null for those of the server. */
  collection: null,
  level: "auto",
  /** Seconds that a question may take, 0 for any. */
  budget: 0,
  unsent: "",
};

/** Takes up what was kept; a question that was being answered is not any more. */
export function restore() {
  try {
    Object.assign(session, JSON.parse(sessionStorage.getItem(STORE)));
  } catch {
    sessionStorage.removeItem(STORE);
  }
  for (const turn of session.turns) if (turn.state === "working") turn.state = "interrupted";
}

/** Keeps it. If there is no room, the work behind the answers is left out. */
export function keep() {
  try {
    sessionStorage.setItem(STORE, JSON.stringify(session));
  } catch {
    const turns = session.turns.map((turn) => ({ ...turn, events: [] }));
    sessionStorage.setItem(STORE, JSON.stringify({ ...session, turns }));
  }
}

/** Adds a question and returns its turn. */
export function addTurn(question, collection) {
  const turn = {
    id: (session.turns.at(-1)?.id ?? 0) + 1,
    question,
    level: session.level,
    seconds: session.budget || null,
    collection,
    state: "working",
    events: [],
    result: null,
    error: null,
    elapsed: 0,
  };
  session.turns.push(turn);
  return turn;
}

/** Questions and answers before a turn, as messages. */
export function historyBefore(turn) {
  const earlier = session.turns.filter(({ id, result }) => id < turn.id && result);
  return earlier.slice(-MAX_HISTORY).flatMap(({ question, result }) => [
    { type: "human", content: question },
    { type: "ai", content: result.answer },
  ]);
}

/** What `/ask` is sent for a turn. */
export function requestOf(turn) {
  const { question, level, collection, seconds } = turn;
  return { question, level, history: historyBefore(turn), collection, ...(seconds && { max_seconds: seconds }) };
}
