"""What looks like a credential: by the name of a setting, or by its own form, in settings and in files.

A name alone says little (`token_url`, `max_tokens`, `imagePullSecret`), and so does a value, so a setting
counts only if its name ends in a word for a credential and its value is neither empty nor a switch, nor
points to where the credential is: a variable, a template, a file, a Secret. Forms that nothing else has
(private keys, tokens of well-known issuers, passwords in URLs) count wherever they stand.

What is found is named by its kind, never by its text.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Final

_MAX_TEXT: Final = 1024 * 1024
"""Characters that are read: as much as a ConfigMap can hold."""

# Names

_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_PASSWORDS: Final = ("password", "passwd", "passwrd", "passphrase", "pword", "pswrd", "pwd", "bindpw")
_KEY_OWNERS: Final = (
    *("access", "account", "api", "auth", "batch", "encryption", "master", "private", "secret", "shared"),
    *("signing", "storage"),
)
_NAME: Final = re.compile(
    rf"(?:^|.* )(?:(?P<password>\S*(?:{'|'.join(_PASSWORDS)})|\S+ (?:pass|pw))"
    rf"|(?P<key>(?:{'|'.join(_KEY_OWNERS)}) ?key|azure .*key|access ?key ?id|oci cli key content)"
    r"|(?P<other>\S*secret|\S*token|\S*credentials?|jwt)|(?P<header>\S*authorization))"
)
_NO_PASSWORD: Final = re.compile(r"(?:^|.* )(?:proxy|fastcgi|uwsgi|scgi|grpc|memcached|by) (?:pass|pw)")
"""Directives of nginx and words that only end alike."""
_OBJECT_NAME: Final = re.compile(
    r"(?:^|.* )(?:existing|pull|image|tls|ssl|ca|cert|certificate|from) ?secrets?"
)
"""Settings that hold the name of a Secret."""
_NO_TOKEN: Final = re.compile(
    r"(?:^|.* )(?:pad|eos|bos|unk|sep|cls|mask|stop|start|end|begin|special|next|image|video|think"
    r"|initial cluster) token"
)
"""Settings that hold a token of a vocabulary, or the name of an etcd cluster."""
_LEAST: Final[Mapping[str, int]] = {"password": 2, "key": 4, "other": 4, "header": 8}
"""Characters of the shortest value that can be meant as one."""

# Values

_SWITCHES: Final = frozenset(
    {
        *("true", "false", "yes", "no", "on", "off", "enabled", "disabled", "enable", "disable"),
        *("null", "none", "nil", "undefined", "unset", "~", "default", "auto", "always", "never"),
        *(
            "include",
            "omit",
            "required",
            "optional",
            "string",
            "str",
            "text",
            "bytes",
            "object",
            "any",
            "redacted",
            "masked",
        ),
    }
)
_REFERENCE: Final = re.compile(
    r"""
      \$.* | .*(?:\$[({_]|\{\{|\{%|%\(|`).*              # a variable, a command, a template
    | [<\[{].*[>\]}]                                      # a placeholder, or something with parts of its own
    | %.+% | @[\w.-]+@ | .*[#@]\{.*                              # as templates have them
    | (?:file|env|vault|secret|secretref|ref\+\w+|op|awssm|awssecret|gcpsecret|keyvault|sops):(?!\s).*
    | (?:ENC[\[(]|SECRET\[|enc:|\{cipher\}|arn:aws).*
    | (?:replace|insert|enter|your)(?:[-_\s]|(?-i:[A-Z])).* | .*placeholder.*
    | [*.•_-]+                                           # masked
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PATH: Final = re.compile(r"(?:[A-Za-z]:\\|[~.]{0,2}/)[\w./\\@:+-]*")
_KEY_OF_AWS: Final = re.compile(r"[A-Za-z0-9/+]{40}")
_PLAIN_URL: Final = re.compile(r"[a-z][a-z0-9+.-]{1,20}://.*", re.IGNORECASE)
_CAPITALS: Final = re.compile(r"[A-Z]{2,40}(?:_[A-Z]{1,40}){1,20}|SECRET|TOKEN|KEY")
"""As what a script or a reader puts in is named."""
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OBJECT: Final = re.compile(
    r"[a-z]{1,40}[0-9]{0,2}(?:[./][a-z]{1,40}[0-9]{0,2}|-(?:[a-z]{1,40}[0-9]{0,2}|[0-9]{1,3})){1,20}"
)
"""How objects, their keys and files are named: words with hyphens, dots or slashes between."""
_IDENTIFIER: Final = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
"""An attribute in a program."""
_NUMBER: Final = re.compile(r"[0-9]+(?:\.[0-9]+)?[a-zA-Z]{0,2}")
_ACCOUNT: Final = re.compile(r"[\w-]{1,40}:[^:]{0,2}:[0-9]+:[0-9]+:.*")
"""A line of /etc/passwd, which holds no password."""

# Forms

_BASE64_BEGIN: Final = "LS0tLS1CRUdJTi"
_BASE64: Final = re.compile(rf"{_BASE64_BEGIN}[A-Za-z0-9+/]{{40,160}}")
"""Begins like `-----BEGIN ` in base64, as in a kubeconfig's client-key-data."""
_PRIVATE_KEY: Final = re.compile(
    r"-{3,5}BEGIN (?:[A-Z0-9]{1,12} ){0,2}PRIVATE KEY(?: BLOCK)?-{3,5}(?:\s|\\[nr]){1,40}[A-Za-z0-9+/]"
)
_FORMS: Final[Mapping[str, tuple[tuple[str, ...], re.Pattern[str]]]] = {
    "an access key of AWS": (
        ("AKIA", "ASIA"),
        re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z2-7]{16}(?![A-Za-z0-9])"),
    ),
    "a token of GitHub": (
        ("gh", "github_pat_"),
        re.compile(r"(?<!\w)(?:gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{60})"),
    ),
    "a token of GitLab": (("glpat-",), re.compile(r"(?<!\w)glpat-[\w-]{20}")),
    "a token of Slack": (("xox",), re.compile(r"(?<!\w)xox[abeoprs]-[0-9A-Za-z-]{20}")),
    "a token of Hugging Face": (("hf_",), re.compile(r"(?<!\w)hf_[A-Za-z]{34}(?![A-Za-z0-9])")),
    "a token of npm": (("npm_",), re.compile(r"(?<!\w)npm_[A-Za-z0-9]{36}(?!\w)")),
    "a key of Stripe": (("k_live_",), re.compile(r"(?<!\w)[rs]k_live_[A-Za-z0-9]{20}")),
    "a key of a Google API": (("AIza",), re.compile(r"(?<![\w-])AIza[\w-]{35}(?![\w-])")),
    "a signed token (JWT)": (
        ("eyJ",),
        re.compile(r"(?<![\w-])eyJ[\w-]{8,2000}\.eyJ[\w-]{8,8000}\.[\w-]{16}"),
    ),
}
"""Forms of credentials with texts of which one is in each: those are found much sooner than a pattern."""
_URL: Final = re.compile(
    r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]{1,20}://[\w.~%+-]{0,100}:(?P<value>(?:[\w.~!&,;=#+-]|%[0-9A-Fa-f]{2}){1,200})"
    r"@[\w.\[-]"
)
_HEADER_VALUE: Final = r"(?:(?P<basic>basic)|bearer)[ \t]{1,4}(?P<value>[A-Za-z0-9+/._~=-]{8,4096})"
_HEADER: Final = re.compile(rf"authorization[\"' \t:=]{{1,8}}{_HEADER_VALUE}", re.IGNORECASE)
_SCHEME: Final = re.compile(_HEADER_VALUE, re.IGNORECASE)
_REGISTRY: Final = re.compile(r'"(?:auth|identitytoken)"\s{0,8}:\s{0,8}"[A-Za-z0-9+/_.-]{4}')
_REGISTRY_FILES: Final = frozenset({".dockerconfigjson", ".dockercfg"})

# Assignments in files

_LINE: Final = re.compile(
    r"""^[ \t]{0,200}(?:-[ \t]{1,8})?(?:--|(?:export|set|env)[ \t]{1,8})?
    (?P<quote>["']?)(?P<name>[A-Za-z_][\w.-]{0,100})(?P=quote)[ \t]{0,40}(?:=>|=|:(?!=))[ \t]{0,40}
    (?:"(?P<double>[^"\n]{1,512})"|'(?P<single>[^'\n]{1,512})'|(?P<bare>[^\s"'(),;\[\]]{1,512}))
    [ \t]{0,40}[,;\\]?(?:[ \t]{1,40}\#[^\n]{0,512})?[ \t]{0,40}\r?$""",
    re.MULTILINE | re.VERBOSE,
)
_PAIR: Final = re.compile(r'"(?P<name>[A-Za-z_][\w.-]{0,100})"\s{0,8}:\s{0,8}"(?P<value>[^"\\\n]{1,512})"')
_ATTRIBUTE: Final = re.compile(
    r"(?<![\w.$-])(?P<name>[A-Za-z_][\w.-]{0,100})=([\"'])(?P<value>[^\"'\n]{1,512})\2"
)
_PARAMETER: Final = re.compile(r"[?&;] ?(?P<name>[A-Za-z_][\w.-]{0,40})=(?P<value>[^&;\s\"'<>]{1,512})")
_ELEMENT: Final = re.compile(
    r"<name>\s{0,8}(?P<name>[A-Za-z_][\w.-]{0,100})\s{0,8}</name>\s{0,80}<value>(?P<value>[^<\n]{1,512})</value>"
)
_NAMED: Final = re.compile(
    r"(?<!\w)name[=:] ?[\"']?(?P<name>[A-Za-z_][\w.-]{0,100})[\"']?\s{1,80}"
    r"value[=:] ?(?P<quote>[\"']?)(?P<value>[^\"'\s<>]{1,512})(?P=quote)(?=\s|/?>|$)"
)
"""In XML, as a property and as two attributes; the latter in YAML, too, as variables of a container."""
_WORDED: Final = re.compile(
    r"(?P<quote>IDENTIFIED BY |PASSWORD )'(?P<value>[^'\n]{1,200})'"
    r"|^[ \t]{0,40}(?:requirepass|masterauth)[ \t]{1,8}\"?(?P<bare>[^\s\"]{1,512})",
    re.MULTILINE,
)
_HINTS: Final = (
    *("pass", "pword", "pswrd", "pwd", "pw", "secret", "token", "jwt", "credential", "authorization"),
    *("identified", "key"),
)
"""Without any of these, in small letters, a text names no credential."""
_COMMENT: Final = re.compile(r"^[ \t]{0,200}(?:#|//|;|--[ \t]|\*|REM[ \t])[^\n]*", re.MULTILINE)


def _kind(name: str) -> str | None:
    """`password`, `key`, `header` or `other` if a name is one of a credential."""
    words = " ".join(_WORDS.findall(name)).lower()
    match = _NAME.fullmatch(words)
    if match is None or _NO_PASSWORD.fullmatch(words) or _OBJECT_NAME.fullmatch(words):
        return None
    return None if _NO_TOKEN.fullmatch(words) else match.lastgroup


def is_named(name: str) -> bool:
    """Whether a setting is named like one that holds a credential."""
    return len(name) <= 253 and _kind(name) is not None


def is_credential(name: str, value: str) -> bool:
    """Whether a setting holds a credential, by its name and by what its value is not."""
    kind = _kind(name) if len(name) <= 253 else None
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1].strip()
    if kind is None or value.lower() in _SWITCHES or len(value) < _LEAST[kind]:
        return False
    if not any(one.isalnum() for one in value) or _ACCOUNT.fullmatch(value):
        return False
    if _REFERENCE.fullmatch(value) or (_PATH.fullmatch(value) and not _KEY_OF_AWS.fullmatch(value)):
        return False
    if kind == "header":
        return (match := _SCHEME.fullmatch(value)) is not None and _is_header(match)
    if "\n" in value or len(value) > 4096 or _PLAIN_URL.fullmatch(value):
        return False  # A file or an address: judged by what is in it.
    if kind == "password":
        return True
    if any(one.isspace() for one in value) or _NUMBER.fullmatch(value) or _CAPITALS.fullmatch(value):
        return False
    return bool(_UUID.fullmatch(value)) or not _OBJECT.fullmatch(value)


def decoded(text: str) -> str:
    """What text in base64 stands for, as far as it is ASCII; empty if it is none."""
    text = text[:_MAX_TEXT]
    try:
        return base64.b64decode(text[: len(text) // 4 * 4]).decode("ascii", "replace")
    except ValueError:
        return ""


def forms(text: str) -> Iterator[tuple[str, int]]:
    """Credentials that are known by their form: what each is, and on which line; one of each kind."""
    text = text[:_MAX_TEXT]
    keys = [match.start() for match in _PRIVATE_KEY.finditer(text)] if "-BEGIN " in text else []
    if _BASE64_BEGIN in text:
        keys += [match.start() for match in _BASE64.finditer(text) if _PRIVATE_KEY.match(decoded(match[0]))]
    if keys:
        yield "a private key", _line(text, min(keys))
    for what, (parts, pattern) in _FORMS.items():
        if any(part in text for part in parts) and (match := pattern.search(text)):
            yield what, _line(text, match.start())


def in_text(text: str) -> Iterator[tuple[str, int]]:
    """Credentials in a file: what each is, and on which line; one of each kind."""
    text = text[:_MAX_TEXT]
    yield from forms(text)
    small = text.lower()
    hinted = any(hint in small for hint in _HINTS)
    if not hinted and "://" not in text:
        return
    text = _COMMENT.sub("", text)
    for address in _URL.finditer(text) if "://" in text else ():
        if not _REFERENCE.fullmatch(address["value"]):
            yield "a password in an address", _line(text, address.start())
            break
    for header in _HEADER.finditer(text) if "authorization" in small else ():
        if _is_header(header):
            yield "an authorization header", _line(text, header.start())
            break
    if '"auths"' in text and (entry := _REGISTRY.search(text)):
        yield "a registry's credentials", _line(text, entry.start())
    for name, value, position in _assignments(text) if hinted else ():
        if is_credential(name, value) and not _is_code(name, value):
            yield "a credential", _line(text, position)
            break


def in_setting(name: str, value: str) -> Iterator[tuple[str, int]]:
    """Credentials in a setting, or in a file of that name: what each is, and on which line."""
    if is_credential(name, value):
        yield "a credential", 1
    elif name in _REGISTRY_FILES and _REGISTRY.search(value[:_MAX_TEXT]):
        yield "a registry's credentials", 1
    else:
        yield from in_text(value)


def _assignments(text: str) -> Iterator[tuple[str, str, int]]:
    for match in _LINE.finditer(text):
        yield match["name"], match["double"] or match["single"] or match["bare"], match.start("name")
    for pattern in (_PAIR, _ATTRIBUTE, _PARAMETER, _ELEMENT, _NAMED):
        for match in pattern.finditer(text):
            yield match["name"], match["value"], match.start("name")
    for match in _WORDED.finditer(text):
        yield "password", match["value"] or match["bare"], match.start()


def _is_code(name: str, value: str) -> bool:
    """Whether a value in a file is rather an expression, a text for people, or the name of a field."""
    if _IDENTIFIER.fullmatch(value) or any(one.isspace() for one in value):
        return True
    own = _WORDS.findall(name.lower())[-1:]
    return value.lower() in (*own, name.lower()) or (
        _kind(name) == "key" and value.isalpha() and value.islower()
    )


def _is_header(match: re.Match[str]) -> bool:
    """Whether what follows `Basic` or `Bearer` is one rather than a word."""
    value = match["value"]
    if match["basic"]:
        return ":" in decoded(value)
    return len(value) >= 16 and any(one.isdigit() for one in value)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1
