"""Hostile clients of the server.

Whatever they send, they are refused with the status that says why; nothing is read, fetched or told that is not theirs;
nothing grows without end; and whoever means well is answered meanwhile.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hostile_access import try_access
from hostile_bodies import try_bodies
from hostile_connections import try_connections
from hostile_floods import try_floods
from hostile_messages import try_messages
from hostile_server import SMALL, town
from hostile_texts import try_texts
from hostile_uploads import try_uploads

from langchain_qwen_longctx.server import ServerSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trials import Trial


def run(*, is_short: bool) -> Iterator[Trial]:
    """Try everything."""
    with town(ServerSettings(upload=SMALL)) as url:
        yield from try_access(url, is_short=is_short)
        yield from try_bodies(url, is_short=is_short)
    yield from try_texts()
    yield from try_messages()
    yield from try_uploads(is_short=is_short)
    yield from try_connections(is_short=is_short)
    yield from try_floods(is_short=is_short)
