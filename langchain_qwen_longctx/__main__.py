"""`python -m langchain_qwen_longctx` is `qwen-longctx`."""

from langchain_qwen_longctx.cli import main

main()
