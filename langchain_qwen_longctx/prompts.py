"""Every prompt. A change to one is measured on real questions before and after; see tests/benchmarks."""

from langchain_core.prompts import ChatPromptTemplate

# Instructions first and what varies last, so that the shared prefix stays in the server's KV cache.
# No examples: small models copy them into their answers.

_ANALYZE = """\
You prepare the search for a question in a large collection of English and Chinese documents. Fill in these fields:
question_en: the question in English, every name in Latin letters.
question_zh: 这个问题的中文，人名、地名也译成汉字。
keywords_en: English words that a passage with the answer would contain.
keywords_zh: 含有答案的段落会出现的中文词语。"""

ANALYZE = ChatPromptTemplate([("system", _ANALYZE), ("human", "Question: {question}")])

TRANSLATE = ChatPromptTemplate(
    [
        ("system", "You are a translator. Write only the translation into {language}."),
        ("human", "{text}"),
    ]
)

NOT_FOUND = "NOT FOUND"
"""What the model writes when the evidence does not hold the answer."""

_ANSWER = f"""\
Answer the question from the numbered passages alone. After each fact write the number of its passage in square \
brackets, such as [2]. If no passage holds the answer, write only: {NOT_FOUND}"""

ANSWER = ChatPromptTemplate(
    [("system", _ANSWER), ("human", "Passages:\n\n{evidence}\n\nQuestion: {question}\n{style}")]
)

_READ = """\
You check whether a text helps to answer a question. Return the numbers of the sentences that state what is asked, or \
part of it. If no sentence does, return an empty list."""

READ = ChatPromptTemplate([("system", _READ), ("human", "Question: {question}\n\nText:\n{sentences}")])

_FIRST_QUESTION = """\
Some questions describe a person, place, work or thing instead of naming it. Then write the short question that asks \
for its name. Otherwise write the question again, unchanged."""

# Without examples, a small model repeats or answers the question. Everything in these is invented, so that it is seen
# at once if a model copies from them.
FIRST_QUESTION = ChatPromptTemplate(
    [
        ("system", _FIRST_QUESTION),
        ("human", "In which year was the architect of the Velmar lighthouse born?"),
        ("ai", "Who was the architect of the Velmar lighthouse?"),
        ("human", "When did the ferry to Orsk Island begin to run?"),
        ("ai", "When did the ferry to Orsk Island begin to run?"),
        ("human", "《雾港谣》的作曲者毕业于哪所学校？"),
        ("ai", "《雾港谣》的作曲者是谁？"),
        ("human", "The Quillan Prize was first won by a novelist from which country?"),
        ("ai", "Which novelist won the Quillan Prize first?"),
        ("human", "青石桥的长度是多少米？"),
        ("ai", "青石桥的长度是多少米？"),
        ("human", "流经柏溪镇的那条河发源于哪座山？"),
        ("ai", "哪条河流经柏溪镇？"),
        ("human", "{question}"),
    ]
)

_NEXT_QUESTION = """\
A question is given, and what is known so far. If what is known names the person, place, work or thing that the \
question only describes, write the question that remains, with the name in place of the description."""

NEXT_QUESTION = ChatPromptTemplate(
    [
        ("system", _NEXT_QUESTION),
        (
            "human",
            """Question: In which year was the architect of the Velmar lighthouse born?
Known: The Velmar lighthouse, built of grey stone after plans by Ida Kessel, was first lit in 1903.""",
        ),
        ("ai", "In which year was Ida Kessel born?"),
        (
            "human",
            "Question: 《雾港谣》的作曲者毕业于哪所学校？\nKnown: 《雾港谣》是洪砚秋一九五二年谱写的一首民歌。",
        ),
        ("ai", "洪砚秋毕业于哪所学校？"),
        (
            "human",
            "Question: 流经柏溪镇的那条河发源于哪座山？\nKnown: 柏溪镇依水而建，银练河穿镇而过，两岸多古桥。",
        ),
        ("ai", "银练河发源于哪座山？"),
        ("human", "Question: {question}\nKnown: {known}"),
    ]
)

_STANDALONE = """\
Write the last question so that it is understood without the conversation: put names in place of words such as it, \
she, that or 那 and 她. Keep its language. Do not answer it."""

STANDALONE = ChatPromptTemplate([("system", _STANDALONE), ("human", "{conversation}\n\nLast question: {question}")])

REPAIR = (
    "That could not be read: {error}\nWrite the JSON object again, with every field filled in and nothing around it."
)
