"""Everything this package raises on purpose.

Catch `LongContextError` to catch them all. Every message names the thing that is wrong, its value, and what to do next.

```
LongContextError
├── InputError                    also a ValueError: a question or an option that cannot be used
│   └── QuestionTooLongError      the question alone does not fit the context window
├── DocumentError                 a file or folder that cannot be read; carries `source`
│   ├── DocumentNotFoundError     no such path, or nothing readable under it
│   ├── UnsupportedDocumentError  a type there is no loader for
│   ├── EmptyDocumentError        the file holds no text
│   ├── ScannedDocumentError      pages without a text layer
│   ├── EncryptedDocumentError    a password is needed
│   └── BrokenDocumentError       damaged, or not what its name says
├── IndexFileError                a saved index that is truncated, foreign, or of another version
├── OutOfBudgetError              the next model call would exceed what a question may cost; carries `reason`
├── CollectionError               uploaded documents that a server does not take, or no longer has; carries `status`
├── ClientGoneError               whoever asked a server has gone, so that its question is not answered any further
└── ModelError                    the chat model could not do its part
    ├── ModelUnavailableError     no server, no such model, a missing extra
    ├── ModelFileError            the embedded model's file is missing or fails its checksum
    ├── ModelResponseError        the answer could not be parsed, even after one repair
    ├── ContextOverflowError      the rendered prompt is larger than the context window
    └── PromptTruncatedError      the server read fewer tokens than it was sent
```
"""

from typing import Literal, Self


class LongContextError(Exception):
    """Root of every error this package raises on purpose."""


class InputError(LongContextError, ValueError):
    """A question or an option cannot be used as given."""


class QuestionTooLongError(InputError):
    """The question leaves no room in the context window for evidence and an answer."""


class DocumentError(LongContextError):
    """A document could not be read.

    Attributes:
        source: Path or name of the document, as the caller gave it.
        problem: What is wrong with it, and the remedy.
    """

    def __init__(self, source: str, problem: str) -> None:
        """Keep the source beside the message `source: problem`."""
        super().__init__(f"{source}: {problem}")
        self.source = source
        self.problem = problem

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        """Come out of another process as it went in; by itself, an exception is made anew of its message alone."""
        return type(self), (self.source, self.problem)


class DocumentNotFoundError(DocumentError):
    """There is no such path, or no readable file under it."""


class UnsupportedDocumentError(DocumentError):
    """No loader knows this type of file."""


class EmptyDocumentError(DocumentError):
    """The file holds no text at all."""


class ScannedDocumentError(DocumentError):
    """The pages are pictures: there is no text layer to read."""


class EncryptedDocumentError(DocumentError):
    """The file is protected by a password."""


class BrokenDocumentError(DocumentError):
    """The file is damaged, or is not what its name says."""


class IndexFileError(LongContextError):
    """A saved index is truncated, foreign, or written by another version."""


class OutOfBudgetError(LongContextError):
    """The next model call would exceed what the question may cost. The graphs stop reading on it.

    Attributes:
        reason: `budget` for calls and tokens, `deadline` for time.
        spent: What was spent before, as in `ModelError`.
    """

    def __init__(self, reason: Literal["budget", "deadline"]) -> None:
        """Keep the reason beside the message."""
        super().__init__(f"the question's {reason} is used up")
        self.reason = reason
        self.spent: dict[str, int] = {}


class CollectionError(LongContextError):
    """A server does not take these uploads, or does not have this collection.

    Attributes:
        status: The HTTP status that says so.
    """

    def __init__(self, status: int, problem: str) -> None:
        """Keep the status beside the message."""
        super().__init__(problem)
        self.status = status


class ClientGoneError(LongContextError):
    """Whoever asked has gone: no further call of the model is made."""


class ModelError(LongContextError):
    """The chat model could not do its part.

    Attributes:
        spent: What the attempt cost: `model_calls`, `input_tokens` and `output_tokens`; empty if nothing was sent.
    """

    def __init__(self, *arguments: object) -> None:
        """Begin with nothing spent."""
        super().__init__(*arguments)
        self.spent: dict[str, int] = {}


class ModelUnavailableError(ModelError):
    """No server answers, it does not have the model, or an extra is not installed."""


class ModelFileError(ModelError):
    """The embedded model's file is missing, incomplete, or fails its checksum."""


class ModelResponseError(ModelError):
    """The model's output could not be parsed, even after one repair."""


class ContextOverflowError(ModelError):
    """The rendered prompt and the room kept for the answer exceed the context window."""


class PromptTruncatedError(ModelError):
    """The server read fewer tokens than it was sent."""
