"""Numbers in words, read by text2num and cn2an. Pure."""

from __future__ import annotations

import re
import warnings
from threading import Lock
from typing import Final

_CHINESE: Final = re.compile(r"[〇零一二三四五六七八九十百千万亿两半廿幺壹贰叁参肆伍陆柒捌玖拾佰仟]")

_filters: Final = Lock()
"""Held while the filters of warnings, which all threads share, are others."""


def in_digits(text: str) -> str:
    """Return a text with its English and Chinese numbers in digits: `twenty-three`, `二十三` and `23` are one.

    So are parts of words and names: 三国 becomes 3国. So whatever is compared is put in digits on both sides.

    Args:
        text: In the form of `normalize`.
    """
    from text_to_num import alpha2digit  # noqa: PLC0415 - that takes time

    text = alpha2digit(text, "en", threshold=0)
    return _chinese_in_digits(text) if _CHINESE.search(text) else text


def _chinese_in_digits(text: str) -> str:
    import cn2an  # noqa: PLC0415 - likewise

    with _filters, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of words such as 万一, which it leaves as they are
        return str(cn2an.transform(text, "cn2an"))
