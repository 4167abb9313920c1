"""Personal data does not leave the node: a table of what is masked and what is not, through a real Filebeat.

Numbers are made here: check digits come from this file's own arithmetic, not from the code under test.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.artifacts.log_shipper import ship_to_file

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def id_card(first17: str, wrong: int = 0) -> str:
    """The number with its check character, or with one that is `wrong` further."""
    remainder = sum(int(digit) * weight for digit, weight in zip(first17, WEIGHTS, strict=True)) % 11
    value = (12 - remainder) % 11
    value = (value + wrong) % 11
    return first17 + ("X" if value == 10 else str(value))


def card(digits: str, wrong: int = 0) -> str:
    """The digits with Luhn's check digit, or with one that is `wrong` further."""
    total = 0
    for index, character in enumerate(reversed(digits)):
        double = int(character) * (2 if index % 2 == 0 else 1)
        total += double - 9 if double > 9 else double
    return digits + str((10 - total % 10 + wrong) % 10)


def grouped(digits: str, separator: str = " ") -> str:
    """In groups of four, as it is printed on the card."""
    return separator.join(digits[start : start + 4] for start in range(0, len(digits), 4))


PHONE = "13812345678"
ID = id_card("11010519491231002")
ID_X = next(
    number for serial in range(100, 1000) if (number := id_card(f"44030619900101{serial}")).endswith("X")
)
UNIONPAY = card("622202123456789012")
VISA = card("401288888888188")
MASTERCARD = card("555555555555444")
AMEX = card("37828224631000")
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMzgxMjM0NTY3OCJ9.c2lnbmF0dXJl-_x"
KEY = "sk-" + "aB3" * 12
PICTURE = base64.b64encode(random.Random(7).randbytes(150_000)).decode()

MASKED: list[tuple[str, str]] = [
    # Mobile numbers of mainland China.
    (f"call {PHONE} now", "call [phone] now"),
    (f"手机{PHONE}，请回电", "手机[phone]，请回电"),
    (f"用户张三（电话：{PHONE}）已登录", "用户张三（电话：[phone]）已登录"),
    (f"+86 {PHONE}", "[phone]"),
    (f"+86-{PHONE}", "[phone]"),
    (f"0086{PHONE}", "[phone]"),
    (f"86{PHONE},", "[phone],"),
    ("138 1234 5678", "[phone]"),
    ("138-1234-5678", "[phone]"),
    (f"{PHONE},{PHONE};19912345678", "[phone],[phone];[phone]"),
    (f"phone{PHONE} tel:{PHONE}", "phone[phone] tel:[phone]"),
    (f"user_{PHONE}", "user_[phone]"),
    (f'do(action="Type", text="{PHONE}")', 'do(action="Type", text="[phone]")'),
    (f"GET /sms?to={PHONE}&x=1 HTTP/1.1", "GET /sms?to=[phone]&x=1 HTTP/1.1"),
    (f"{PHONE}.", "[phone]."),
    # Identity cards, GB 11643.
    (f"id {ID} ok", "id [id-card] ok"),
    (f"身份证号{ID}。", "身份证号[id-card]。"),
    (ID_X, "[id-card]"),
    (ID_X.lower(), "[id-card]"),
    (f"{ID}/{ID_X}", "[id-card]/[id-card]"),
    # Bank cards.
    (f"card={UNIONPAY}", "card=[bank-card]"),
    (f"银行卡{UNIONPAY}余额", "银行卡[bank-card]余额"),
    (grouped(UNIONPAY), "[bank-card]"),
    (grouped(VISA), "[bank-card]"),
    (grouped(VISA, "-"), "[bank-card]"),
    (VISA, "[bank-card]"),
    (MASTERCARD, "[bank-card]"),
    (AMEX, "[bank-card]"),
    (f"{AMEX[:4]} {AMEX[4:10]} {AMEX[10:]}", "[bank-card]"),
    (f"{card('955880123456789012')}", "[bank-card]"),
    # Mail addresses.
    ("from zhang.san+test@mail.example.com.", "from [email]."),
    ("邮箱lisi_01@example.cn，", "邮箱[email]，"),
    ("<a@b.io>,<c@d.org>", "<[email]>,<[email]>"),
    # Keys and tokens.
    (f"Authorization: Bearer {KEY}", "Authorization: Bearer [token]"),
    (f"authorization=bearer {JWT}", "authorization=bearer [token]"),
    ("Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic [token]"),
    (f"jwt {JWT} used", "jwt [token] used"),
    (f"key {KEY}.", "key [token]."),
    ("api_key=abcdef123456, model=x", "api_key=[token], model=x"),
    ("apiKey: 'abc def', b", "apiKey: '[token]', b"),
    ('{"api_key":"abc,def","n":1}', '{"api_key":"[token]","n":1}'),
    (r'"{\"password\": \"hunter2!\", \"n\": 1}"', r'"{\"password\": \"[token]\", \"n\": 1}"'),
    ("X-Api-Key: 0123456789", "X-Api-Key: [token]"),
    ("db password=hunter2", "db password=[token]"),
    ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "AWS_SECRET_ACCESS_KEY=[token]"),
    ("GET /robot/send?access_token=0f1e2d3c&x=1", "GET /robot/send?access_token=[token]&x=1"),
    ("token=abcdef&v=1", "token=[token]&v=1"),
    ("hf_" + "aB3" * 11, "[token]"),
    ("AKIA" + "Q7ZK" * 4, "[token]"),
    ("LTAI" + "5tAb" * 4, "[token]"),
    ("ghp_" + "aB3x" * 9, "[token]"),
    ("Cookie: session=abc; theme=dark", "Cookie: [token]"),
    ("https://root:hunter2@db.example.com/x", "https://[credentials]@db.example.com/x"),
    # Several at once, in JSON.
    (
        json.dumps({"msg": f"用户 {PHONE} <a@b.io>", "card": UNIONPAY, "level": "info"}, ensure_ascii=False),
        '{"msg": "用户 [phone] <[email]>", "card": "[bank-card]", "level": "info"}',
    ),
    # Pictures: none of what they show, and no number that their text happens to hold.
    (
        f'{{"url":"data:image/png;base64,{PICTURE}"}}',
        f'{{"url":"data:image/png;base64,[{len(PICTURE)} characters]"}}',
    ),
    (f"{PHONE} {PICTURE} {ID}", f"[phone] [{len(PICTURE)} characters] [id-card]"),
]

