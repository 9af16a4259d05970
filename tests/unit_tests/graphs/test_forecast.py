from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import pytest
from chronicle import chronicle
from langchain_core.documents import Document
from langchain_core.messages import AIMessage
from scripted import RuleChatModel, ScriptedChatModel, expert

from langchain_qwen_longctx import LongContextConfig, create_long_context_qa, qa_forecast
from langchain_qwen_longctx.chat_models import Reply
from langchain_qwen_longctx.errors import InputError, ModelUnavailableError
from langchain_qwen_longctx.graphs.forecast import Speed, forecast, measure_speed, speed_of
from langchain_qwen_longctx.graphs.resources import gather_resources
from langchain_qwen_longctx.schemas import Level
from langchain_qwen_longctx.tokens import count_tokens

if TYPE_CHECKING:
    from langchain_core.outputs import ChatResult

    from langchain_qwen_longctx.graphs.forecast import Forecast
    from langchain_qwen_longctx.graphs.state import QAResources

FACT = "钟楼由匠人毛一清设计。"
BIRTH = "毛一清的出生地是岭下村。"
CHECK = 2
"""Calls that an answer in doubt takes more."""
BACK = 1
"""Calls that translate an answer, for a question in another language."""
AGAIN = 1
"""Calls that give it in Chinese, if the documents are and it is not."""
NAMES = 2 + 8 + 1 + 1
"""Calls for a name that the documents lack: what goes with it, twice, what is a part of it, an answer, its check."""
NAMES_READ = 4000
"""Tokens read for that at most."""
ENGLISH = "The council met in spring and spoke about the harbour wall, the ferry and the price of salt. "
EXPERT = expert(
    {"谁设计": (FACT, "毛一清"), "出生地": (BIRTH, "岭下村")},
    decompose="钟楼是谁设计的？\n他的出生地是哪里？",
    next_question="毛一清的出生地是哪里？",
)


def resources(*texts: str, **knobs: Any) -> QAResources:
    documents = [Document(text, metadata={"source": f"{n}.txt"}) for n, text in enumerate(texts)]
    return gather_resources(ScriptedChatModel(), documents, None, LongContextConfig(**knobs))


def town(**knobs: Any) -> QAResources:
    return resources(chronicle(40, {10: FACT, 30: BIRTH}), **knobs)


class TestRealCost:
    """What a forecast says holds for questions that are then asked."""

    @pytest.mark.parametrize(
        ("level", "coverage"), [*((level, "adaptive") for level in get_args(Level)), ("read", "full")]
    )
    @pytest.mark.parametrize("question", ["钟楼的设计者的出生地是哪里？", "钟楼是谁设计的？", "谁在渡口唱歌？"])
    def test_it_lies_within_the_forecast(self, question: str, level: Level, coverage: str) -> None:
        knobs: Any = {"chunk_tokens": 160, "coverage": coverage}
        documents = [Document(chronicle(20, {5: FACT, 15: BIRTH}), metadata={"source": "镇志.txt"})]
        model, config = RuleChatModel(respond=EXPERT), LongContextConfig(**knobs)
        expected = qa_forecast(model=model, documents=documents, config=config, level=level)

        qa = create_long_context_qa(model=model, documents=documents, config=config)
        usage = qa.invoke({"question": question, "level": level})["usage"]

        for name in ("model_calls", "input_tokens"):
            least, most = expected[name]
            assert least <= usage[name] <= most, name


