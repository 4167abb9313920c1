"""Logstash's filters, as far as the platform's pipelines use them, run on events without Logstash.

The configuration itself is parsed and followed, plugin by plugin; patterns are Oniguruma's, of which
Logstash's Joni is a port. What a plugin does is what its reference says, in the order that `mutate` has
(elastic.co/docs/reference/logstash). A plugin, or an option of `mutate`, that is not known here is an error.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

import onigurumacffi

Event = dict[str, Any]
_NAME = re.compile(r"%\{(?P<name>[A-Z0-9_]+)(?::(?P<field>[^}:]+))?(?::(?P<type>int|float))?\}")
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>"[^"]*"|'[^']*')|(?P<op>=>|==|!=|=~|!~|<=|>=|[<>!(){}\[\],])|(?P<word>[^\s"'(){}\[\],=!<>]+))"""
)


class Grok:
    """Grok's expansion of names (github.com/jordansissel/ruby-grok), on Oniguruma."""

    def __init__(self, pattern: str, definitions: Mapping[str, str]) -> None:
        self._definitions = definitions
        self.fields: list[str] = []
        self.integers: set[str] = set()
        self._expression = onigurumacffi.compile(self._expand(pattern))

    def _expand(self, pattern: str) -> str:
        def expansion(found: re.Match[str]) -> str:
            inner = self._expand(self._definitions[found["name"]])
            if found["field"] is None:
                return f"(?:{inner})"
            self.fields.append(found["field"])
            if found["type"] == "int":
                self.integers.add(found["field"])
            index = len(self.fields) - 1
            return f"(?<field{index}>{inner})"

        # What a name stands for comes after the names to its left: fields are numbered as groups are.
        out, at = "", 0
        for found in _NAME.finditer(pattern):
            out += pattern[at : found.start()] + expansion(found)
            at = found.end()
        return out + pattern[at:]

    def match(self, line: str) -> dict[str, str] | None:
        """Fields by name, or None."""
        found = self._expression.search(line)
        if found is None:
            return None
        # Where groups have names, Oniguruma numbers no others.
        assert self._expression.number_of_captures() == len(self.fields)
        return {
            name: found.group(index)
            for index, name in enumerate(self.fields, start=1)
            if found._begs[index] >= 0
        }


@cache
def _regex(pattern: str) -> Any:
    return onigurumacffi.compile(pattern)


def substitute(pattern: str, replacement: str, text: str) -> str:
    """As `mutate { gsub }` does it."""
    done, at = "", 0
    while (found := _regex(pattern).search(text, at)) is not None:
        done += text[at : found.start()] + found.expand(replacement)
        assert found.end() > found.start()
        at = found.end()
    return done + text[at:]


