"""Which language a text is in."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

LANGUAGE_NAMES: Final = {
    "ar": "Arabic",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "id": "Indonesian",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "nl": "Dutch",
    "no": "Norwegian",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "sv": "Swedish",
    "th": "Thai",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "vi": "Vietnamese",
    "zh": "Chinese",
}

# A name or two in plain letters says nothing about a language.
MIN_WORDS: Final = 3

HAN_PER_WORD: Final = 2
"""A Chinese word has about two characters."""

_HAN: Final = re.compile(r"[\u3400-\u9fff]")
_KANA_OR_HANGUL: Final = re.compile(r"[\u3040-\u30ff\uac00-\ud7af]")
_WORD: Final = re.compile(r"[^\W\d_\u3400-\u9fff]+")
_LETTER: Final = re.compile(r"[^\W\d_]")


@cache
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - its model takes time to load

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE)
    identifier.set_languages(list(LANGUAGE_NAMES))
    return identifier


def han_share(text: str) -> float:
    """Return which share of a text's letters are Chinese characters, 0 to 1; 0 for a text without letters."""
    letters = len(_LETTER.findall(text))
    return len(_HAN.findall(text)) / letters if letters else 0.0


def language_name(text: str) -> str:
    """Return the English name of a text's language."""
    return LANGUAGE_NAMES[detect_language(text)]


def detect_language(text: str) -> str:
    """Return the ISO 639-1 code of a text's language, one of `LANGUAGE_NAMES`; English where nothing tells.

    A question often names things in another script. So a third of Chinese characters makes a text Chinese; or more
    than two of them for each other word, for names in Latin letters are long.
    """
    if not _KANA_OR_HANGUL.search(text):
        if han_share(text) > 1 / 3 or len(_HAN.findall(text)) > HAN_PER_WORD * len(_WORD.findall(text)):
            return "zh"
        text = _HAN.sub(" ", text)
    if text.isascii() and len(text.split()) < MIN_WORDS:
        return "en"
    code: str = _identifier().classify(text)[0]
    return code
