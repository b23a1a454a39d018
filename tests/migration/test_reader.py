"""Reading JSON record by record, compared with `json` and beyond its limits."""

from __future__ import annotations

import io
import json
import resource
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadlog.leads.migration.decoding import Broken, Read
from leadlog.leads.migration.reader import JsonReader
from leadlog.leads.migration.window import TextWindow

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=8,
)
RECORDS = st.dictionaries(st.text(max_size=6), VALUES, max_size=5).filter(
    lambda record: not isinstance(record.get("leads"), list)
)
SPACES = st.sampled_from(["", " ", "\n", "\r\n\t ", "   \n"])
LAYOUT = st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}])


def read(text: str, size: int = 128 * 1024, **options: Any) -> list[Any]:
    """Return the records of a text read in pieces of a size; a broken one unchanged."""
    stream = io.StringIO(text, newline="")
    reader = JsonReader(TextWindow(lambda wanted: stream.read(min(wanted, size)), size), **options)
    return [one.value if isinstance(one, Read) else one for one in reader]


def reasons(text: str, **options: Any) -> list[Any]:
    """Return the records of a text, with the reason in place of each broken one."""
    found = read(text, **options)
    return [one.reason if isinstance(one, Broken) else one for one in found]


@given(st.lists(VALUES, max_size=8), SPACES, LAYOUT, st.integers(1, 60))
def test_an_array_is_read_as_json_reads_it(values, space, layout, size):
    """Any values, in any layout and any size of pieces, are read like `json` does."""
    text = f"{space}{json.dumps(values, **layout)}{space}"
    assert read(text, size) == json.loads(text)


@given(st.lists(VALUES, max_size=6), RECORDS, RECORDS, LAYOUT, st.integers(1, 60))
def test_an_object_with_leads_is_read_as_json_reads_it(values, before, after, layout, size):
    """Keys before and after the leads do not matter."""
    before.pop("leads", None)
    document = before | {"leads": values}
    document |= {key: value for key, value in after.items() if key not in document}
    text = json.dumps(document, **layout)
    assert read(text, size) == json.loads(text)["leads"]


@given(st.lists(RECORDS, max_size=6), st.sampled_from(["\n", "\r\n", "\n\n", " "]), LAYOUT)
def test_json_lines_are_read_as_json_reads_them(records, between, layout):
    """Records in sequence, on separate lines or not, indented or not, are read."""
    text = between.join(json.dumps(record, **layout) for record in records)
    assert read(text, 16) == records


@given(RECORDS, st.integers(1, 60))
def test_a_single_object_is_a_record(record, size):
    """An object without leads is one record."""
    assert read(json.dumps(record), size) == [record]


@given(st.text(st.sampled_from('[]{}",:\\ \n1aleds'), max_size=60), st.integers(1, 20))
def test_no_text_makes_it_fail_or_hang(text, size):
    """Reading any text terminates, and valid JSON loses nothing."""
    found = read(text, size)
    try:
        wanted = json.loads(text)
    except ValueError:
        return
    if isinstance(wanted, list):
        assert found == wanted


@given(
    st.lists(st.fixed_dictionaries({"name": st.text(max_size=8), "n": VALUES}), min_size=3),
    st.data(),
    st.sampled_from(["[]", ""]),
)
def test_a_broken_record_loses_only_itself(records, data, brackets):
    """A record with a syntax error is one reject; all others are read."""
    place = data.draw(st.integers(0, len(records) - 1))
    texts = [json.dumps(record) for record in records]
    texts[place] = texts[place].replace('"n": ', '"n": oops ', 1)
    text = f"[{','.join(texts)}]" if brackets else "\n".join(texts)
    found = read(text, 50)
    assert isinstance(found[place], Broken)
    assert found[:place] + found[place + 1 :] == records[:place] + records[place + 1 :]


