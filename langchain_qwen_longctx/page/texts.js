/** What the page says, in English and Chinese, and numbers as each language writes them. */

const CHOICE = "qwen-longctx.language";

const several = (count, one, many) => `${number(count)} ${count === 1 ? one : many}`;

/** Texts in a row, which breaks only between them. */
const parts = (...texts) => texts.map((text) => text.replaceAll(" ", "\u00a0")).join(" · ");

/** A text, or a function that makes one; both languages have the same keys. */
export const TEXTS = {
  en: {
    title: "Ask your documents",
    skip: "Skip to the question",
    otherLanguage: "中文",
    switchLanguage: "用中文显示",
    newConversation: "New conversation",
    saveAll: "Save all answers",
    questions: "Questions",
    conversation: "Conversation",

    headline: "Ask your documents.",
    promise: "Every answer shows the very sentences it rests on, or says that the documents do not have it.",
    examplesLabel: "For example",
    examples: [
      "Who is named, and what did they do?",
      "What was decided, when, and by whom?",
      "Which figures and deadlines matter most?",
    ],
    bothLanguages: "Ask in English or Chinese, whichever the documents are in.",

    documents: "Documents",
    documentCount: (count) => several(count, "document", "documents"),
    documentTotal: (documents, chunks) => `${several(documents, "document", "documents")}, ${TEXTS.en.chunks(chunks)}`,
    chunks: (count) => several(count, "chunk", "chunks"),
    pages: (count) => several(count, "page", "pages"),
    dropHere: "Drop files here",
    orChoose: "Choose files",
    addFiles: "Add files",
    dropAnywhere: "Drop to add to the documents",
    accepted: (suffixes, files, size) => `${suffixes}. Up to ${several(files, "file", "files")} of ${size}.`,
    reading: "Reading…",
    remove: (name) => `Remove ${name}`,
    dismiss: (name) => `Dismiss the note on ${name}`,
    tooLarge: (size, limit) =>
      `It has ${size}; at most ${limit} can be sent. Split it, or start the server with the file itself.`,
    tooMany: (limit) =>
      `At most ${several(limit, "file", "files")} at once. Leave some out, or start the server with their folder.`,
    replaced: "The files added earlier are no longer at hand here, so these take their place.",
    useServed: "Back to the server’s own documents",
    kept: (minutes) =>
      `The server forgets them ${several(minutes, "minute", "minutes")} after their last use, or sooner if it needs room.`,
    lost: "These documents are no longer on the server. It was started anew, or their time has run out.",
    uploadAgain: "Add them again",
    firstAdd: "First add a document: drop a file anywhere on this page, or choose one.",
    stillReading: "The documents are still being read. Just a moment.",

    question: "Your question",
    placeholder: "Ask about the documents…",
    followUp: "Ask a follow-up…",
    send: "Ask",
    stop: "Stop",
    options: "How to search",
    level: "How thorough",
    levels: {
      auto: ["Auto", "Begins quickly and goes deeper only if nothing is found."],
      retrieve: ["Search", "Answers from the best passages. Seconds."],
      read: ["Read", "Reads chunk by chunk, the most promising first."],
      reason: ["Reason", "Breaks the question into steps and reads for each."],
    },
    budget: "Time limit",
    budgets: { 0: "No limit", 30: "30 s", 120: "2 min", 600: "10 min" },
    serverLimit: (time) => `The server itself stops after ${time}.`,

    planning: "Working out what to search for",
    contextualizing: "Putting the question into context",
    searching: "Searching the documents",
    searchingFor: (question) => `Searching for “${question}”`,
    answering: (passages, tokens) =>
      `Answering from ${several(passages, "passage", "passages")}, ${several(tokens, "token", "tokens")}`,
    readingChunks: "Reading chunk by chunk",
    proposing: "Working out what to ask next",
    writing: "Writing the answer",
    draft: "Draft, not yet checked",
    counts: (read, relevant, failed) =>
      `${several(read, "chunk", "chunks")} read, ${number(relevant)} relevant` +
      (failed ? `, ${number(failed)} failed` : ""),
    notThere: "Not in the documents",
    evidence: "Sentences that matter",
    keywords: "Searched for",

    answered: "Answer",
    citations: "Where it says so",
    showCitation: (number, source) => `Citation ${number}, in ${source}`,
    page: (page) => `page ${number(page)}`,
    notFound: "Not in the documents",
    notFoundInTime: "Nothing found within the limit",
    unread: (read, total) => `${number(read)} of ${TEXTS.en.chunks(total)} were read.`,
    goDeeper: { read: "Read chunk by chunk", reason: "Look in steps" },
    withoutLimit: "Ask again without a time limit",
    deadline: (read, total) => `The time ran out: ${number(read)} of ${TEXTS.en.chunks(total)} were read.`,
    limitReached: (read, total) =>
      `The limit on calls was reached: ${number(read)} of ${TEXTS.en.chunks(total)} were read.`,
    unreadable: (count) =>
      `${several(count, "chunk", "chunks")} could not be read, so the answer may lack what stands there.`,
    cost: ({ level, read, total, calls, tokens, seconds }) =>
      parts(
        level,
        `${number(read)} of ${TEXTS.en.chunks(total)} read`,
        several(calls, "call", "calls"),
        several(tokens, "token", "tokens"),
        seconds,
      ),
    howFound: "How this was found",
    whatHappened: "What happened until then",
    seconds: (seconds) => `${number(seconds, seconds < 10 ? 1 : 0)} s`,
    minutes: (minutes, seconds) => `${number(minutes)} min ${number(seconds)} s`,
    copy: "Copy",
    copied: "Copied",
    copyFailed: "Could not copy",
    save: "Save as Markdown",
    again: "Try again",
    stopped: "Stopped",
    interrupted: "The page was left before the answer came.",
    stoppedAfter: (time) => `You stopped this after ${time}.`,

    failed: "That did not work",
    unreachable: "The server does not answer. See that `qwen-longctx serve` is still running, then try again.",
    brokenOff: "The connection broke off before the answer came. Try again.",
    unexpected: (status) => `The server answered with status ${status} and no explanation.`,
    needsKey: "The server answers only with a key.",
    enterKey: "Enter the key",
    keyTitle: "A key, please",
    keyText: "This server answers only those who have one of its keys. Yours is kept until this tab is closed.",
    keyWrong: "The server does not know this key.",
    key: "Key",
    cancel: "Cancel",
    proceed: "Continue",

    passage: "Passage",
    close: "Close",
    previous: "Previous citation",
    next: "Next citation",
    position: (index, count) => `Citation ${number(index)} of ${number(count)}`,
    moreBefore: "Show what comes before",
    moreAfter: "Show what comes after",
    beginning: "Beginning of the document",
    end: "End of the document",
    onlyQuote: "The document is no longer on the server. This is the sentence that was cited.",
    passageFailed: (reason) => `The text around it cannot be shown. ${reason}`,

    exportTitle: "Questions and answers",
    characters: (start, end) => `characters ${start}–${end}`,
    partial: "Read in part",
    askedAs: "Steps",
    file: "answers",
  },
  zh: {
    title: "向文档提问",
    skip: "跳到提问框",
    otherLanguage: "English",
    switchLanguage: "Show in English",
    newConversation: "新对话",
    saveAll: "保存全部回答",
    questions: "提过的问题",
    conversation: "对话",

    headline: "向文档提问",
    promise: "每个回答都标出它依据的原文；文档里没有的，就直说没有。",
    examplesLabel: "比如",
    examples: ["文中提到了哪些人？他们做了什么？", "作出了哪些决定？何时、由谁作出？", "有哪些重要的数字和期限？"],
    bothLanguages: "中文、英文都可以问，不论文档用哪种语言。",

    documents: "文档",
    documentCount: (count) => `${number(count)} 份文档`,
    documentTotal: (documents, chunks) => `${number(documents)} 份文档，共 ${number(chunks)} 段`,
    chunks: (count) => `${number(count)} 段`,
    pages: (count) => `${number(count)} 页`,
    dropHere: "把文件拖到这里",
    orChoose: "选择文件",
    addFiles: "添加文件",
    dropAnywhere: "松手即可加入文档",
    accepted: (suffixes, files, size) => `${suffixes}，最多 ${number(files)} 个，每个不超过 ${size}。`,
    reading: "正在读取…",
    remove: (name) => `移除 ${name}`,
    dismiss: (name) => `不再显示 ${name} 的提示`,
    tooLarge: (size, limit) => `文件有 ${size}，上限是 ${limit}。请拆开，或在启动服务时直接指定这个文件。`,
    tooMany: (limit) => `一次最多 ${number(limit)} 个文件。请减少几个，或在启动服务时指定整个文件夹。`,
    replaced: "先前添加的文件已不在本页中，因此由这些文件取代。",
    useServed: "换回服务器自带的文档",
    kept: (minutes) => `${number(minutes)} 分钟不用，服务器就会忘掉它们；需要腾出空间时会更早。`,
    lost: "这些文档已不在服务器上：服务器重启过，或保留时间已过。",
    uploadAgain: "重新添加",
    firstAdd: "请先添加文档：把文件拖到页面任意位置，或选择文件。",
    stillReading: "文档还在读取，请稍候。",

    question: "你的问题",
    placeholder: "就这些文档提问…",
    followUp: "接着问…",
    send: "提问",
    stop: "停止",
    options: "查找方式",
    level: "查找深度",
    levels: {
      auto: ["自动", "先快速查找，找不到再深入。"],
      retrieve: ["检索", "根据最相关的段落回答，只需几秒。"],
      read: ["阅读", "逐段阅读，最有希望的在前。"],
      reason: ["推理", "把问题拆成几步，逐步查找。"],
    },
    budget: "时间上限",
    budgets: { 0: "不限", 30: "30 秒", 120: "2 分钟", 600: "10 分钟" },
    serverLimit: (time) => `服务器本身的上限是 ${time}。`,

    planning: "正在想该查什么",
    contextualizing: "正在结合上文理解问题",
    searching: "正在检索文档",
    searchingFor: (question) => `正在查找“${question}”`,
    answering: (passages, tokens) => `正在根据 ${number(passages)} 段原文（${number(tokens)} token）作答`,
    readingChunks: "正在逐段阅读",
    proposing: "正在想下一步该问什么",
    writing: "正在写回答",
    draft: "草稿，尚未核对",
    counts: (read, relevant, failed) =>
      `已读 ${number(read)} 段，${number(relevant)} 段相关` + (failed ? `，${number(failed)} 段失败` : ""),
    notThere: "文档中没有",
    evidence: "相关的句子",
    keywords: "查找",

    answered: "回答",
    citations: "原文依据",
    showCitation: (number, source) => `引文 ${number}，出自 ${source}`,
    page: (page) => `第 ${number(page)} 页`,
    notFound: "文档中没有",
    notFoundInTime: "在限额内没有找到",
    unread: (read, total) => `共 ${number(total)} 段，读了 ${number(read)} 段。`,
    goDeeper: { read: "逐段阅读", reason: "分步查找" },
    withoutLimit: "不限时间，再问一次",
    deadline: (read, total) => `时间已到：共 ${number(total)} 段，读了 ${number(read)} 段。`,
    limitReached: (read, total) => `调用次数已到上限：共 ${number(total)} 段，读了 ${number(read)} 段。`,
    unreadable: (count) => `有 ${number(count)} 段没能读成，回答可能缺少其中的内容。`,
    cost: ({ level, read, total, calls, tokens, seconds }) =>
      parts(
        level,
        `读了 ${number(read)}/${number(total)} 段`,
        `调用 ${number(calls)} 次`,
        `${number(tokens)} token`,
        seconds,
      ),
    howFound: "查找过程",
    whatHappened: "到此为止的过程",
    seconds: (seconds) => `${number(seconds, seconds < 10 ? 1 : 0)} 秒`,
    minutes: (minutes, seconds) => `${number(minutes)} 分 ${number(seconds)} 秒`,
    copy: "复制",
    copied: "已复制",
    copyFailed: "复制失败",
    save: "存为 Markdown",
    again: "再试一次",
    stopped: "已停止",
    interrupted: "回答出来之前，页面被关闭了。",
    stoppedAfter: (time) => `${time}后由你停止。`,

    failed: "没有成功",
    unreachable: "服务器没有回应。请确认 `qwen-longctx serve` 仍在运行，然后再试。",
    brokenOff: "回答出来之前连接断开了，请再试一次。",
    unexpected: (status) => `服务器返回状态 ${status}，没有说明原因。`,
    needsKey: "这台服务器需要密钥才能使用。",
    enterKey: "输入密钥",
    keyTitle: "请输入密钥",
    keyText: "这台服务器只回应持有密钥的人。密钥只保存到本标签页关闭为止。",
    keyWrong: "服务器不认识这个密钥。",
    key: "密钥",
    cancel: "取消",
    proceed: "继续",

    passage: "原文",
    close: "关闭",
    previous: "上一条引文",
    next: "下一条引文",
    position: (index, count) => `引文 ${number(index)}/${number(count)}`,
    moreBefore: "显示更前的内容",
    moreAfter: "显示更后的内容",
    beginning: "文档开头",
    end: "文档结尾",
    onlyQuote: "文档已不在服务器上，这是当时引用的句子。",
    passageFailed: (reason) => `无法显示前后的内容。${reason}`,

    exportTitle: "问题与回答",
    characters: (start, end) => `字符 ${start}–${end}`,
    partial: "只读了一部分",
    askedAs: "步骤",
    file: "问答",
  },
};

