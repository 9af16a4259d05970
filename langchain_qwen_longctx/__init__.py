"""Question answering over documents far larger than a model's context, as one LangChain Runnable."""

__version__ = "0.1.0"