A, B, C = '{"name": "a"}', '{"name": "b"}', '{"name": "c"}'


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ('{"name": "x",}', "its syntax is wrong"),
        ('{"name": "x" "y": 1}', "Expecting ',' delimiter"),
        ('{"name": "x, "y": 1}', "its syntax is wrong"),
        ('{"name": "x}', "its syntax is wrong"),
        ('{"name": x"}', "Expecting value"),
        ('{"name": "x\ny"}', "Invalid control character"),
        ('{"name": "x\\q"}', "Invalid \\escape"),
        ('{"name": [1, 2}', "Expecting ',' delimiter"),
        ("{'name': 'x'}", "Expecting property name"),
        ('{"name": 1e999}', "1e999 is larger than any float"),
        ('{"name": "x", "name": "y"}', "the key 'name' occurs twice"),
        ('{"name": Infinity}', "Infinity is not a JSON number"),
        ('{"name": ' + "9" * 5000 + "}", "more than 4300 digits"),
        ("[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ('{"name": ' * 100_000 + "1" + "}" * 100_000, "nested too deeply"),
    ],
)
@pytest.mark.parametrize("between", [",", ",\n", ",\n  "])
def test_what_is_wrong_with_one_record_is_told(broken, message, between):
    """The reason names the error, and the surrounding records are read."""
    before, reason, *after = reasons("[" + between.join([A, broken, B, C]) + "]")
    assert (before, after) == (json.loads(A), [json.loads(B), json.loads(C)])
    assert message in reason


def test_where_a_fault_is_is_told():
    """Line and column refer to the whole text, whatever the size of the pieces."""
    text = "[\n" + f"{A},\n" * 500 + '  {"name": oops},\n' + B + "]"
    broken = next(one for one in read(text, 100) if isinstance(one, Broken))
    assert "(line 502, column 12)" in broken.reason
    assert (broken.line, broken.raw) == (502, '{"name": oops}')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"[{A}, {B[:-3]}", "the source ends inside this record"),
        (f"[{A}, ", "the source ends before its array is closed"),
        (f"[{A}", "the source ends before its array is closed"),
        (f"{A}\n{B[:-3]}", "the source ends inside this record"),
        (f'{{"leads": [{A}, {B[:-3]}', "the source ends inside this record"),
    ],
)
def test_a_source_that_was_cut_off_says_so(text, message):
    """The records before the cut are read, and the end is one reject."""
    first, reason = reasons(text)
    assert first == json.loads(A)
    assert message in reason


@pytest.mark.parametrize("form", ["[{}]", '{{"leads": [{}]}}'])
def test_small_faults_between_records_lose_nothing(form):
    """Missing and extra commas are only noted."""
    text = form.format(f"{A} {B},, {C},")
    stream = io.StringIO(text)
    reader = JsonReader(TextWindow(stream.read))
    assert [one.value for one in reader] == [json.loads(one) for one in (A, B, C)]
    assert {"commas missing between records", "commas too many"} <= reader.notes.keys()


def test_nan_is_blank_and_counted():
    """NaN, which pandas writes for a missing value, is read as null."""
    stream = io.StringIO('[{"name": "a", "phone": NaN, "x": [NaN]}]')
    reader = JsonReader(TextWindow(stream.read))
    assert [one.value for one in reader] == [{"name": "a", "phone": None, "x": [None]}]
    assert reader.notes == {"records with NaN, which is read as blank": 1}


def test_large_numbers_stay_what_they_are():
    """2**70 is not converted to float."""
    assert read(f"[{2**70}]") == [2**70]


def pieces(*texts: str) -> Iterator[str]:
    """Yield parts of a text that is never completely in memory."""
    yield from texts
    while True:
        yield ""


def test_a_value_of_100_mb_is_passed_over_in_little_memory():
    """An oversized record is rejected in bounded memory, and the next one is read."""
    block = "x" * 1_000_000
    source = pieces(f'[{A}, {{"name": "', *[block] * 100, f'"}}, {B}]')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = list(JsonReader(TextWindow(lambda _: next(source))))
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert [type(one) for one in found] == [Read, Broken, Read]
    assert "more than 4194304 characters" in found[1].reason
    assert (len(found[1].raw), found[1].cut) == (65_536, True)
    assert grown < 60_000  # kilobytes


def test_a_quote_that_is_missing_in_a_large_source_costs_little():
    """The end of a broken record is not searched beyond the largest record."""
    good = json.dumps({"name": "a", "n": 1})
    text = f'[{good}, {{"name": "b, "n": [}}, ' + ", ".join([good] * 3000) + "]"
    found = read(text, 500, largest=20_000)
    assert sum(isinstance(one, Broken) for one in found) == 1
    assert len(found) == 3002
