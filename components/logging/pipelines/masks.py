"""Masks for what Logstash reads itself: `mutate`'s gsub, whose patterns are Ruby's.

They do what `shipper/mask.js` does, save for check digits, which a pattern cannot compute: a number that has
the form of an identity or bank card is masked, whether it is one or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Mask:
    """What is replaced, and by what."""

    pattern: str
    """Without quotes of either kind: they are written as `\\x22` and `\\x27`."""
    replacement: str


_ALONE_BEFORE: Final = r"(?<![0-9])(?<![0-9]\.)"
_ALONE_AFTER: Final = r"(?![0-9])"
_SECRET: Final = (
    r"passwords?|passwd|pwd|secrets?|credentials?|api[_-]?keys?|access[_-]?keys?|access[_-]?key[_-]?(?:id|secret)"
    r"|secret[_-]?keys?|private[_-]?keys?|signing[_-]?secret|client[_-]?secret"
    r"|(?:access|refresh|auth|id|hf|session|security|bearer|api|csrf|robot)[_-]?token|sessionid|session[_-]id"
)
_EMPTY: Final = r"(?!(?:none|null|nil|true|false|undefined|bearer|basic|\*+)(?![^\s,;&)}\]]))"

MASKS: Final = (
    Mask(r"[A-Za-z0-9+/=_-]{256,}", "[blob]"),
    Mask(r"(?i)\b(bearer\s+)(?=[A-Za-z]*[0-9._~+/=-]|[A-Za-z]{20})[A-Za-z0-9._~+/=-]{8,}", r"\1[token]"),
    Mask(
        r"(?i)\b(authorization\\*[\x22\x27]?\s*[:=]\s*\\*[\x22\x27]?(?:basic|digest|negotiate|apikey|token)\s+)"
        r"[^\s\x22\x27\\,;}]+",
        r"\1[token]",
    ),
    Mask(r"(?i)\b((?:set-)?cookie\\*[\x22\x27]?\s*[:=]\s*\\*[\x22\x27]?)[^\x22\x27\\\r\n]+", r"\1[token]"),
    Mask(
        rf"(?i)\b((?:[A-Za-z0-9]+[_-])*(?:{_SECRET})|token)(\\*[\x22\x27]?\s*[:=]\s*\\*)"
        r"(?:\x22[^\x22]+\x22|\x27[^\x27]+\x27)",
        r"\1\2[token]",
    ),
    Mask(
        rf"(?i)\b((?:[A-Za-z0-9]+[_-])*(?:{_SECRET})|token)(\\*[\x22\x27]?\s*[:=]\s*\\*[\x22\x27]?)"
        rf"{_EMPTY}[^\s,;&\x22\x27\\<>()\[\]{{}}]+",
        r"\1\2[token]",
    ),
    Mask(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*", "[token]"),
    Mask(
        r"\b(?:sk-[A-Za-z0-9_-]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[A-Za-z0-9_-]{16,}"
        r"|hf_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|(?:AKIA|ASIA)[0-9A-Z]{16}|LTAI[A-Za-z0-9]{12,30}"
        r"|AKID[A-Za-z0-9]{16,40}|AIza[A-Za-z0-9_-]{30,}|SEC[0-9a-f]{64})\b",
        "[token]",
    ),
    Mask(r"\b([a-zA-Z][a-zA-Z0-9+.-]*://)[^\s/?#@\x22\x27<>]*:[^\s/?#@\x22\x27<>]*@", r"\1[credentials]@"),
    Mask(
        r"[A-Za-z0-9][A-Za-z0-9._%+-]*@(?:[A-Za-z0-9-]+\.)+"
        r"(?!(?:service|socket|timer|slice|scope|mount|target|device|path)\b)[A-Za-z]{2,}(?![A-Za-z0-9-])",
        "[email]",
    ),
    Mask(
        rf"{_ALONE_BEFORE}[1-9][0-9]{{5}}(?:19|20)[0-9]{{2}}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])"
        rf"[0-9]{{3}}[0-9Xx]{_ALONE_AFTER}",
        "[id-card]",
    ),
    Mask(
        rf"{_ALONE_BEFORE}(?:62[0-9]{{2}}|4[0-9]{{3}}|5[1-5][0-9]{{2}}|2[2-7][0-9]{{2}}|35[0-9]{{2}}|6011|65[0-9]{{2}}|9558)"
        rf"(?:[ -]?[0-9]{{4}}){{3}}(?:[ -]?[0-9]{{1,3}})?{_ALONE_AFTER}",
        "[bank-card]",
    ),
    Mask(rf"{_ALONE_BEFORE}3[47][0-9]{{2}}[ -]?[0-9]{{6}}[ -]?[0-9]{{5}}{_ALONE_AFTER}", "[bank-card]"),
    Mask(rf"{_ALONE_BEFORE}4[0-9]{{12}}{_ALONE_AFTER}", "[bank-card]"),
    Mask(
        rf"{_ALONE_BEFORE}(?<![0-9A-Fa-f]{{8}})(?:(?:\+|00)?86[ -]?)?1[3-9][0-9]"
        rf"(?:[0-9]{{8}}|[ -][0-9]{{4}}[ -][0-9]{{4}}){_ALONE_AFTER}",
        "[phone]",
    ),
)