class TestRetrieve:
    def test_it_takes_a_plan_and_an_answer(self) -> None:
        assert forecast(town(), "retrieve")["model_calls"][0] == 2

    def test_a_question_in_another_language_takes_a_translation_more(self) -> None:
        assert forecast(town(), "retrieve")["model_calls"] == (2, 3 + CHECK + BACK + AGAIN)

    def test_documents_in_two_languages_take_one_in_any_case(self) -> None:
        both = resources(chronicle(20, {}), ENGLISH * 120)

        assert forecast(both, "retrieve")["model_calls"] == (3, 4 + CHECK + BACK + AGAIN)

    def test_it_reads_no_chunk_on_its_own(self) -> None:
        assert forecast(town(), "retrieve")["chunks_read"] == (0, 0)

    def test_the_answer_reads_as_much_evidence_as_is_allowed(self) -> None:
        little, much = (
            forecast(resources(ENGLISH * 120, evidence_tokens=n), "retrieve")["input_tokens"] for n in (500, 1500)
        )

        assert much[1] - little[1] == 1000

    def test_no_more_than_there_is(self) -> None:
        assert forecast(resources("Built in 1887."), "retrieve")["input_tokens"][1] < 1760


class TestRead:
    def test_an_adaptive_reading_ends_after_its_first_wave_at_the_earliest(self) -> None:
        low, high = forecast(town(chunk_tokens=64, wave_size=2, patience=3, max_readings=16), "read")["chunks_read"]

        assert (low, high) == (2, 16)

    def test_it_cannot_read_more_than_there_is(self) -> None:
        assert forecast(resources(ENGLISH), "read")["chunks_read"] == (1, 1)

    def test_a_full_reading_reads_every_chunk_once(self) -> None:
        full = town(coverage="full")
        chunks = len(full.chunks)

        told = forecast(full, "read")

        assert told["chunks_read"] == (chunks, chunks) == (told["chunks_total"],) * 2
        assert told["model_calls"] == (chunks + 2, chunks + 3 + NAMES + CHECK + BACK + AGAIN)

    def test_its_tokens_are_those_of_the_chunks_and_a_little_around_them(self) -> None:
        full = town(coverage="full")
        counted = sum(count_tokens(chunk.page_content) for chunk in full.ordered)

        low, high = (
            read - retrieve
            for read, retrieve in zip(
                forecast(full, "read")["input_tokens"], forecast(full, "retrieve")["input_tokens"], strict=True
            )
        )

        assert counted < low < high < 1.2 * counted + 130 * len(full.chunks) + NAMES_READ


