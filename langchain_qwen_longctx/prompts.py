"""Every prompt. A change to one is measured on real questions before and after; see tests/benchmarks.

The name of a prompt is that of the calls made with it, in traces.
"""

from langchain_core.prompts import ChatPromptTemplate

# Instructions first and what varies last, so that the shared prefix stays in the server's KV cache.
# No examples: small models copy them into their answers.

_ANALYZE = """\
You prepare the search for a question in a large collection of English and Chinese documents. Fill in these fields:
question_en: the question in English, every name in Latin letters.
question_zh: 这个问题的中文，人名、地名也译成汉字。
keywords_en: English words that a passage with the answer would contain.
keywords_zh: 含有答案的段落会出现的中文词语。"""

ANALYZE = ChatPromptTemplate([("system", _ANALYZE), ("human", "Question: {question}")], name="analyze")

# Told only to translate, a small model answers every other question instead. Without examples it leaves names as they
# are; these are invented. The words are a dictionary's, as far as the documents have them.
_TRANSLATE_QUESTION = """\
You translate questions into {language}. Write only the question in {language}. Do not answer it."""

_SCHOOL_IN_CHINESE = """\
Question: 雾港谣的作曲者毕业于哪所学校？
Words: 作曲者: composer, song writer; 毕业: graduate; 学校: school
The question in English:"""
_YEAR_IN_ENGLISH = """\
Question: In which year did Ida Kessel design the Velmar lighthouse?
Words: year: 年, 年度; design: 设计, 图案; lighthouse: 灯塔
The question in Chinese:"""

TRANSLATE_QUESTION = ChatPromptTemplate(
    [
        ("system", _TRANSLATE_QUESTION),
        ("human", _SCHOOL_IN_CHINESE),
        ("ai", "Which school did the composer of the Fog Harbour Ballad graduate from?"),
        ("human", _YEAR_IN_ENGLISH),
        ("ai", "艾达·凯塞尔在哪一年设计了维尔马灯塔？"),
        ("human", "Question: {text}\nWords: {words}\nThe question in {language}:"),
    ],
    name="translate_question",
)

TRANSLATE_ANSWER = ChatPromptTemplate(
    [
        ("system", "You are a translator. Write only the translation into {language}."),
        ("human", "{text}"),
    ],
    name="translate_answer",
)

# A small model that is told how to decline does so with the answer before it. Whether there is one, CHECK asks apart.
_ANSWER = """\
Read the numbered passages and answer the question in one short sentence, in the words of the passages. Write after it \
the number of the passage that says it in square brackets, such as [2]."""

# The question stands at both ends: after a thousand tokens of passages alone, a small model tends to decline.
ANSWER = ChatPromptTemplate(
    [
        ("system", _ANSWER),
        ("human", "Question: {question}\n\nPassages:\n\n{evidence}\n\nQuestion: {question}\n{style}"),
    ],
    name="answer",
)

_CHECK = "You are given a question and a text. Write yes if the text answers the question, otherwise no."

_TO_CHECK = "Question: {question}\n\nText: {text}\n\nDoes the text answer the question? Write yes or no."

_BUILT_WHEN = "In which year was the Velmar lighthouse built?"
_BUILT_ELSEWHERE = "The Orsk lighthouse was built in 1821 by Ida Kessel. It stands on a rock."
_BUILT_THERE = "Ida Kessel was a famous architect. The lighthouse at Velmar is her work and was finished in 1834."
_WHOSE_SONG = "《雾港谣》的作曲者是谁？"
_SONG_ITSELF = "《雾港谣》有三段歌词，在渔民中流传很广。"
_SONG_WRITTEN = "洪砚秋年轻时写了《雾港谣》的曲子。"

# Without examples, a small model says yes to a text that says of something else what is asked, above all in Chinese.
# Their order tells as well: if the last one is no, it says yes far more often.
CHECK = ChatPromptTemplate(
    [
        ("system", _CHECK),
        ("human", _TO_CHECK.format(question=_BUILT_WHEN, text=_BUILT_ELSEWHERE)),
        ("ai", "no"),
        ("human", _TO_CHECK.format(question=_BUILT_WHEN, text=_BUILT_THERE)),
        ("ai", "yes"),
        ("human", _TO_CHECK.format(question=_WHOSE_SONG, text=_SONG_ITSELF)),
        ("ai", "no"),
        ("human", _TO_CHECK.format(question=_WHOSE_SONG, text=_SONG_WRITTEN)),
        ("ai", "yes"),
        ("human", _TO_CHECK),
    ],
    name="check",
)

CLOSED_BOOK = ChatPromptTemplate(
    [("system", "Answer the question in a few words."), ("human", "{question}")], name="closed_book"
)
"""For comparison only: what the model knows without any document."""

_READ = """\
You check whether a text helps to answer a question. Return the numbers of the sentences that state what is asked, or \
part of it. If no sentence does, return an empty list."""

READ = ChatPromptTemplate([("system", _READ), ("human", "Question: {question}\n\nText:\n{sentences}")], name="read")

# Asked by the whole question, a small model lists people for who, whatever the name.
_ASSOCIATE = """\
List eight names that everyone thinks of at once when they hear a name: sights, buildings, works, products, people. \
Each only once."""

