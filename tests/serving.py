"""An application behind a real web server, in a thread of the test's process."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING

from langchain_qwen_longctx.listening import listen, url_of, web_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Serve an application on a free port, and yield its address."""
    with listen("127.0.0.1", 0) as listener:
        server = web_server(app)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            # The socket takes connections already; they wait for the server.
            yield url_of(listener)
        finally:
            server.should_exit = True
            thread.join()