class TestReason:
    def test_it_may_take_a_lookup_for_every_sub_question(self) -> None:
        few, many = (forecast(town(max_hops=hops), "reason")["model_calls"] for hops in (2, 4))

        assert few[0] == many[0]
        assert many[1] > 1.5 * few[1]

    def test_left_to_itself_a_question_takes_at_least_what_the_first_level_does(self) -> None:
        assert forecast(town(), "auto")["model_calls"][0] == forecast(town(), "retrieve")["model_calls"][0]

    def test_and_at_most_half_the_readings_of_the_last_one(self) -> None:
        documents = town(chunk_tokens=64, max_readings=8)

        assert forecast(documents, "auto")["chunks_read"] == (0, forecast(documents, "reason")["chunks_read"][1] // 2)


class TestLimits:
    @pytest.mark.parametrize("level", get_args(Level))
    def test_calls_are_capped(self, level: Level) -> None:
        told = forecast(town(coverage="full", max_model_calls=5), level)

        assert told["model_calls"][1] <= 5

    @pytest.mark.parametrize("level", get_args(Level))
    def test_tokens_are_capped(self, level: Level) -> None:
        told = forecast(town(coverage="full", max_tokens=2000), level)

        assert told["input_tokens"][1] + told["output_tokens"][1] <= 2001

    def test_seconds_are_capped_and_with_them_what_is_read(self) -> None:
        speed = Speed(read=100, written=25)
        free, capped = (forecast(town(coverage="full", max_seconds=s), "read", speed) for s in (None, 20))

        assert high(capped) == 20 < high(free)
        assert capped["chunks_read"][1] < free["chunks_read"][1]

    def test_a_limit_that_is_far_away_changes_nothing(self) -> None:
        assert forecast(town(max_model_calls=10_000, max_tokens=10**9), "reason") == forecast(town(), "reason")


def high(told: Forecast) -> float:
    assert told["seconds"]
    return told["seconds"][1]


class TestSpeed:
    def test_the_seconds_are_those_to_read_and_to_write_everything(self) -> None:
        told = forecast(town(), "read", Speed(read=100, written=25))

        assert high(told) == pytest.approx(told["input_tokens"][1] / 100 + told["output_tokens"][1] / 25, abs=0.2)

    def test_without_it_there_are_no_seconds(self) -> None:
        assert forecast(town(), "read")["seconds"] is None

    def test_ollama_says_itself_how_long_it_read_and_wrote(self) -> None:
        reply: Reply[Any] = Reply("Bread.", None, 1, 0, input_tokens=200, output_tokens=20)

        # Loading the model took the rest.
        said = {"prompt_eval_duration": 2_000_000_000, "eval_duration": 500_000_000, "load_duration": 9_000_000_000}

        assert speed_of(reply, 12.0, said) == Speed(read=100, written=40)

    def test_of_others_only_the_whole_is_known(self) -> None:
        reply: Reply[Any] = Reply("Bread.", None, 1, 0, input_tokens=200, output_tokens=50)

        assert speed_of(reply, 10.0, {}) == Speed(read=40, written=10)

    @pytest.mark.parametrize("said", [{}, {"prompt_eval_duration": 0, "eval_duration": 0}])
    def test_a_server_that_counts_nothing_is_no_error(self, said: dict[str, Any]) -> None:
        assert speed_of(Reply("", None), 0.0, said).read > 0

    def test_it_is_measured_in_one_short_call(self) -> None:
        model = ScriptedChatModel().enqueue("Bread is baked.")

        speed = measure_speed(model, LongContextConfig())

        assert speed.read > speed.written > 0
        assert 150 < sum(count_tokens(message.text) for message in model.history[0]) < 250

    def test_what_the_server_says_is_heard(self) -> None:
        class Ollama(ScriptedChatModel):
            def _generate(self, *arguments: Any, **options: Any) -> ChatResult:
                result = super()._generate(*arguments, **options)
                message = result.generations[0].message
                assert isinstance(message, AIMessage)
                message.response_metadata = {"prompt_eval_duration": 10**9, "eval_duration": 10**9}
                message.usage_metadata = {"input_tokens": 230, "output_tokens": 7, "total_tokens": 237}
                return result

        assert measure_speed(Ollama().enqueue("Bread."), LongContextConfig()) == Speed(read=230, written=7)

    def test_no_server_has_the_prompt_in_its_cache(self) -> None:
        model = ScriptedChatModel().enqueue("Bread.", "Bread.")

        for _ in range(2):
            measure_speed(model, LongContextConfig())

        first, second = (history[-1].text.splitlines() for history in model.history)
        assert first[0] != second[0]
        assert first[1:] == second[1:]


class TestForDocuments:
    def test_nothing_is_called_unless_it_is_to_be_measured(self) -> None:
        model = ScriptedChatModel()

        told = qa_forecast(model=model, documents=[Document(ENGLISH)])

        assert (told["level"], told["seconds"], model.calls) == ("auto", None, 0)

    def test_measured_it_has_seconds(self) -> None:
        model = ScriptedChatModel().enqueue("Bread.")

        told = qa_forecast(model=model, documents=[Document(ENGLISH)], level="read", measure=True)

        assert (told["seconds"] is not None, model.calls) == (True, 1)

    def test_it_takes_a_retriever_as_the_factory_does(self) -> None:
        retriever: Any = town().retriever

        assert qa_forecast(model=ScriptedChatModel(), retriever=retriever) == forecast(town(), "auto")

    def test_without_documents_it_is_the_factorys_error(self) -> None:
        with pytest.raises(InputError, match="give documents, or a retriever"):
            qa_forecast(model=ScriptedChatModel())

    def test_a_model_that_does_not_answer_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("tenacity.nap.time.sleep", lambda _: None)
        model = ScriptedChatModel().enqueue(*[ConnectionError("refused")] * 3)

        with pytest.raises(ModelUnavailableError):
            qa_forecast(model=model, documents=[Document(ENGLISH)], measure=True)