_OF_EGYPT = (
    '{{"names": ["Great Pyramid", "Sphinx", "Nile", "Sinai", "Abu Simbel", "Tutankhamun", "Luxor", "Suez Canal"]}}'
)
_OF_SICHUAN = '{{"names": ["大熊猫", "峨眉山", "都江堰", "乐山大佛", "九寨沟", "杜甫草堂", "三星堆", "火锅"]}}'

ASSOCIATE = ChatPromptTemplate(
    [
        ("system", _ASSOCIATE),
        ("human", "Egypt\nEight names in English:"),
        ("ai", _OF_EGYPT),
        ("human", "四川\nEight names in Chinese:"),
        ("ai", _OF_SICHUAN),
        ("human", "{name}\nEight names in {language}:"),
    ],
    name="associate",
)

# What goes with a name may be its like: Mars with Venus. Then what is said of it answers nothing.
BELONGS = ChatPromptTemplate(
    [
        ("system", "You are given two names. Write yes if the first is a part of the second, otherwise no."),
        ("human", "Libya / Egypt"),
        ("ai", "no"),
        ("human", "the Sphinx / Egypt"),
        ("ai", "yes"),
        ("human", "贵州 / 四川"),
        ("ai", "no"),
        ("human", "都江堰 / 四川"),
        ("ai", "yes"),
        ("human", "{other} / {name}"),
    ],
    name="belongs",
)

# Without examples, a small model repeats or answers the question. Everything in these is invented, so that it is seen
# at once if a model copies from them. A question that takes one step comes back as the first of the two.
_DECOMPOSE = "Break a question into two shorter ones. The first asks for what the second needs."

DECOMPOSE = ChatPromptTemplate(
    [
        ("system", _DECOMPOSE),
        ("human", "In which year was the architect of the Velmar lighthouse born?"),
        ("ai", "1. Who was the architect of the Velmar lighthouse?\n2. In which year was that architect born?"),
        ("human", "《雾港谣》的作曲者毕业于哪所学校？"),
        ("ai", "1. 《雾港谣》的作曲者是谁？\n2. 这位作曲者毕业于哪所学校？"),
        ("human", "The Quillan Prize was first won by a novelist from which country?"),
        ("ai", "1. Which novelist won the Quillan Prize first?\n2. Which country did that novelist come from?"),
        ("human", "Which bridge was opened in the same year as the ferry to Orsk Island?"),
        ("ai", "1. In which year was the ferry to Orsk Island opened?\n2. Which bridge was opened in that year?"),
        ("human", "与银练塔建成于同一年的戏院叫什么？"),
        ("ai", "1. 银练塔建成于哪一年？\n2. 那一年建成的戏院叫什么？"),
        ("human", "{question}"),
    ],
    name="decompose",
)

_NEXT_QUESTION = "Write the question again, with what is known in place of the words that stand for it."

NEXT_QUESTION = ChatPromptTemplate(
    [
        ("system", _NEXT_QUESTION),
        ("human", "Known: Who was the architect of the Velmar lighthouse? Ida Kessel\nIn which year was she born?"),
        ("ai", "In which year was Ida Kessel born?"),
        ("human", "Known: 《雾港谣》的作曲者是谁？洪砚秋\n《雾港谣》的作曲者毕业于哪所学校？"),
        ("ai", "洪砚秋毕业于哪所学校？"),
        ("human", "Known: 银练塔建成于哪一年？一七三二年\n与银练塔建成于同一年的戏院叫什么？"),
        ("ai", "建成于一七三二年的戏院叫什么？"),
        ("human", "Known: {known}\n{question}"),
    ],
    name="next_question",
)

_STANDALONE = """\
Write the last question so that it is understood without the conversation: put names in place of words such as it, \
she, that or 那 and 她. Keep its language. Do not answer it."""

STANDALONE = ChatPromptTemplate(
    [("system", _STANDALONE), ("human", "{conversation}\n\nLast question: {question}")], name="standalone"
)

REPAIR = (
    "That could not be read: {error}\nWrite the JSON object again, with every field filled in and nothing around it."
)

# Read to time the model, not to learn anything. The mark comes first, so that no server has the prompt in its KV cache.
_PROBE = """\
{mark}
Bread is made of flour, water, salt and yeast. The baker mixes them in the evening and kneads the dough until it is \
smooth, which takes about a quarter of an hour by hand. Then the dough rests under a cloth in a warm place. While it \
rests, the yeast turns sugar into gas, and the dough grows to twice its size. In the morning it is divided, shaped \
into loaves and left to rise once more. The oven must be very hot at first, so that the crust forms before the inside \
dries out; later a moderate heat is enough. A loaf is done when it sounds hollow at the bottom. It should cool on a \
rack, not on a plate, because steam would make the crust soft. Bread keeps for several days in a cloth or a wooden \
box, and longer if it was made with sour dough. In the refrigerator it grows stale sooner than at room temperature."""

PROBE = ChatPromptTemplate(
    [("system", "Write one sentence that says what the text is about."), ("human", _PROBE)],
    name="probe",
)
