"""JSON of other people's files: read as it is meant, or refused in a few words."""

from __future__ import annotations

import json

import pytest

from sw import strict_json
from sw.strict_json import DEEPEST, parse_json, read_json


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize("value", [{"a": [1, 2.5, None, True, "\u00e4\U0001f600"], "b": {}}, [], 4, None, "text"])
def test_json_is_read(value, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    assert read_json(tmp_path / "a.json") == value == parse_json(json.dumps(value))


def test_levels_up_to_the_limit_are_read():
    assert parse_json(nested(DEEPEST)) == json.loads(nested(DEEPEST))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (nested(DEEPEST + 1), "more than 32 levels"),
        (nested(100_000), "more than 32 levels"),
        ('{"a":' * 1000 + "1" + "}" * 1000, "more than 32 levels"),
        ("[NaN]", "NaN is not JSON"),
        ("-Infinity", "-Infinity is not JSON"),
        ('{"a": 1, "b": 2, "a": 1}', "'a' is there twice"),
        ('{"' + "x" * 500 + '": 1, "' + "x" * 500 + '": 2}', "is there twice"),
        (r'"\ud800"', "surrogates not allowed"),
        ("9" * 5000, "4300 digits"),
        ("", "Expecting value"),
        ("{", "Expecting property name"),
    ],
)  # fmt: skip
def test_json_wrong(text, reason):
    with pytest.raises(ValueError) as refused:
        parse_json(text)
    assert reason in str(refused.value) and len(str(refused.value)) < 150


def test_file_wrong(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_bytes(b'"\xff"')
    with pytest.raises(ValueError, match="utf-8"):
        read_json(path)
    monkeypatch.setattr(strict_json, "LARGEST_FILE", 10)
    path.write_text('"12345678"')
    assert read_json(path) == "12345678"
    path.write_text('"123456789"')
    with pytest.raises(ValueError, match=r"^larger than 10 bytes$"):
        read_json(path)
