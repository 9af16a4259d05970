"""`qwen-longctx serve`: the documents behind HTTP, and a web page to ask them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from langchain_qwen_longctx.cli_options import Settings, index_options, knob_options, model_options, no_cache_option
from langchain_qwen_longctx.cli_parts import open_documents, open_named_model, opened_replies
from langchain_qwen_longctx.errors import InputError
from langchain_qwen_longctx.listening import LOOPBACK, listen, url_of, web_server

if TYPE_CHECKING:
    from fastapi import FastAPI

    from langchain_qwen_longctx.cli_parts import KeptReplies

# The heavy imports are inside the functions: `--help` answers at once.
# ruff: noqa: PLC0415

EXAMPLES: Final = """\
\b
Examples:
  qwen-longctx serve report.pdf notes/      # then open http://127.0.0.1:8000
  qwen-longctx serve                        # documents are uploaded on the page
  qwen-longctx serve --max-seconds 120 --concurrency 4 ~/papers
\b
  For others on the network, each with a key of one's own:
  qwen-longctx serve --host 0.0.0.0 --key $ANNA --key $BEN report.pdf
\b
  From Python, and from any client of OpenAI's:
  RemoteRunnable("http://127.0.0.1:8000/qa").invoke({"question": "Who chaired the board?"})
  OpenAI(base_url="http://127.0.0.1:8000/v1", api_key="none")
"""


@click.command("serve", epilog=EXAMPLES, short_help="Serve answers over HTTP, with a web page")
@click.argument("paths", metavar="[PATH]...", nargs=-1, type=click.Path())
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address; another than this machine's needs --key."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes a free one."
)
@click.option(
    "--key", "keys", multiple=True, metavar="KEY", help="Let in only who sends it; repeatable, one for each client."
)
@click.option(
    "--max-upload-mb", type=click.IntRange(min=0), default=20, show_default=True, metavar="N", help="Size of a file."
)
@click.option(
    "--max-total-mb",
    type=click.IntRange(min=0),
    default=100,
    show_default=True,
    metavar="N",
    help="Text of all uploads, of which one has a quarter at most; it takes some twenty times the memory.",
)
@knob_options
@no_cache_option
@model_options
@index_options
def serve_command(
    *,
    paths: tuple[str, ...],
    host: str,
    port: int,
    keys: tuple[str, ...],
    max_upload_mb: int,
    max_total_mb: int,
    **options: Any,
) -> None:
    """Serve answers from the documents at PATH..., and from what is uploaded, until it is interrupted.

    At / is a page to ask on. The routes are described in /openapi.json: LangServe's under /qa, /retrieve, /read and
    /reason, OpenAI's under /v1, uploads under /collections. Uploads are kept in memory for an hour after their last
    use; if there is no room for another, the one unused for the longest goes, after five minutes at the earliest. All
    share the model, --concurrency calls at once, by turns; the limits on calls, tokens and seconds hold for every
    question.

    Exit codes: 0 ended, 2 bad input, 3 no model, 130 interrupted.
    """
    if host not in LOOPBACK and not keys:
        msg = f"--host {host} lets others in; give them keys (--key KEY), or leave --host away"
        raise InputError(msg)
    settings = Settings(**options)
    if paths:
        settings.check(paths)
    with opened_replies(settings) as replies, listen(host, port) as listener:
        sizes = {"max_file_bytes": max_upload_mb * 1_000_000, "max_total_bytes": max_total_mb * 1_000_000}
        app = open_app(paths, settings, replies, keys=keys, host=host, sizes=sizes)
        click.echo(f"Serving {url_of(listener)} until Ctrl-C", err=True)
        web_server(app).run(sockets=[listener])


def open_app(
    paths: tuple[str, ...],
    settings: Settings,
    replies: KeptReplies | None,
    *,
    keys: tuple[str, ...],
    host: str,
    sizes: dict[str, int],
) -> FastAPI:
    """Return the application over the documents.

    Raises:
        InputError: The extra `server` is not installed, or a key cannot be used.
    """
    try:
        from langchain_qwen_longctx.server import ServerSettings, create_app
        from langchain_qwen_longctx.uploads import UploadLimits
    except ImportError as error:
        msg = f'the server needs {error.name}; run: pip install "langchain-qwen-longctx[server]"'
        raise InputError(msg) from error
    from langchain_qwen_longctx.doctor import check_model

    admission = ServerSettings(
        api_keys=keys,
        # A web site could point a name of its own at this machine; where keys are asked for, that gains it nothing.
        allowed_hosts=("localhost", "127.0.0.1", "[::1]") if host in LOOPBACK else ("*",),
        upload=UploadLimits(**sizes),
    )
    name, model = open_named_model(settings)
    return create_app(
        model=model,
        retriever=open_documents(paths, settings) if paths else None,
        config=settings.config(),
        cache=replies,
        settings=admission,
        name=name,
        check=lambda: check_model(name, settings.base_url),
    )
