"""The whole method as one graph, and as one Runnable."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

from langchain_core.messages import AnyMessage, convert_to_messages
from langgraph.channels import EphemeralValue
from langgraph.graph import END, START, StateGraph
from langgraph.types import Overwrite

from langchain_qwen_longctx.analyzers import ASKING_WORDS, analyze
from langchain_qwen_longctx.citations import without_markers
from langchain_qwen_longctx.clock import now
from langchain_qwen_longctx.errors import InputError, OutOfBudgetError, QuestionTooLongError
from langchain_qwen_longctx.graphs.analysis import is_foreign
from langchain_qwen_longctx.graphs.budget import call
from langchain_qwen_longctx.graphs.following import build_following_graph
from langchain_qwen_longctx.graphs.lookup import build_lookup_graph
from langchain_qwen_longctx.graphs.nesting import hand_down, nest
from langchain_qwen_longctx.graphs.reasoning import asks_for_one_place, build_reasoning_graph, to_fact
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.graphs.retrieval import room_for_evidence
from langchain_qwen_longctx.graphs.state import QAResources, QAState, bind, has_seen_all, spent_on
from langchain_qwen_longctx.languages import detect_language, language_name
from langchain_qwen_longctx.neutralizing import neutralize
from langchain_qwen_longctx.prompt_injection import withhold
from langchain_qwen_longctx.prompts import STANDALONE, TRANSLATE_ANSWER
from langchain_qwen_longctx.schemas import Level, QAArguments, QAInput, QAOutput
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from langchain_core.documents import Document
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import BaseMessage
    from langchain_core.retrievers import BaseRetriever
    from langchain_core.runnables import Runnable
    from langgraph.cache.base import BaseCache
    from langgraph.checkpoint.base import BaseCheckpointSaver

    from langchain_qwen_longctx.chat_models import Reply
    from langchain_qwen_longctx.config import LongContextConfig
    from langchain_qwen_longctx.persistence import ReplyCache
    from langchain_qwen_longctx.schemas import Coverage

LIMIT_REACHED = {
    "en": "No answer was found before the limit was reached.",
    "zh": "在达到限额之前没有找到答案。",
}

MIN_TERMS = 3
"""A question with so many terms says what it is about."""

PARTLY_READ = {
    "en": "(This rests on {chunks_read} of {chunks_total} parts of the documents; the others were not read.)",
    "zh": "（以上仅依据文档{chunks_total}段中的{chunks_read}段，其余未读。）",
}


class AnsweringState(QAState, total=False):
    """State of the whole method.

    Attributes:
        level: The level asked for, then the one that gave the answer. Like `history`, it does not outlive the question,
            or a thread's next one would inherit it.
        history: Earlier messages of the conversation.
        asked: The question in the user's words; a follow-up is made to stand on its own for everything else.
        wanted: The level asked for.
        conversation: As much of the history as is put before the model.
    """

    level: Annotated[Level, EphemeralValue]
    history: Annotated[list[AnyMessage], EphemeralValue]
    asked: str
    wanted: Level
    conversation: str


def create_long_context_qa(
    *,
    model: BaseChatModel,
    documents: Iterable[Document] | None = None,
    retriever: BaseRetriever | None = None,
    reader_model: BaseChatModel | None = None,
    config: LongContextConfig | None = None,
    cache: BaseCache[Any] | ReplyCache | None = None,
    checkpointer: BaseCheckpointSaver[str] | None = None,
) -> Runnable[QAInput, QAOutput]:
    """Return a Runnable that answers questions over documents of any size.

    Args:
        model: Any chat model; `ChatOllama(model="qwen2:7b", num_ctx=8192)` is what it was made for.
        documents: Documents as `load_documents` returns them. They are split and indexed here, once.
        retriever: An index made before, instead of documents; its documents are chunks of `QwenTextSplitter`. Any other
            retriever goes with the documents that it searches, each a chunk of at most `config.chunk_tokens`.
        reader_model: The model that reads chunks at level `read`, if another, such as a cheaper one, is to do that.
        config: The knobs; by default the context window is the model's own `num_ctx`, or else 8192 tokens.
        cache: Keeps the models' replies, so that nothing is paid for twice: `open_reply_cache(folder)`, or any cache of
            LangGraph's. None keeps nothing.
        checkpointer: Keeps the state of every thread; None keeps nothing.

    Returns:
        A Runnable from `QAInput` to `QAOutput`. `build_graph(...).compile()` gives the graph itself, with its state.

    Raises:
        InputError: Neither documents nor retriever are given, or both of them for one that has its own, or they hold no
            text, or the context windows of model and config differ.

    Example:
        ```python
        from langchain_ollama import ChatOllama
        from langchain_qwen_longctx import create_long_context_qa, load_documents

        qa = create_long_context_qa(
            model=ChatOllama(model="qwen2:7b", num_ctx=8192), documents=load_documents("report.pdf")
        )
        qa.invoke({"question": "Who chaired the board in 2019?"})["answer"]
        ```
    """
    graph = build_graph(
        model=model, documents=documents, retriever=retriever, reader_model=reader_model, config=config, cache=cache
    )
    compiled = graph.compile(checkpointer=checkpointer, name="long_context_qa")
    # LangGraph's own input schema knows no defaults, so a tool made of it would demand every field.
    typed: Any = compiled.with_types(input_type=cast("Any", QAArguments))
    return cast("Runnable[QAInput, QAOutput]", typed)


def build_graph(
    *,
    model: BaseChatModel,
    documents: Iterable[Document] | None = None,
    retriever: BaseRetriever | None = None,
    reader_model: BaseChatModel | None = None,
    config: LongContextConfig | None = None,
    cache: BaseCache[Any] | ReplyCache | None = None,
) -> StateGraph[AnsweringState, None, QAInput, QAOutput]:
    """Return the graph uncompiled, to compile it with a checkpointer or embed it in another graph.

    Arguments and errors are those of `create_long_context_qa`.
    """
    resources = gather_resources(model, documents, retriever, config, reader_model=reader_model, cache=cache)
    graph = StateGraph(AnsweringState, input_schema=QAInput, output_schema=QAOutput)
    graph.add_node("accept", partial(accept, resources))
    graph.add_node("contextualize", partial(contextualize, resources))
    lookup = build_lookup_graph(resources).compile(name="look_up")
    graph.add_node("look_up", nest(hand_down_question, lookup))
    reasoning = build_reasoning_graph(resources).compile(name="reason")
    following = build_following_graph(resources).compile(name="follow")
    graph.add_node("follow", nest(hand_down_doubt, following, keep_if_found))
    graph.add_node("reason", nest(partial(hand_down_outcome, resources), reasoning, settle))
    graph.add_node("translate_answer", partial(translate_answer, resources))
    graph.add_node("report", partial(report, resources))
    graph.add_edge(START, "accept")
    graph.add_conditional_edges("accept", route_history)
    graph.add_conditional_edges("contextualize", route_level)
    # A partial function does not say where it leads to.
    after_lookup = ["reason", "follow", "translate_answer", "report"]
    graph.add_conditional_edges("look_up", bind(route_outcome, resources), after_lookup)
    graph.add_edge("follow", "report")
    graph.add_conditional_edges("reason", bind(route_language, resources), ["translate_answer", "report"])
    graph.add_edge("translate_answer", "report")
    graph.add_edge("report", END)
    return graph


def accept(resources: QAResources, state: AnsweringState) -> AnsweringState:
    """Check the question before anything is paid for, and start the clock."""
    question, wanted = state.get("question"), state.get("level") or "auto"
    if not isinstance(question, str) or not question.strip():
        msg = f"the question is {question!r}; ask something"
        raise InputError(msg)
    if wanted not in get_args(Level):
        msg = f"level is {wanted!r}; it must be one of {', '.join(get_args(Level))}"
        raise InputError(msg)
    asked = question.strip()
    tokens, is_translated = count_tokens(neutralize(asked)), is_foreign(asked, resources.languages)
    # The prompt of the answer has the question twice, and its translation as well, unless that is Chinese.
    copies = 4 if is_translated else 2
    room = room_for_evidence(resources, {"question": asked}) - (copies - 2) * tokens
    if room < resources.config.chunk_tokens:
        longest = tokens - (resources.config.chunk_tokens - room + copies - 1) // copies
        msg = (
            f"the question has {tokens} tokens and leaves no room for evidence in a context window of "
            f"{resources.config.context_window}; shorten it to {longest} tokens"
        )
        raise QuestionTooLongError(msg)
    # A thread remembers; what an earlier question left behind must not count for this one.
    fresh: Any = {"spent": Overwrite({}), "touched": Overwrite({}), "halted": Overwrite([]), "doubted": False}
    fresh |= {"question": asked, "asked": asked, "wanted": wanted, "started": now(), "steps": []}
    conversation = recent(convert_to_messages(state.get("history") or []), resources.config.chunk_tokens)
    return cast("AnsweringState", {**fresh, "conversation": conversation, "answered_at": None})


def route_history(state: AnsweringState) -> Literal["contextualize", "look_up", "reason"]:
    """Make a question that follows others stand on its own first."""
    return "contextualize" if state["conversation"] else route_level(state)


def contextualize(resources: QAResources, state: AnsweringState) -> AnsweringState:
    """Put into a follow-up question what it takes from the conversation; if that makes another of it, it stays."""
    variables = {"conversation": state["conversation"], "question": state["question"]}
    try:
        reply: Reply[Any] = call(resources, state, STANDALONE, variables)
    except OutOfBudgetError as error:
        return {"halted": [error.reason], "spent": spent_on(error)}
    lines = reply.text.splitlines()
    question = lines[0].strip() if lines else ""
    is_same = is_rewording(question, state["question"])
    return {"question": question if is_same else state["question"], "spent": spent_on(reply)}


def is_rewording(rewritten: str, question: str) -> bool:
    """Tell whether a model has put a question in other words, and has not answered it, or written something else.

    An answer ends with a full stop. Of a question that says what it is about, some word stays.
    """
    is_answer = rewritten.endswith((".", "。")) and question.endswith(("?", "？"))
    said, wanted = set(analyze(rewritten)), set(analyze(question)) - ASKING_WORDS
    is_other = len(wanted) >= MIN_TERMS and wanted.isdisjoint(said)
    return bool(said) and not is_answer and not is_other


def recent(history: Sequence[BaseMessage], max_tokens: int) -> str:
    """Return the latest messages of a conversation that fit, one a line, without the markers of citations.

    What the user wants is theirs to say. Answers may hold what a document wants, and are left without it.
    """
    kept: list[str] = []
    for message in reversed(history):
        said, is_user = " ".join(without_markers(message.text).split()), message.type == "human"
        line = f"User: {said}" if is_user else f"Assistant: {withhold(said, '')}"
        max_tokens -= count_tokens(line)
        if max_tokens < 0:
            break
        kept.insert(0, line)
    return "\n".join(kept)


def route_level(state: AnsweringState) -> Literal["look_up", "reason"]:
    """Begin with the question itself unless its sub-questions are asked for."""
    return "reason" if state["wanted"] == "reason" else "look_up"


def hand_down_question(state: AnsweringState) -> dict[str, Any]:
    """Return a state for a lookup of the question itself: at the level asked for, or else at level 1."""
    below = hand_down(state)
    # A thread remembers the plan of the question before.
    below.pop("plan", None)
    return {**below, "level": "retrieve" if state["wanted"] == "auto" else state["wanted"]}


def route_outcome(
    resources: QAResources, state: AnsweringState
) -> Literal["reason", "follow", "translate_answer", "report"]:
    """Go on to level 3 if that is left to us: ask sub-questions, and read for them, if level 1 has found nothing.

    If its answer is in doubt, only the first step of level 3 is taken.
    """
    is_over = state["wanted"] != "auto" or state.get("halted")
    if is_over or (state["found"] and not is_doubtful(resources, state)):
        return route_language(resources, state)
    return "follow" if state["found"] else "reason"


def is_doubtful(resources: QAResources, state: AnsweringState) -> bool:
    """Tell whether two passages alone may answer better than those that level 1 has answered from.

    So it is where the question may take two steps, unless these were all that there is.
    """
    return state["doubted"] and not has_seen_all(resources, state) and asks_for_one_place(resources, state)


def route_language(resources: QAResources, state: AnsweringState) -> Literal["translate_answer", "report"]:
    """Translate an answer that is in the documents' language because none of them is in the question's."""
    if not state["found"] or not is_foreign(state["asked"], resources.languages) or state["plan"]["instruction"]:
        return "report"
    answer = without_markers(state["answer"])
    is_word = any(map(str.isalpha, answer))
    return "translate_answer" if is_word and detect_language(answer) != detect_language(state["asked"]) else "report"


def translate_answer(resources: QAResources, state: AnsweringState) -> AnsweringState:
    """Put a translation before an answer; if that costs too much, the answer stands alone.

    The answer itself stays, in the words of the documents and with its markers: a small model translates names badly.
    """
    asked, answer = state["asked"], state["answer"]
    variables = {"language": language_name(asked), "text": without_markers(answer)}
    try:
        reply: Reply[Any] = call(resources, state, TRANSLATE_ANSWER, variables, answers_kept=0)
    except OutOfBudgetError as error:
        return {"spent": spent_on(error)}
    return {"answer": beside(reply.text, answer), "spent": spent_on(reply)}


def beside(translation: str, answer: str) -> str:
    """Return a translation with what it is of in brackets."""
    if translation in {"", without_markers(answer)}:
        return answer
    return f"{translation}（{answer}）" if detect_language(translation) == "zh" else f"{translation} ({answer})"


def hand_down_outcome(resources: QAResources, state: AnsweringState) -> dict[str, Any]:
    """Return a state for level 3. After level 1, less is read; if that has seen every chunk, nothing is."""
    below = hand_down(state)
    if not state.get("answered_at"):
        return {name: value for name, value in below.items() if name != "plan"}
    if has_seen_all(resources, state):
        return {**below, "memory": [to_fact(resources, state)], "hop_level": "retrieve"}
    return {**below, "is_tried": True}


def hand_down_doubt(state: AnsweringState) -> dict[str, Any]:
    """Return a state that begins anew with the question in its own words, and with how to answer it."""
    plan = state["plan"]
    return {**hand_down(state), "plan": {**plan, "queries": [plan["information"]], "keywords": []}}


def keep_if_found(result: dict[str, Any]) -> dict[str, Any]:
    """Return the answer from two passages, if there is one; else the one before it stands."""
    cost = {name: result[name] for name in ("spent", "touched")}
    kept = {name: result[name] for name in ("answer", "citations", "found")}
    return {**cost, **kept, "answered_at": "reason"} if result["found"] else cost


def settle(result: dict[str, Any]) -> dict[str, Any]:
    """Fall back to what was found before if the conclusion comes to nothing.

    That is what the question itself had found; or, if the budget left no call for a conclusion, the latest fact.
    """
    facts = [fact for fact in result.get("memory", []) if fact["found"]]
    whole = [fact for fact in facts if fact["question"] == result["question"]]
    best = next(iter(whole or facts[::-1]), None)
    if result["found"] or best is None or not (whole or result.get("halted")):
        return result
    return {**result, "answer": best["answer"], "found": True, "citations": best["citations"]}


def report(resources: QAResources, state: AnsweringState) -> AnsweringState:
    """Say what was read and what it took."""
    total, touched, spent = len(resources.chunks), state["touched"], state["spent"]
    read, failed = touched.get("read", []), touched.get("failed", [])
    coverage: Coverage = {
        "chunks_total": total,
        "chunks_read": len(read),
        "chunks_relevant": len(touched.get("relevant", [])),
        "chunks_failed": len(set(failed) - set(read)),
        "chunks_skipped": total - len({*read, *failed}),
    }
    return {
        "question": state["asked"],
        "level": state.get("answered_at") or "reason",
        "answer": with_reservation(state, coverage),
        "stopped": next(iter(state.get("halted", [])), None),
        "coverage": coverage,
        "usage": {
            "model_calls": spent.get("model_calls", 0),
            "cached_calls": spent.get("cached_calls", 0),
            "input_tokens": spent.get("input_tokens", 0),
            "output_tokens": spent.get("output_tokens", 0),
            "seconds": round(now() - state["started"], 3),
        },
    }


def with_reservation(state: AnsweringState, coverage: Coverage) -> str:
    """Return the answer, and in words if reading ended early or parts of it failed."""
    if not state.get("halted") and not coverage["chunks_failed"]:
        return state["answer"]
    language = "zh" if detect_language(state["question"]) == "zh" else "en"
    # Before the documents were read to the end, nobody can say that they do not hold the answer.
    is_cut_short = state.get("halted") and not state["found"]
    answer = LIMIT_REACHED[language] if is_cut_short else state["answer"]
    return f"{answer}\n{PARTLY_READ[language].format(**coverage)}"
