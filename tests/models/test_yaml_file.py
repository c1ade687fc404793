"""YAML of foreign origin ends in data or in one sentence, within bounded time and memory."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from models.yaml_file import MAX_BYTES, MAX_DEPTH, MAX_NODES, YamlError, parse_yaml, read_yaml
from tests.fuzzing import fuzzed

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i + 1}: &a{i + 1} [{', '.join([f'*a{i}'] * 10)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "stands for more"),
        ("a: &a\n  b: *a\n", "stands for more"),
        ("[" * (MAX_DEPTH + 1), "nested deeper"),
        ("- " * 5000 + "x", "nested deeper"),
        ("[" + "1," * MAX_NODES + "1]", "more than 20000 values"),
        ("a: " + "9" * 400, "more than 64 bits"),
        ("a: 36893488147419103232", "more than 64 bits"),
        (b"a: \xff", "not UTF-8"),
        ("a: 1\na: 2\n", "stands twice"),
        ('a: "\\ud800"\n', "surrogate|Unicode"),
        ("a: !!python/object/apply:os.system [ls]", "not valid YAML"),
        ("? [1]\n: 2\n", "not valid YAML"),
        ("a: [", "not valid YAML"),
    ],
)
def test_hostile_yaml_is_refused_in_one_sentence(text, said):
    with pytest.raises(YamlError, match=said) as error:
        parse_yaml(text)
    assert "\n" not in str(error.value)


def test_a_large_file_is_refused_before_it_is_read_whole(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"a: 1 #" + b"x" * MAX_BYTES)
    with pytest.raises(YamlError, match="larger than"):
        read_yaml(path)


def test_dates_stay_texts_and_merges_and_few_aliases_work():
    text = "day: 2026-01-01\nbase: &b {x: 1, y: 2.5}\nown:\n  <<: *b\n  y: 3\nempty:\nflag: true\nhex: 0x1F\n"
    found = parse_yaml(text)
    assert found["day"] == "2026-01-01" and found["own"] == {"x": 1, "y": 3}
    assert found["empty"] is None and found["flag"] is True and found["hex"] == 31
    assert parse_yaml("") is None


@fuzzed(150)
@given(st.text(alphabet="ab:-[]{}&*!?|>'\"#\n 0123.,\\ud<", max_size=80))
def test_any_text_is_data_or_a_yaml_error(text):
    try:
        parse_yaml(text)
    except YamlError as error:
        assert "\n" not in str(error)


@fuzzed(100)
@given(st.binary(max_size=200))
def test_any_bytes_are_data_or_a_yaml_error(data):
    try:
        parse_yaml(data)
    except YamlError:
        pass


def test_a_small_bomb_of_aliases_in_a_long_list_is_refused():
    with pytest.raises(YamlError, match="stands for more"):
        parse_yaml("base: &b [" + "x," * 300 + "x]\nall: [" + "*b," * 300 + "*b]\n")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=6), children, max_size=4),
    max_leaves=12,
)


@fuzzed(80)
@given(JSON)
def test_what_pyyaml_writes_comes_back(value):
    assert parse_yaml(yaml.safe_dump(value)) == value