KEPT: list[str] = [
    # Times, sizes and counters.
    "1732188000 1732188000123 1732188000123456 1732188000123456789",
    "2026-11-21 12:00:01.123456 took 0.13812345678 s",
    "13812345678.25 tokens/s",
    "index=20261121120000000001 revision=138123456789",
    "1381234567 138123456789",
    # Identifiers in hexadecimal.
    "550e8400-e29b-41d4-a716-13812345678a",
    "sha256:13812345678a" + "0b1c2d3e" * 6,
    "container 4f13812345678abcdef0123456789abc",
    # Almost an identity card: check character, month, day.
    id_card("11010519491231002", wrong=1),
    id_card("11010519491331002"),
    id_card("11010519491232002"),
    id_card("11010529491231002"),
    # Almost a bank card: check digit, issuer, length.
    card("622202123456789012", wrong=1),
    card("401288888888188", wrong=3),
    card("122202123456789012"),
    card("40128888888818"),
    # Almost a mail address.
    "getty@tty1.service failed",
    "registry.example.com/phone@sha256:" + "ab" * 32,
    "left-pad@1.3.0",
    "user@localhost",
    # Words about keys and tokens that hold none.
    "max_tokens=3000 num_tokens: 512, prompt_tokens=13",
    "eos_token='<|endoftext|>' pad_token_id=151329",
    "api_key=None, ssl_keyfile=None hf_token: null",
    "password: ****** authorization=",
    "bearer of bad news",
    "token verification failed; key rotated",
    "task-abcdefghijklmnopqrstuvwxyz0123456789",
    "secret/etcd-client-maintenance mounted",
    # What operators read every day.
    'INFO:     10.244.0.1:32958 - "GET /v1/models HTTP/1.1" 200 OK',
    '{"level":"info","ts":"2026-11-21T11:58:40.655586Z","msg":"50036fbd65724e78 became follower at term 0"}',
    'I1121 11:58:48.773144       1 shared_informer.go:409] "Caches are synced"',
    "/usr/lib/python3/dist-packages/vllm/entrypoints/openai/api_server.py",
    "一切正常，没有个人信息。",
]


