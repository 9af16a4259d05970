"""What can happen to a model's reply on its way, each fault by what it is called in the table."""

from __future__ import annotations

import json
from itertools import repeat
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transport_server import Fault, Wire

TIMEOUT: Final = 1.2
"""Seconds after which a call is given up in these trials."""


def late(wire: Wire) -> None:
    """Answer, but after the call has been given up."""
    wire.wait(3 * TIMEOUT)
    wire.deliver()


def slow(wire: Wire) -> None:
    """Answer just in time."""
    wire.wait(TIMEOUT / 4)
    wire.deliver()


def dropped(wire: Wire) -> None:
    """Close the connection without a byte."""
    wire.close()


def reset(wire: Wire) -> None:
    """Reset the connection without a byte."""
    wire.reset()


def dropped_in_the_middle(wire: Wire) -> None:
    """Close the connection after half of the reply."""
    wire.head()
    wire.send(first_half(wire))
    wire.close()


def reset_in_the_middle(wire: Wire) -> None:
    """Reset the connection after half of the reply."""
    wire.head()
    wire.send(first_half(wire))
    wire.reset()


def ended_early(wire: Wire) -> None:
    """Send a body that is well formed and ends before the reply does, as a proxy does whose server has died."""
    wire.head(is_chunked=False)
    begun = wire.parts_of(wire.text[:2])
    wire.send(begun[0] if len(begun) > 1 else begun[0][:40])
    wire.close()


def cut_in_a_line(wire: Wire) -> None:
    """End in the middle of a JSON object."""
    wire.deliver([first_half(wire)])


def nothing(wire: Wire) -> None:
    """Send a body without a byte."""
    wire.deliver([])


def garbage(wire: Wire) -> None:
    """Send bytes that are no text before the reply."""
    wire.deliver([b"\xff\x00\x93\xfe\n", *wire.parts])


def garbage_in_the_middle(wire: Wire) -> None:
    """Send bytes that are no text in the middle of the reply."""
    whole = b"".join(wire.parts)
    wire.deliver([whole[: len(whole) // 2], b"\x00\xff\xc0\n\n\x80{", whole[len(whole) // 2 :]])


def another_shape(wire: Wire) -> None:
    """Send JSON that is no reply."""
    wire.deliver([b"[1, 2]\n", b'"yes"\n'])


def page(wire: Wire) -> None:
    """Send a web page, as a network does that one has to log in to."""
    wire.head(Content_Type="text/html")
    wire.send(b"<!doctype html>\n<title>Welcome</title>\n")
    wire.end()


def falsely_compressed(wire: Wire) -> None:
    """Say that the body is compressed when it is not."""
    wire.head(Content_Encoding="gzip")
    wire.send(b"".join(wire.parts))
    wire.end()


def circle(wire: Wire) -> None:
    """Send the client back to where it comes from."""
    wire.head(307, Location="")
    wire.end()


def failing(wire: Wire) -> None:
    """Say in the middle of the reply that something has gone wrong."""
    wire.deliver([*wire.parts[:-2], b'{"error": "the runner has crashed"}\n'])


def empty(wire: Wire) -> None:
    """Send a reply without a word."""
    wire.deliver(wire.parts_of(""))


def cut_prompt(wire: Wire) -> None:
    """Have read half of the prompt, and say so."""
    wire.deliver(wire.parts_of(wire.text, read=20))


def off_the_schema(wire: Wire) -> None:
    """Chat where a JSON object is asked for."""
    wire.deliver(wire.parts_of("Certainly! I think that it matters.") if wire.is_held_to_schema else None)


def endless(wire: Wire) -> None:
    """Never end the reply."""
    wire.head()
    line = json.dumps({"message": {"role": "assistant", "content": "la "}, "done": False}).encode() + b"\n"
    for part in repeat(line * 64):
        wire.send(part)


def megabytes(wire: Wire) -> None:
    """Send a reply of 8 MB, in one piece."""
    wire.deliver(wire.parts_of("la " * 2_800_000))


def dripping(wire: Wire) -> None:
    """Send the reply byte by byte, so slowly that it takes far longer than a call may."""
    wire.head()
    for byte in b"".join(wire.parts):
        wire.send(bytes([byte]))
        wire.wait(TIMEOUT / 8)


def status(code: int) -> Fault:
    """Refuse the call with a status."""

    def refuse(wire: Wire) -> None:
        wire.head(code, Retry_After="0")
        wire.send(json.dumps({"error": f"status {code}"}).encode())
        wire.end()

    return refuse


def first_half(wire: Wire) -> bytes:
    """Return half of the bytes of a reply."""
    whole = b"".join(wire.parts)
    return whole[: len(whole) // 2]


FAULTS: Final[Mapping[str, Fault]] = {
    "a reply that takes long, but not too long": slow,
    "a reply that comes after the time for it": late,
    "the reply one byte at a time": dripping,
    "connection closed before the reply": dropped,
    "connection closed in the middle of it": dropped_in_the_middle,
    "connection reset before the reply": reset,
    "connection reset in the middle of it": reset_in_the_middle,
    "a body that ends before the reply does": ended_early,
    "a body that ends in the middle of a JSON object": cut_in_a_line,
    "a body without a byte": nothing,
    "status 429": status(429),
    "status 500": status(500),
    "status 503": status(503),
    "status 404": status(404),
    "status 401": status(401),
    "redirects in a circle": circle,
    "bytes that are no text before the reply": garbage,
    "bytes that are no text in the middle of it": garbage_in_the_middle,
    "JSON of another shape": another_shape,
    "a web page in place of the reply": page,
    "a body that is falsely said to be compressed": falsely_compressed,
    "an error told in the middle of the reply": failing,
    "a reply without a word": empty,
    "fewer tokens read than were sent": cut_prompt,
    "a reply that ignores the schema": off_the_schema,
    "a reply without an end": endless,
    "a reply of 8 MB": megabytes,
}

LASTING: Final = frozenset({"a reply that comes after the time for it", "the reply one byte at a time"})
"""Those that end by the time that a call may take."""
