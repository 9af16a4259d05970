"""What the self-test says of models that are good, weak, or cut short."""

from __future__ import annotations

import re
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest
from scripted import NOT_FOUND, Respond, RuleChatModel, expert, prompt_of, reading

from langchain_qwen_longctx import self_test as module
from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.doctor import Check
from langchain_qwen_longctx.errors import ModelUnavailableError
from langchain_qwen_longctx.graphs.forecast import Speed
from langchain_qwen_longctx.sample_texts import SAMPLES, filler
from langchain_qwen_longctx.self_test import Examinee, self_test, try_side_by_side
from langchain_qwen_longctx.sentences import sentence_spans
from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

    from langchain_core.messages import BaseMessage
    from langchain_core.outputs import ChatResult

    from langchain_qwen_longctx.sample_texts import Sample

ENGLISH, CHINESE = SAMPLES
FAULTLESS = expert({sample.question: (sample.sentences[2].page_content, sample.answer) for sample in SAMPLES})
ALONE = LongContextConfig(concurrency=1)


class ShortSighted(RuleChatModel):
    """Reads only so many tokens of a prompt, and says so."""

    window: int

    def _generate(self, messages: list[BaseMessage], *arguments: Any, **options: Any) -> ChatResult:
        result = super()._generate(messages, *arguments, **options)
        usage: Any = result.generations[0].message.usage_metadata  # type: ignore[attr-defined]
        usage["input_tokens"] = min(usage["input_tokens"], self.window)
        return result


def differing(**replies: str | BaseException) -> Respond:
    """Return the rule of a model that makes no mistakes but with prompts of these names: what it always says there."""

    def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
        return replies.get(prompt_of(messages).lower(), FAULTLESS(messages))

    return respond


def only_in(sample: Sample, respond: Respond) -> Respond:
    """Return the rule of a model that does one thing with one language and makes no mistakes with the other."""

    def either(messages: Sequence[BaseMessage]) -> str | BaseException:
        text = messages[-1].text
        return respond(messages) if sample.question in text or sample.unanswered in text else FAULTLESS(messages)

    return either


def examined(respond: Respond, **fields: Any) -> dict[str, list[Check]]:
    """Return what is found about a model, by subject."""
    checks: dict[str, list[Check]] = {}
    for check in self_test(RuleChatModel(respond=respond, **fields), ALONE):
        checks.setdefault(check.subject, []).append(check)
    return checks


def failures(checks: dict[str, list[Check]]) -> set[str]:
    return {subject for subject, found in checks.items() for check in found if check.status == "fails"}


def test_a_model_without_a_fault_is_told_nothing_but_good() -> None:
    checks = list(self_test(RuleChatModel(respond=FAULTLESS), ALONE))

    assert [check.subject for check in checks] == [
        "reading", "answering", "declining", "context", "speed", "to expect"
    ]  # fmt: skip
    assert {check.status for check in checks} == {"ok"}
    assert {check.remedy for check in checks} == {""}


def test_what_is_found_is_told_before_the_next_part_begins() -> None:
    model = RuleChatModel(respond=FAULTLESS)

    next(self_test(model, ALONE))

    assert set(model.prompts) == {"READ"}


def test_it_takes_so_few_calls() -> None:
    model = RuleChatModel(respond=FAULTLESS)

    list(self_test(model, ALONE))

    assert model.calls == 13


class TestReading:
    def test_a_server_that_ignores_the_schema_is_named_even_if_the_reply_can_be_guessed(self) -> None:
        checks = examined(differing(read='Sure: ```json\n{"sentences": [3]}\n```'))

        (ignored, found, _) = checks["reading"]
        assert (ignored.status, found.status) == ("note", "ok")
        assert "ignores the JSON schema" in ignored.finding
        assert "update the server" in ignored.remedy

    def test_likewise_if_the_reply_has_to_be_asked_for_again(self) -> None:
        def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
            is_first = prompt_of(messages) == "READ" and len(messages) == 2
            return "It is sentence 3." if is_first else FAULTLESS([messages[0], messages[1]])

        checks = examined(respond)

        assert [check.status for check in checks["reading"]] == ["note", "ok"]

    def test_replies_that_cannot_be_read_at_all_are_a_failure(self) -> None:
        checks = examined(differing(read="It is the third sentence."))

        (check,) = checks["reading"]
        assert check.status == "fails"
        assert "not the JSON that is asked for" in check.finding
        assert "--level retrieve" in check.remedy

    @pytest.mark.parametrize("numbers", [(1, 2, 3, 4, 5), (1,), (), (3, 9)], ids=str)
    def test_pointing_at_all_at_nothing_beside_it_or_beyond_the_text_is_a_failure(self, numbers: list[int]) -> None:
        checks = examined(differing(read=reading(*numbers)))

        assert "does not tell the sentence that answers from the others, in English and Chinese" in {
            check.finding for check in checks["reading"] if check.status == "fails"
        }

    def test_pointing_at_something_where_nothing_answers_is_a_weakness(self) -> None:
        checks = examined(differing(read=reading(3)))

        assert [check.status for check in checks["reading"]] == ["ok", "note"]
        assert "points at something where nothing answers, in English and Chinese" in checks["reading"][1].finding