@dataclass(frozen=True)
class Shipped:
    """What came of every line of the table."""

    masked: Sequence[dict[str, Any]]
    kept: Sequence[dict[str, Any]]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Shipped:
    lines = [line for line, _ in MASKED] + KEPT
    events = ship_to_file(tmp_path_factory.mktemp("masking"), lines)
    assert len(events) == len(lines)
    return Shipped(events[: len(MASKED)], events[len(MASKED) :])


@pytest.mark.parametrize("index", range(len(MASKED)), ids=[line[:40] for line, _ in MASKED])
def test_what_is_personal_is_masked(shipped: Shipped, index: int) -> None:
    assert shipped.masked[index]["message"] == MASKED[index][1]


@pytest.mark.parametrize("index", range(len(KEPT)), ids=[line[:40] for line in KEPT])
def test_what_is_not_personal_is_kept(shipped: Shipped, index: int) -> None:
    assert shipped.kept[index]["message"] == KEPT[index]


def test_nothing_of_the_original_is_in_any_other_field(shipped: Shipped) -> None:
    for (line, _), event in zip(MASKED, shipped.masked, strict=True):
        rest = json.dumps({key: value for key, value in event.items() if key != "message"})
        assert not any(number in rest for number in (PHONE, ID, UNIONPAY, VISA, KEY, JWT)), line


def test_a_line_says_whose_it_is(shipped: Shipped) -> None:
    event = shipped.kept[0]
    assert event["kubernetes"] == {
        "namespace": "models",
        "pod": {"name": "phone-7d9c", "uid": "0b6f2c5e-11aa-4f0e-9a51-2f6f3f1a7c11"},
        "container": {"name": "model-server"},
    }
    assert event["host"] == {"name": "node-1"}
    assert event["@timestamp"] == "2026-11-21T11:58:39.843Z"
    assert event["stream"] == "stdout"
    assert set(event) <= {"@timestamp", "@metadata", "kubernetes", "host", "log", "message", "stream"}


def test_each_line_has_an_id_of_its_own(shipped: Shipped) -> None:
    ids = [event["@metadata"]["_id"] for event in (*shipped.masked, *shipped.kept)]
    assert len(set(ids)) == len(ids)


def test_a_line_that_takes_too_long_is_withheld_whole(tmp_path: Path) -> None:
    """The limit interrupts the script in the middle of its work; the text of the line is not shipped then."""
    from components.logging.shipper import configuration as module

    script = module.masking_script().replace(
        "function mask(text) {", "function mask(text) {\n    if (/endless/.test(text)) { for (;;) {} }"
    )
    assert script != module.masking_script()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "masking_script", lambda: script)
        patch.setattr(module, "MASKING_SECONDS", 1)
        events = ship_to_file(tmp_path, [f"endless {PHONE}", f"next {PHONE}"])
    assert events[0]["message"] == "[withheld: masking failed]"
    assert events[1]["message"] == "next [phone]"
    assert PHONE not in json.dumps(events)


def test_a_line_on_which_masking_fails_is_withheld_whole(tmp_path: Path) -> None:
    from components.logging.shipper import configuration as module

    script = module.masking_script().replace(
        "function mask(text) {",
        "function mask(text) {\n    if (/boom/.test(text)) { throw new Error(text); }",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "masking_script", lambda: script)
        events = ship_to_file(tmp_path, [f"boom {PHONE}"])
    assert events[0]["message"] == "[withheld: masking failed]"
    assert events[0]["labels"] == {"masking": "failed"}
    assert PHONE not in json.dumps(events)


def test_audit_records_are_shipped_as_they_are(tmp_path: Path) -> None:
    record = '{"user":"zhang.san@example.com","ip":"10.0.0.1"}'
    events = ship_to_file(
        tmp_path,
        [record],
        pod="audit_audit-collector-0_0b6f2c5e",
        container="collector",
        unmasked=(("audit", "collector"),),
    )
    assert events[0]["message"] == record
