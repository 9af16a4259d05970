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

REPAIR = (
    "That could not be read: {error}\nWrite the JSON object again, with every field filled in and nothing around it."
)