class TestAnswering:
    @pytest.mark.parametrize("reply", ["Nobody knows. [3]", "It was Jonas Reed. [3]", NOT_FOUND, ""])
    def test_not_finding_the_fact_is_a_failure(self, reply: str) -> None:
        assert failures(examined(differing(answer=reply))) == {"answering"}

    def test_not_finding_it_in_one_language_is_a_weakness_in_that(self) -> None:
        checks = examined(only_in(CHINESE, differing(answer=NOT_FOUND)))

        assert [(check.status, check.finding.rpartition(", ")[2]) for check in checks["answering"]] == [
            ("note", "in Chinese")
        ]


class TestDeclining:
    def test_a_model_that_says_yes_to_everything_is_weak_at_declining(self) -> None:
        checks = examined(differing(read=reading(1, 2, 3, 4, 5), check="yes"))

        assert failures(checks) == {"reading", "declining"}
        assert checks["declining"][0].finding.startswith("weak at declining")
        assert "citation" in checks["declining"][0].remedy

    def test_saying_yes_to_everything_in_one_language_is_no_failure(self) -> None:
        checks = examined(only_in(ENGLISH, differing(check="yes")))

        (check,) = checks["declining"]
        assert (check.status, check.finding.rpartition(", ")[2]) == ("note", "in English")

    def test_a_model_that_always_declines_fails_at_all_of_it(self) -> None:
        checks = examined(differing(read=reading(), answer=NOT_FOUND, check="no"))

        assert failures(checks) == {"reading", "answering", "declining"}
        assert "answers get lost" in checks["declining"][0].finding


class TestContext:
    def test_the_window_is_filled(self) -> None:
        model = RuleChatModel(respond=FAULTLESS)

        (check,) = (check for check in self_test(model, ALONE) if check.subject == "context")

        longest = max(map(count_message_tokens, model.history))
        assert ALONE.context_window - ALONE.answer_tokens - 100 < longest <= ALONE.context_window - ALONE.answer_tokens
        assert check.finding == f"a prompt of {longest:,} tokens is read whole; the window is filled"

    @pytest.mark.parametrize("name", ["qwen2:7b", "llama3:8b"])
    def test_a_server_with_a_smaller_context_is_named_with_what_it_reads(self, name: str) -> None:
        model = ShortSighted(respond=FAULTLESS, model=name, window=4096)

        (check,) = (check for check in self_test(model, ALONE) if check.subject == "context")

        assert check.status == "fails"
        assert ", 4,096 are read" in check.finding
        assert check.remedy.endswith("or give --context-window 4096")
        assert "OLLAMA_CONTEXT_LENGTH" in check.remedy

    def test_a_server_that_cuts_even_short_prompts_fails_at_once(self) -> None:
        checks = examined(FAULTLESS, read_share=0.5)

        assert failures(checks) == {"context"}
        assert "the server cut the prompt" in checks["context"][0].finding

    def test_other_models_may_count_fewer_tokens(self) -> None:
        checks = examined(FAULTLESS, model="llama3:8b", read_share=0.7)

        assert [check.status for check in checks["context"]] == ["ok"]

    def test_a_server_that_refuses_a_long_prompt_fails_with_what_it_says(self) -> None:
        class RefusedError(Exception):
            status_code = 400

        def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
            is_long = count_message_tokens(messages) > 4096
            return RefusedError("maximum context length is 4096") if is_long else FAULTLESS(messages)

        checks = examined(respond)

        assert failures(checks) == {"context"}
        assert "maximum context length is 4096" in checks["context"][0].finding

    def test_a_server_that_does_not_say_what_it_reads_is_noted(self) -> None:
        checks = examined(FAULTLESS, read_share=0.0)

        assert [check.status for check in checks["context"]] == ["note"]
        assert "does not say how much it reads" in checks["context"][0].finding

    @pytest.mark.parametrize("tokens_per_second", [1, 100])
    def test_on_a_slow_machine_the_long_prompt_is_shorter_and_that_is_told(
        self, monkeypatch: pytest.MonkeyPatch, tokens_per_second: int
    ) -> None:
        monkeypatch.setattr(module, "measure_speed", lambda *_: Speed(read=tokens_per_second, written=1))
        model = RuleChatModel(respond=FAULTLESS)

        (check,) = (check for check in self_test(model, ALONE) if check.subject == "context")

        assert 600 < max(map(count_message_tokens, model.history)) < 1000
        assert "tokens is read whole; to fill the window takes " in check.finding


