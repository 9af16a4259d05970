"""Conversations: follow-up questions, threads that last, and the loop of `qwen-longctx chat`."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

import pytest
from chronicle import chronicle
from command_line import BIRTH_FACT, FOLLOW_UP, TOWN_FACT, TOWN_QUESTION, Shell
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from scripted import RuleChatModel, expert, prompt_of

from langchain_qwen_longctx import LongContextConfig, build_graph, chat, open_checkpointer
from langchain_qwen_longctx.chat import build_chat_graph, questions
from langchain_qwen_longctx.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from langchain_core.runnables import RunnableConfig
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph.state import CompiledStateGraph

FACT = "钟楼由匠人毛一清设计。"
BIRTH = "毛一清的出生地是岭下村。"
ENGLISH = "The ferry was built by Ida Kessel. Ida Kessel was born in Orsk."
EXPERT = expert(
    {
        "谁设计": (FACT, "毛一清"),
        "毛一清的出生地": (BIRTH, "岭下村"),
        "built the ferry": ("The ferry was built by Ida Kessel.", "Ida Kessel"),
        "Ida Kessel born": ("Ida Kessel was born in Orsk.", "In Orsk"),
    },
    standalone={"她": "毛一清的出生地是哪里？", "she": "Where was Ida Kessel born?"},
)


def conversation(
    model: RuleChatModel, text: str, checkpointer: BaseCheckpointSaver[Any]
) -> CompiledStateGraph[Any, None, Any, Any]:
    qa = build_graph(
        model=model,
        documents=[Document(text, metadata={"source": "notes.txt"})],
        config=LongContextConfig(chunk_tokens=160),
    )
    return build_chat_graph(qa.compile(checkpointer=False)).compile(checkpointer=checkpointer)


def thread(name: str) -> RunnableConfig:
    return {"configurable": {"thread_id": name}}


@pytest.fixture
def model() -> RuleChatModel:
    return RuleChatModel(respond=EXPERT)


class TestConversation:
    @pytest.mark.parametrize(
        ("text", "first", "second", "answer"),
        [
            (chronicle(8, {2: FACT, 6: BIRTH}), "钟楼是谁设计的？", "她的出生地是哪里？", "岭下村"),
            (ENGLISH, "Who built the ferry?", "Where was she born?", "In Orsk"),
        ],
        ids=["zh", "en"],
    )
    def test_a_question_may_refer_to_the_one_before(
        self, model: RuleChatModel, text: str, first: str, second: str, answer: str
    ) -> None:
        talk = conversation(model, text, InMemorySaver())
        talk.invoke({"question": first, "level": "retrieve"}, thread("a"))

        result = talk.invoke({"question": second, "level": "retrieve"}, thread("a"))["result"]

        assert (result["question"], result["found"]) == (second, True)
        assert result["answer"].startswith(answer)

    def test_what_was_said_is_kept_in_turn(self, model: RuleChatModel) -> None:
        talk = conversation(model, ENGLISH, InMemorySaver())
        for question in ("Who built the ferry?", "Where was she born?"):
            talk.invoke({"question": question, "level": "retrieve"}, thread("a"))

        messages = talk.get_state(thread("a")).values["messages"]

        assert [type(message) for message in messages] == [HumanMessage, AIMessage] * 2
        assert [message.text for message in messages[::2]] == ["Who built the ferry?", "Where was she born?"]

    def test_a_question_that_fails_does_not_become_part_of_it(self, model: RuleChatModel) -> None:
        talk = conversation(model, ENGLISH, InMemorySaver())
        talk.invoke({"question": "Who built the ferry?", "level": "retrieve"}, thread("a"))

        with pytest.raises(InputError):
            talk.invoke({"question": " "}, thread("a"))

        assert len(talk.get_state(thread("a")).values["messages"]) == 2

    def test_threads_know_nothing_of_each_other(self, model: RuleChatModel) -> None:
        talk = conversation(model, ENGLISH, InMemorySaver())
        talk.invoke({"question": "Who built the ferry?", "level": "retrieve"}, thread("a"))

        assert talk.get_state(thread("b")).values == {}

    def test_a_thread_in_a_folder_goes_on_in_the_next_run(self, model: RuleChatModel, tmp_path: Path) -> None:
        talk = conversation(model, ENGLISH, open_checkpointer(tmp_path))
        talk.invoke({"question": "Who built the ferry?", "level": "retrieve"}, thread("a"))

        later = conversation(model, ENGLISH, open_checkpointer(tmp_path))
        result = later.invoke({"question": "Where was she born?", "level": "retrieve"}, thread("a"))["result"]

        assert result["answer"].startswith("In Orsk")

    def test_only_what_a_question_came_to_is_kept(self, model: RuleChatModel) -> None:
        saver = InMemorySaver()
        talk = conversation(model, chronicle(30, {2: FACT}), saver)

        talk.invoke({"question": "钟楼是谁设计的？", "level": "read"}, thread("a"), durability="exit")

        assert [kept.config["configurable"]["checkpoint_ns"] for kept in saver.list(None)] == [""]


class TestQuestions:
    @staticmethod
    def typed(monkeypatch: pytest.MonkeyPatch, text: str) -> list[str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        return list(questions())

    def test_each_line_is_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.typed(monkeypatch, "Who?\n谁？\nlast") == ["Who?", "谁？", "last"]

    def test_empty_lines_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert self.typed(monkeypatch, "\n  \nWho?\n\n") == ["Who?"]

    @pytest.mark.parametrize("farewell", ["exit", "quit", " Quit "])
    def test_a_farewell_ends_them(self, monkeypatch: pytest.MonkeyPatch, farewell: str) -> None:
        assert self.typed(monkeypatch, f"Who?\n{farewell}\nWhen?\n") == ["Who?"]

    def test_no_prompt_is_printed_where_nobody_types(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.typed(monkeypatch, "Who?\n")

        assert capsys.readouterr() == ("", "")

    def test_on_a_terminal_they_stand_behind_a_prompt_until_the_input_ends(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        prompts, typed = [], ["Who?"]

        def typing(prompt: str) -> str:
            prompts.append(prompt)
            if not typed:
                raise EOFError
            return typed.pop()

        monkeypatch.setattr(chat, "input", typing, raising=False)
        for stream in (sys.stdin, sys.stdout):
            monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)

        assert (list(questions()), prompts) == (["Who?"], ["> ", "> "])


class TestCommand:
    def test_it_answers_each_line_of_stdin_with_its_citations(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        result = shell("chat", town, stdin=f"{TOWN_QUESTION}\n\n{FOLLOW_UP}\n")

        assert result.code == 0
        assert result.out == (f"毛一清 [1]\n\n[1] {town}: {TOWN_FACT}\n\n岭下村 [1]\n\n[1] {town}: {BIRTH_FACT}\n\n")

    def test_model_documents_and_the_cost_of_each_answer_go_to_stderr(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        result = shell("chat", town, stdin=f"{TOWN_QUESTION}\n{FOLLOW_UP}\n")

        assert [line.split()[0] for line in result.err.splitlines()] == ["Model:", "Documents:", "Read", "Read"]

    def test_a_question_may_refer_to_the_one_before(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        shell("chat", town, stdin=f"{TOWN_QUESTION}\n{FOLLOW_UP}\n")

        [asked] = [messages for messages in reader.history if prompt_of(messages) == "STANDALONE"]
        assert asked[-1].text == f"User: {TOWN_QUESTION}\nAssistant: 毛一清\n\nLast question: {FOLLOW_UP}"

    def test_it_ends_with_0_at_a_farewell(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        result = shell("chat", town, stdin=f"quit\n{TOWN_QUESTION}\n")

        assert (result.code, result.out, reader.calls) == (0, "", 0)

    def test_an_error_ends_one_question_and_not_the_conversation(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        result = shell("chat", town, stdin=f"{'为什么' * 9000}\n{TOWN_QUESTION}\n")

        assert result.code == 0
        assert "Error: the question has" in result.err
        assert result.out.startswith("毛一清 [1]\n")

    def test_a_budget_is_one_for_each_question(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        result = shell("chat", "--max-calls", "0", town, stdin=f"{TOWN_QUESTION}\n{TOWN_QUESTION}\n")

        assert (result.code, result.err.count("The budget ran out before any answer")) == (0, 2)

    def test_what_was_read_for_one_question_is_not_read_again_for_the_same(
        self, shell: Shell, reader: RuleChatModel, town: Path
    ) -> None:
        shell("chat", "--level", "read", town, stdin=f"{TOWN_QUESTION}\n")
        calls = reader.calls

        shell("chat", "--level", "read", town, stdin=f"{TOWN_QUESTION}\n")

        assert reader.calls == calls

    def test_a_named_thread_goes_on_in_the_next_run(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        shell("chat", "--thread", "镇史", town, stdin=f"{TOWN_QUESTION}\n")

        result = shell("chat", "--thread", "镇史", town, stdin=f"{FOLLOW_UP}\n")

        assert "Thread: 镇史, 1 earlier question\n" in result.err
        assert result.out.startswith("岭下村 [1]")

    def test_without_a_name_nothing_of_it_is_kept(
        self, shell: Shell, reader: RuleChatModel, town: Path, tmp_path: Path
    ) -> None:
        shell("chat", town, stdin=f"{TOWN_QUESTION}\n")

        assert list((tmp_path / "cache").rglob("threads*")) == []

    def test_a_thread_that_cannot_be_kept_exits_with_2(
        self, shell: Shell, reader: RuleChatModel, town: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "threads").touch()

        result = shell("chat", "--thread", "a", "--cache-dir", tmp_path / "full", town, stdin="")

        assert result.code == 2
        assert "threads.sqlite cannot be used" in result.err

    def test_documents_and_questions_cannot_both_come_from_stdin(self, shell: Shell, reader: RuleChatModel) -> None:
        result = shell("chat", "-", stdin="Who?\n")

        assert (result.code, result.out) == (2, "")
        assert "give the documents as files or folders" in result.err

    def test_a_line_that_is_no_text_is_no_crash(self, shell: Shell, reader: RuleChatModel, town: Path) -> None:
        assert shell("chat", town, stdin=b"\xff\xfe?\n").code == 0
