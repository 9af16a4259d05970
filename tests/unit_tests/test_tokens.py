"""Counts that a Qwen server would report, and packing that never exceeds its budget."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage
from quicktok import get_encoding

from langchain_qwen_longctx.tokens import count_message_tokens, count_tokens, encode, pack

ROLES = {"system": SystemMessage, "human": HumanMessage, "ai": AIMessage}
TEMPLATE_ROLES = {"system": "system", "human": "user", "ai": "assistant"}


def rendered(messages: list[BaseMessage]) -> str:
    """Write a conversation as Qwen's chat template does, with the assistant's turn opened."""
    turns = [f"<|im_start|>{TEMPLATE_ROLES[message.type]}\n{message.text}<|im_end|>\n" for message in messages]
    return "".join(turns) + "<|im_start|>assistant\n"


class TestTexts:
    @pytest.mark.parametrize(
        ("text", "ids"), [("Hello, world!", [9707, 11, 1879, 0]), ("你好", [108386]), ("2012", [17, 15, 16, 17])]
    )
    def test_ids_are_those_of_qwen(self, text: str, ids: list[int]) -> None:
        assert list(encode(text)) == ids

    def test_an_empty_text_has_no_tokens(self) -> None:
        assert count_tokens("") == 0

    def test_a_special_token_in_a_text_is_plain_characters(self) -> None:
        assert count_tokens("<|im_start|>") > 1
        assert 151644 not in encode("<|im_start|>")

    def test_a_lone_surrogate_counts_as_the_replacement_character(self) -> None:
        assert list(encode("a\ud800b")) == list(encode("a\ufffdb"))

    @settings(deadline=None)
    @given(st.text(st.characters()))
    def test_any_text_can_be_counted_and_has_at_most_a_token_a_byte(self, text: str) -> None:
        assert count_tokens(text) == len(encode(text)) <= len(text.encode("utf-8", "surrogatepass"))

    @settings(deadline=None)
    @given(st.text())
    def test_the_tokens_of_a_text_are_the_bytes_of_its_normal_form(self, text: str) -> None:
        # Qwen's tokenizer composes characters first (NFC), as it was trained to.
        assert get_encoding("qwen3").decode(list(encode(text))) == unicodedata.normalize("NFC", text)


class TestMessages:
    def test_a_conversation_counts_as_its_template(self) -> None:
        messages = [SystemMessage("You are brief."), HumanMessage("第五交响曲？"), AIMessage("1808."), HumanMessage("")]
        assert count_message_tokens(messages) == len(get_encoding("qwen3").encode_with_special(rendered(messages)))

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(sorted(ROLES)), st.text().map(str.lstrip)), max_size=5))
    def test_any_conversation_counts_as_its_template(self, turns: list[tuple[str, str]]) -> None:
        messages = [ROLES[role](text) for role, text in turns]
        assert count_message_tokens(messages) == len(get_encoding("qwen3").encode_with_special(rendered(messages)))

    def test_text_blocks_count_as_their_text(self) -> None:
        blocks = HumanMessage([{"type": "text", "text": "one "}, {"type": "text", "text": "two"}])
        assert count_message_tokens([blocks]) == count_message_tokens([HumanMessage("one two")])

    def test_no_messages_are_the_opened_reply_alone(self) -> None:
        assert count_message_tokens([]) == 3


class TestPacking:
    CANDIDATES = st.lists(st.integers(0, 50)).map(lambda sizes: [(str(i), size) for i, size in enumerate(sizes)])

    @given(CANDIDATES, st.integers(-5, 200))
    def test_what_is_chosen_fits_and_keeps_its_order(self, candidates: list[tuple[str, int]], budget: int) -> None:
        chosen = pack(candidates, budget)
        sizes = dict(candidates)
        assert sum(sizes[identifier] for identifier in chosen) <= max(budget, 0)
        assert chosen == [identifier for identifier, _ in candidates if identifier in set(chosen)]

    @given(CANDIDATES, st.integers(0, 200))
    def test_nothing_left_out_would_still_fit(self, candidates: list[tuple[str, int]], budget: int) -> None:
        chosen = pack(candidates, budget)
        sizes = dict(candidates)
        room = budget - sum(sizes[identifier] for identifier in chosen)
        assert all(tokens > room for identifier, tokens in candidates if identifier not in set(chosen))

    def test_a_smaller_one_takes_the_room_that_a_larger_one_cannot(self) -> None:
        assert pack([("a", 5), ("b", 9), ("c", 3)], 8) == ["a", "c"]
