from __future__ import annotations

from io import BytesIO

import pytest
from command_line import EXPERT, TOWN_FACT, TOWN_QUESTION
from langchain_core.documents import Document
from scripted import RuleChatModel

from langchain_qwen_longctx.config import LongContextConfig
from langchain_qwen_longctx.document_collections import SERVED, Answerer, Collection
from langchain_qwen_longctx.errors import CollectionError
from langchain_qwen_longctx.retrievers import BilingualBM25Retriever
from langchain_qwen_longctx.text_splitters import QwenTextSplitter
from langchain_qwen_longctx.uploads import SECONDS_SAFE, Shelf, UploadLimits, safe_name, unique_names

NOTE = ("note.txt", b"The tide stood at four feet.\r\n\r\nThe ship left at noon.\r\n")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def shelf(*, clock: Clock | None = None, **limits: float) -> Shelf:
    return Shelf(None, UploadLimits(**limits), 512, clock or Clock())  # type: ignore[arg-type]


def add(on: Shelf, *files: tuple[str, bytes]) -> Collection:
    return on.add([(name, BytesIO(data)) for name, data in files])


def test_an_upload_can_be_asked() -> None:
    collection = add(shelf(), ("镇志.txt", TOWN_FACT.encode()))
    answerer = Answerer(model=RuleChatModel(respond=EXPERT), config=LongContextConfig())

    result = collection.runnable(answerer).invoke({"question": TOWN_QUESTION, "level": "retrieve"})

    assert result["answer"] == "毛一清 [1]"
    assert result["citations"][0]["source"] == "镇志.txt"


def test_what_cannot_be_read_is_told_beside_what_can() -> None:
    on = shelf()

    told = on.describe(add(on, NOTE, ("scan.pdf", b"no pdf"), ("empty.txt", b"")))

    assert [document["source"] for document in told["documents"]] == ["note.txt"]
    assert [failure["source"] for failure in told["failed"]] == ["scan.pdf", "empty.txt"]
    assert told["failed"][1]["problem"] == "the file is empty"


def test_files_of_which_none_can_be_read_are_refused_with_each_reason() -> None:
    with pytest.raises(CollectionError, match=r"empty\.txt: the file is empty; blank\.md: ") as caught:
        add(shelf(), ("empty.txt", b""), ("blank.md", b" \n"))

    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("files", "status", "message"),
    [
        ([], 422, "there are 0 files; send between 1 and 2"),
        ([NOTE] * 3, 422, "there are 3 files"),
        ([("a/big.txt", b"x" * 101)], 413, "big.txt has 101 bytes, more than 100; divide it"),
        ([("a.txt", b"x" * 60), ("b.txt", b"y" * 60)], 413, "there are 120 bytes of text, more than 100; divide it"),
    ],
)
def test_too_much_is_refused(files: list[tuple[str, bytes]], status: int, message: str) -> None:
    with pytest.raises(CollectionError, match=message) as caught:
        add(shelf(max_files=2, max_file_bytes=100, max_total_bytes=400), *files)

    assert caught.value.status == status


def test_an_upload_is_forgotten_after_its_time_and_kept_by_each_use() -> None:
    clock = Clock()
    on = shelf(clock=clock, lifetime_seconds=60)
    used, unused = add(on, NOTE), add(on, NOTE)

    clock.now += 50
    on.get(used.id)
    clock.now += 50

    assert on.get(used.id) is used
    assert len(on) == 1
    with pytest.raises(CollectionError, match="its time is over") as caught:
        on.get(unused.id)
    assert caught.value.status == 404


def test_no_more_collections_are_kept_than_the_limit_until_one_is_removed() -> None:
    on = shelf(max_collections=1)
    first = add(on, NOTE)
    with pytest.raises(CollectionError, match="the 1 collections that are kept leave no room") as caught:
        add(on, NOTE)
    assert caught.value.status == 503

    on.remove(first.id)

    assert add(on, NOTE).id != first.id


def test_what_was_not_used_for_the_longest_time_makes_room_for_more_text() -> None:
    clock = Clock()
    on = shelf(clock=clock, max_total_bytes=4 * len(NOTE[1]))
    oldest, used, *others = (add(on, NOTE) for _ in range(4))

    clock.now += SECONDS_SAFE
    on.get(used.id)
    clock.now += 1
    new = add(on, NOTE)

    assert len(on) == 4
    assert [on.get(each.id) for each in (used, *others, new)] == [used, *others, new]
    with pytest.raises(CollectionError, match="it made room for others"):
        on.get(oldest.id)


def test_what_is_being_read_has_its_room_already() -> None:
    on = shelf(max_total_bytes=4 * len(NOTE[1]))

    with on._room_for(4 * len(NOTE[1])), pytest.raises(CollectionError, match="try again later") as caught:
        add(on, NOTE)

    assert caught.value.status == 503
    assert add(on, NOTE)


def test_the_servers_own_documents_stay() -> None:
    index = BilingualBM25Retriever.from_documents(QwenTextSplitter().split_documents([Document("The tide is high.")]))
    on = Shelf(Collection(SERVED, index), UploadLimits(), 512)

    with pytest.raises(CollectionError, match="cannot be removed"):
        on.remove(SERVED)
    assert on.describe(on.get(SERVED))["expires_in"] is None


def test_a_server_without_documents_says_so() -> None:
    with pytest.raises(CollectionError, match="no documents of its own; upload some first"):
        shelf().get(SERVED)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a\nb\u202e.txt", "a_b_.txt"),
        ("", "document"),
        ("论文 1.pdf", "论文 1.pdf"),
        ("x" * 300 + ".txt", "x" * 196 + ".txt"),
    ],
)
def test_a_name_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_two_files_of_one_name_are_told_apart() -> None:
    assert unique_names(["a.txt", "b/a.txt", "a.txt", "README", "README"]) == [
        "a.txt",
        "a (2).txt",
        "a (3).txt",
        "README",
        "README (2)",
    ]
