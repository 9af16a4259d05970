"""What commands load when they are used first, loaded once for all of them: importing this module asks a question."""

from __future__ import annotations

import langchain_ollama
from langchain_core.documents import Document
from langgraph.cache import sqlite
from scripted import RuleChatModel, expert

from langchain_qwen_longctx import cli, create_long_context_qa, doctor, indexing, notes, progress, server, threads

LOADED = (langchain_ollama, sqlite, cli, doctor, indexing, notes, progress, server, threads)

create_long_context_qa(
    model=RuleChatModel(respond=expert({})), documents=[Document("钟楼由匠人毛一清设计。 Bells.")]
).invoke({"question": "钟楼是谁设计的？", "level": "read"})