class TestSideBySide:
    def test_calls_that_run_at_once_gain(self) -> None:
        both = Barrier(2)

        def respond(messages: Sequence[BaseMessage]) -> str | BaseException:
            both.wait(60)
            return FAULTLESS(messages)

        check = try_side_by_side(Examinee(RuleChatModel(respond=respond), LongContextConfig()), seconds=60.0)

        assert (check.status, check.finding.endswith(": --concurrency 2 gains, and more may")) == ("ok", True)

    def test_calls_that_wait_for_each_other_gain_nothing(self) -> None:
        model = RuleChatModel(respond=FAULTLESS, latency=0.05)

        check = try_side_by_side(Examinee(model, LongContextConfig()), seconds=0.025)

        assert (check.status, check.finding.endswith(": --concurrency gains nothing")) == ("note", True)
        assert "OLLAMA_NUM_PARALLEL" in check.remedy

    def test_a_server_that_does_not_take_so_many_is_noted(self) -> None:
        model = RuleChatModel(respond=lambda _: ConnectionError("too many"))

        check = try_side_by_side(Examinee(model, LongContextConfig(max_attempts=1)), seconds=1.0)

        assert (check.status, check.remedy) == ("note", "--concurrency 1")
        assert "2 calls at once fail: " in check.finding

    def test_it_is_a_part_of_the_test(self) -> None:
        subjects = {check.subject for check in self_test(RuleChatModel(respond=FAULTLESS), LongContextConfig())}

        assert "side by side" in subjects

    def test_the_embedded_model_is_not_asked_twice_at_once(self) -> None:
        model = RuleChatModel(respond=FAULTLESS)

        subjects = {check.subject for check in self_test(model, LongContextConfig(), is_embedded=True)}

        assert "side by side" not in subjects
        assert model.most_under_way == 1


def test_what_to_expect_follows_from_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "try_window", lambda *_: (Check("ok", "context", ""), Speed(read=1000, written=50)))

    checks = examined(FAULTLESS)

    assert checks["speed"][0].finding == "reads about 1,000 tokens a second, writes about 50"
    told = re.fullmatch(
        r"an answer that searching finds takes \d s to (\d+) s; to read a million tokens, (\d+) min to (\d+) min",
        checks["to expect"][0].finding,
    )
    assert told
    # Every token is read once, which alone takes a thousand seconds, and beside it come the instructions.
    assert 17 < int(told[2]) < int(told[3]) < 60


def test_a_model_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(ModelUnavailableError):
        examined(lambda _: ConnectionError("gone"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.language)
def test_a_sample_says_where_its_fact_is(sample: Sample) -> None:
    assert len(sentence_spans(sample.text)) == 5
    assert sample.answer in sample.sentences[sample.fact - 1].page_content
    assert sum(sample.answer in sentence.page_content for sentence in sample.sentences) == 1


@pytest.mark.parametrize("tokens", [0, 1, 60, 7000])
def test_the_filler_is_as_long_as_it_may_be_and_never_the_same(tokens: int) -> None:
    text = filler(tokens)

    assert max(tokens - 60, 0) <= count_tokens(text) <= max(tokens, 20)
    assert text != filler(tokens)