class _Parser:
    """Of the configuration's language; blocks become functions of an event and the list of its copies."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            found = _TOKEN.match(text, at)
            assert found is not None, text[at : at + 60]
            assert found.lastgroup is not None
            self._tokens.append((found.lastgroup, found[found.lastgroup]))
            at = found.end()
        self._at = 0

    def done(self) -> bool:
        return self._at == len(self._tokens)

    def peek(self) -> str:
        return "" if self.done() else self._tokens[self._at][1]

    def take(self, expected: str | None = None) -> tuple[str, str]:
        token = self._tokens[self._at]
        assert expected is None or token[1] == expected, (token, expected)
        self._at += 1
        return token

    def block(self) -> list[Any]:
        self.take("{")
        statements: list[Any] = []
        while self.peek() != "}":
            statements.append(self._branches() if self.peek() == "if" else self._plugin())
        self.take("}")
        return statements

    def _branches(self) -> Any:
        branches: list[tuple[Any, list[Any]]] = []
        self.take("if")
        branches.append((self._or(), self.block()))
        while self.peek() == "else":
            self.take()
            if self.peek() == "if":
                self.take()
                branches.append((self._or(), self.block()))
            else:
                branches.append((lambda event: True, self.block()))
                break
        return ("if", branches)

    def _plugin(self) -> Any:
        name = self.take()[1]
        self.take("{")
        options: dict[str, Any] = {}
        while self.peek() != "}":
            key = self.take()[1]
            self.take("=>")
            options[key] = self._value()
        self.take("}")
        return (name, options)

    def _value(self) -> Any:
        kind, text = self.take()
        if kind == "text":
            return text[1:-1]
        if text == "[":
            items = []
            while self.peek() != "]":
                items.append(self._value())
                if self.peek() == ",":
                    self.take()
            self.take("]")
            return items
        if text == "{":
            pairs: dict[str, Any] = {}
            while self.peek() != "}":
                key = self._value()
                self.take("=>")
                pairs[key] = self._value()
            self.take("}")
            return pairs
        return {"true": True, "false": False}.get(text, int(text) if text.lstrip("-").isdigit() else text)

    def _or(self) -> Callable[[Event], bool]:
        terms = [self._and()]
        while self.peek() == "or":
            self.take()
            terms.append(self._and())
        return lambda event: any(term(event) for term in terms)

    def _and(self) -> Callable[[Event], bool]:
        terms = [self._condition()]
        while self.peek() == "and":
            self.take()
            terms.append(self._condition())
        return lambda event: all(term(event) for term in terms)

    def _condition(self) -> Callable[[Event], bool]:
        if self.peek() == "!":
            self.take()
            inner = self._condition()
            return lambda event: not inner(event)
        if self.peek() == "(":
            self.take()
            inner = self._or()
            self.take(")")
            return inner
        left = self._operand()
        operator = self.peek()
        if operator == "not":
            self.take()
            self.take("in")
            members = self._operand()
            return lambda event: not _within(left(event), members(event))
        if operator not in _OPERATORS:
            return lambda event: left(event) not in (None, False)
        self.take()
        right = self._operand()
        compare = _OPERATORS[operator]
        return lambda event: compare(left(event), right(event))

    def _operand(self) -> Callable[[Event], Any]:
        if self.peek() == "[" and self._tokens[self._at + 1][0] == "word":
            path = ""
            while self.peek() == "[":
                self.take()
                path += f"[{self.take()[1]}]"
                self.take("]")
            return lambda event: get(event, path)
        value = self._value()
        return lambda event: value


def _within(value: Any, members: Any) -> bool:
    return value is not None and members is not None and value in members


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    # A field that is not there is neither more nor less than a number.
    "<": lambda left, right: left is not None and left < right,
    ">=": lambda left, right: left is not None and left >= right,
    "in": _within,
    "=~": lambda left, right: isinstance(left, str) and _regex(right).search(left) is not None,
}


def _parts(path: str) -> list[str]:
    return re.findall(r"\[([^\]]+)\]", path) or [path]


def get(event: Event, path: str) -> Any:
    """Value of a field, `name` or `[name][inner]`; None where there is none."""
    value: Any = event
    for part in _parts(path):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def put(event: Event, path: str, value: Any) -> None:
    """Set a field, with what it is in."""
    *outer, last = _parts(path)
    for part in outer:
        event = event.setdefault(part, {})
    event[last] = value


def remove(event: Event, path: str) -> Any:
    """Take a field away; returns what it was."""
    *outer, last = _parts(path)
    value: Any = event
    for part in outer:
        value = value.get(part) if isinstance(value, dict) else None
    return value.pop(last, None) if isinstance(value, dict) else None


def sprintf(event: Event, text: str) -> str:
    """`%{field}` and `%{+time}`; what is not there is left as it is written."""

    def filled(found: re.Match[str]) -> str:
        name = found[1]
        if name == "+yyyy-MM-dd'T'HH:mm:ss.SSS":
            moment: datetime = event["@timestamp"]
            return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}"
        assert not name.startswith("+"), name
        value = get(event, name)
        return found[0] if value is None else str(value)

    return re.sub(r"%\{([^}]+)\}", filled, text)


def _tag(event: Event, tag: str) -> None:
    tags = event.setdefault("tags", [])
    if tag not in tags:
        tags.append(tag)


def _matched(event: Event, options: Mapping[str, Any]) -> None:
    """What every filter does last."""
    for path, value in options.get("add_field", {}).items():
        put(event, path, sprintf(event, value))
    for path in options.get("remove_field", []):
        remove(event, path)
    for tag in options.get("add_tag", []):
        _tag(event, tag)


_COMMON = {"add_field", "remove_field", "add_tag"}


def _mutate(event: Event, options: Mapping[str, Any]) -> None:
    assert set(options) <= {"rename", "replace", "gsub", "lowercase", "copy"} | _COMMON, options
    for old, new in options.get("rename", {}).items():
        if get(event, old) is not None:
            put(event, new, remove(event, old))
    for path, value in options.get("replace", {}).items():
        put(event, path, sprintf(event, value))
    triples = options.get("gsub", [])
    for path, pattern, replacement in zip(triples[::3], triples[1::3], triples[2::3], strict=True):
        if isinstance(value := get(event, path), str):
            put(event, path, substitute(pattern, replacement, value))
    for path in options.get("lowercase", []):
        put(event, path, get(event, path).lower())
    for old, new in options.get("copy", {}).items():
        if (value := get(event, old)) is not None:
            put(event, new, copy.deepcopy(value))
    _matched(event, options)


@cache
def _compiled(pattern: str, definitions: tuple[tuple[str, str], ...]) -> Grok:
    return Grok(pattern, dict(definitions))


def _grok(event: Event, options: Mapping[str, Any]) -> None:
    definitions = tuple(options["pattern_definitions"].items())
    ((path, patterns),) = options["match"].items()
    for pattern in patterns:
        one = _compiled(pattern, definitions)
        if (fields := one.match(get(event, path))) is not None:
            for name, value in fields.items():
                if value != "":
                    put(event, name, int(value) if name in one.integers else value)
            return
    for tag in options["tag_on_failure"]:
        _tag(event, tag)


def _json(event: Event, options: Mapping[str, Any]) -> None:
    try:
        values = json.loads(event["message"])
    except ValueError:
        for tag in [] if options.get("skip_on_invalid_json") else options["tag_on_failure"]:
            _tag(event, tag)
        return
    if "target" in options:
        event[options["target"]] = values
    else:
        event.update(values)


def _date(event: Event, options: Mapping[str, Any]) -> None:
    path, *forms = options["match"]
    value = get(event, path)
    for form in forms if isinstance(value, str) else []:
        try:
            if form == "ISO8601":
                event["@timestamp"] = datetime.fromisoformat(value.replace("Z", "+00:00"))
            else:
                assert (form, options["timezone"]) == ("dd/MMM/yyyy:HH:mm:ss.SSS", "Etc/UTC")
                event["@timestamp"] = datetime.strptime(value, "%d/%b/%Y:%H:%M:%S.%f").replace(tzinfo=UTC)
            return
        except ValueError:
            continue


def _translate(event: Event, options: Mapping[str, Any]) -> None:
    value = get(event, options["source"])
    put(event, options["target"], options["dictionary"].get(value, sprintf(event, options["fallback"])))


def _prune(event: Event, options: Mapping[str, Any]) -> None:
    assert set(options) == {"whitelist_names"}
    for name in [name for name in event if name != "@metadata"]:
        if not any(_regex(pattern).search(name) for pattern in options["whitelist_names"]):
            del event[name]


_PLUGINS: Mapping[str, Callable[[Event, Mapping[str, Any]], None]] = {
    "mutate": _mutate,
    "grok": _grok,
    "json": _json,
    "date": _date,
    "translate": _translate,
    "prune": _prune,
}


def _run(statements: list[Any], events: list[Event]) -> list[Event]:
    """A copy goes on from where it was made; what was dropped goes no further."""
    for name, options in statements:
        after: list[Event] = []
        for event in events:
            if name == "if":
                chosen = next((block for condition, block in options if condition(event)), [])
                after += _run(chosen, [event])
            elif name == "clone":
                after.append(event)
                for tag in options["clones"]:
                    twin = copy.deepcopy(event)
                    # Releases differ in whether what is not shipped is copied: nothing may depend on it.
                    twin["@metadata"] = {}
                    _tag(twin, tag)
                    after.append(twin)
            elif name != "drop":
                _PLUGINS[name](event, options)
                after.append(event)
        events = after
    return events


def filters(pipeline: str) -> Callable[[Event], list[Event]]:
    """The filters of a pipeline, as a function from an event to what becomes of it."""
    parser = _Parser(pipeline[pipeline.index("\nfilter {") + len("\nfilter ") : pipeline.index("\noutput {")])
    statements = parser.block()
    assert parser.done()
    return lambda event: _run(statements, [copy.deepcopy(event)])
