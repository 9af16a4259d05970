"""Zip archives, looked through before a parser opens them: DOCX, XLSX, PPTX and EPUB are such archives."""

from __future__ import annotations

import io
import zipfile
import zlib
from contextlib import suppress
from copy import copy
from typing import TYPE_CHECKING, Any, Final

from langchain_qwen_longctx.errors import BrokenDocumentError, EncryptedDocumentError, UnsupportedDocumentError

if TYPE_CHECKING:
    from collections.abc import Iterable

OLE_MAGIC: Final = bytes.fromhex("D0CF11E0A1B11AE1")

MAX_UNPACKED_BYTES: Final = 1024**3
MAX_MEMBERS: Final = 100_000

_ENTRY_MAGIC: Final = b"PK\x01\x02"
_ENCRYPTED: Final = 1
_PIECE: Final = 1 << 20
_DAMAGE: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError)


def is_encrypted_office(data: bytes) -> bool:
    """Tell whether this is an Office file with a password: it is then wrapped in the old binary container."""
    return data.startswith(OLE_MAGIC) and "EncryptedPackage".encode("utf-16-le") in data


def check_archive(data: bytes, source: str, kind: str) -> None:
    """Refuse what is not an intact, plain, reasonably sized zip archive.

    What an archive says of its sizes is not believed: zipfile unpacks the whole of a member before it looks at them.

    Args:
        data: The whole file.
        source: Its name, for messages.
        kind: What it should be, for messages.

    Raises:
        EncryptedDocumentError: A password is needed.
        UnsupportedDocumentError: It is of the old binary Office format.
        BrokenDocumentError: It is no zip archive, a damaged one, or unpacks to too much.
    """
    if data.startswith(OLE_MAGIC):
        if is_encrypted_office(data):
            raise EncryptedDocumentError(source, "a password protects this file; save a copy without one")
        problem = f"the contents are of the old binary Office format, not a {kind}; save it in the new format"
        raise UnsupportedDocumentError(source, problem)
    if data.count(_ENTRY_MAGIC) > MAX_MEMBERS:
        raise BrokenDocumentError(source, f"holds more than {MAX_MEMBERS:,} files, as no {kind} does")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if any(member.flag_bits & _ENCRYPTED for member in members):
                raise EncryptedDocumentError(source, "a password protects this file; save a copy without one")
            if foreign := {member.compress_type for member in members} - {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
                problem = f"packed by method {min(foreign)}, which no {kind} uses; save it again in its program"
                raise BrokenDocumentError(source, problem)
            declared = sum(member.file_size for member in members)
            is_too_much = declared > MAX_UNPACKED_BYTES or _unpacks_to_too_much(archive, members)
    except _DAMAGE as error:
        problem = f"not a {kind}, or a damaged one ({error}); check that it opens in its program"
        raise BrokenDocumentError(source, problem) from error
    if is_too_much:
        problem = f"unpacks to more than the limit of {MAX_UNPACKED_BYTES:,} bytes; divide the file"
        raise BrokenDocumentError(source, problem)


def _unpacks_to_too_much(archive: zipfile.ZipFile, members: Iterable[zipfile.ZipInfo]) -> bool:
    left = MAX_UNPACKED_BYTES
    for member in members:
        true: Any = copy(member)
        # zipfile stops where the declared size ends, and then compares the checksum, which may be made to fit.
        true.file_size, true.CRC = left + 1, None
        # A damaged member is no matter if its parser has no use for it.
        with suppress(*_DAMAGE), archive.open(true) as file:
            while left >= 0 and (piece := file.read(_PIECE)):
                left -= len(piece)
    return left < 0