let language = localStorage.getItem(CHOICE) ?? preferred();

function preferred() {
  const known = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return known.find((tag) => tag in TEXTS) ?? "en";
}

/** The language the page speaks: `en` or `zh`. */
export const spoken = () => language;

/** Changes to the other language, for this and later visits. */
export function switchLanguage() {
  language = language === "zh" ? "en" : "zh";
  localStorage.setItem(CHOICE, language);
}

/** The text of a key; values fill in what it is about. */
export function say(key, ...values) {
  const text = TEXTS[language][key];
  return typeof text === "function" ? text(...values) : text;
}

/** A number as the language writes it. */
export function number(value, decimals = 0) {
  const digits = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat(language, digits).format(value);
}

/** A span of time in words. */
export function duration(seconds) {
  if (seconds < 60) return say("seconds", seconds);
  const whole = Math.round(seconds);
  return say("minutes", Math.floor(whole / 60), whole % 60);
}

/** A span of time as a clock shows it, `1:04`. */
export function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** The size of a file in words. */
export function size(bytes) {
  const [unit, bytesOfUnit] = bytes < 1e3 ? ["B", 1] : bytes < 1e6 ? ["kB", 1e3] : ["MB", 1e6];
  const value = bytes / bytesOfUnit;
  return `${number(value, value < 10 && !Number.isInteger(value) ? 1 : 0)} ${unit}`;
}

/** A source's name without the folders before it. */
export const nameOf = (source) => source.split(/[\\/]/).at(-1);

/** The folders before a source's name, or an empty text. */
export const folderOf = (source) => source.slice(0, -nameOf(source).length).replace(/[\\/]$/, "");

/** Where something stands, as far as there is room to say so. */
export const placeOf = (source, page) => (page ? `${nameOf(source)}, ${say("page", page)}` : nameOf(source));

/** `zh` for a text that has Chinese characters, else `en`: it decides how the text is set. */
export const languageOf = (text) => (/\p{Script=Han}/u.test(text) ? "zh" : "en");

/** Gives every element with `data-text`, `data-label` or `data-placeholder` the text of that key. */
export function translate(root) {
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of root.querySelectorAll("[data-placeholder]")) node.placeholder = say(node.dataset.placeholder);
  for (const node of root.querySelectorAll("[data-label]")) {
    node.ariaLabel = say(node.dataset.label);
    if (node.matches("button")) node.title = node.ariaLabel;
  }
}

/** One line on what was read for an answer and what it took. */
export const costOf = ({ level, coverage, usage }) =>
  say("cost", {
    level: say("levels")[level][0],
    read: coverage.chunks_read,
    total: coverage.chunks_total,
    calls: usage.model_calls,
    tokens: usage.input_tokens + usage.output_tokens,
    seconds: duration(usage.seconds),
  });
