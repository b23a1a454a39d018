"""After a complete erasure neither a reader nor grep finds the person."""

import base64
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from leadlog.core.locks import try_lock
from leadlog.core.places import PLACES, Content, exports, note_export, place_of
from leadlog.reading import archive, erasure
from leadlog.reading.archive import Policy
from leadlog.reading.erasure.spelling import Spelling
from tests.bench.made_events import blank

pytestmark = pytest.mark.handmade_lines

TODAY = "2026-11-23"
DAY = "2026-11-01"
LEAD, EMAIL = "01a2-ana-77d7", "ana.gómez@acme.example"
PLAIN = "ana@acme.example"

SPELLINGS = {
    "as it is": EMAIL,
    "capitals": EMAIL.upper(),
    "mixed case": "Ana.Gómez@Acme.Example",
    "decomposed": "ana.go\u0301mez@acme.example",
    "full width": "ana.gómez＠acme.example",
    "percent": quote(EMAIL, safe=""),
    "percent, small letters": quote(EMAIL, safe="").lower(),
    "percent, twice": quote(quote(EMAIL, safe=""), safe=""),
    "percent, each octet": "".join(f"%{octet:02X}" for octet in EMAIL.encode()),
    "in a query": f"https://acme.example/?e={quote(EMAIL, safe='')}&x=1",
    "behind an encoded colon": f"mailto%3A{quote(EMAIL, safe='')}%3Fsubject",
    "JSON's escapes": json.dumps(EMAIL)[1:-1],
    "JSON's escapes, each character": "".join(f"\\u{ord(char):04x}" for char in EMAIL),
    "JSON in JSON": json.dumps(json.dumps({"e": EMAIL})),
    "Python's bytes": repr(EMAIL.encode()),
    "ECMAScript's braces": EMAIL.replace("@", "\\u{40}"),
    "hexadecimal": EMAIL.replace("@", "\\x40"),
    "octal": EMAIL.replace("@", "\\100"),
    "HTML, decimal": EMAIL.replace("@", "&#64;"),
    "HTML, hexadecimal": EMAIL.replace("@", "&#X40;"),
    "HTML, by name": EMAIL.replace("@", "&commat;").replace("ó", "&oacute;"),
    "HTML, twice": EMAIL.replace("@", "&amp;#64;"),
    "quoted-printable": EMAIL.replace("@", "=40").replace("ó", "=C3=B3"),
    "backslash before a sign": EMAIL.replace("@", "\\@").replace(".", "\\."),
    "behind an escaped line break": f"first\\n{EMAIL}\\nlast",
    "in angle brackets": f"Ana <{EMAIL}>",
    "the id": LEAD,
    "the id, percent": LEAD.replace("-", "%2D"),
}
OTHERS = [
    "diana.gómez@acme.example",
    "ana.gómez@acme.examples",
    "ana.gómez-ruiz@acme.example",
    f"{LEAD}0",
    f"x{LEAD}",
]


def unpacked(path):
    """Return all readable content of a file, as text."""
    content = path.read_bytes()
    if content.startswith(b"\x28\xb5\x2f\xfd"):
        content = zstandard.ZstdDecompressor().stream_reader(content).read()
    elif content.startswith(b"PAR1"):
        rows = duckdb.sql(f"SELECT to_json(p)::VARCHAR FROM read_parquet('{path}') p").fetchall()
        content += "\n".join(row[0] for row in rows).encode()
    for line in content.splitlines():
        if b'"base64"' in line:
            content += base64.b64decode(json.loads(line)["base64"])
    return content.decode("utf-8", "replace")


def grep(root):
    """Return the spellings found below a directory, through links too, with their files."""
    found = []
    for folder, _, names in os.walk(root, followlinks=True):
        for name in names:
            text = unpacked(Path(folder, name)).casefold()
            for _ in range(4):  # unchanged, and decoded from nested JSON
                text += text.replace("\\\\", "\\").replace('\\"', '"')
            for other in OTHERS:
                text = text.replace(other, "").replace(json.dumps(other)[1:-1], "")
            found += [
                (how, name) for how, spelled in SPELLINGS.items() if spelled.casefold() in text
            ]
    return found


def note(number, text, **sections):
    """Return an application's event with a text in it."""
    event = blank("monitoring_data", number * 1_000_000, number, DAY)
    event["monitoring_info"]["data_points"] = {"note": text, f"key {text}": 1, "list": [text]}
    return event | sections


def put(root, name, content):
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (1_793_534_400, 1_793_534_400))
    return path


def lines(*events):
    return b"".join(json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in events)


@pytest.fixture
def events():
    who = {"lead_id": LEAD, "name": "Ana Gómez", "email": EMAIL}
    operation = blank("database_operation", 1_000_000, 1, DAY)
    operation["lead_identifier"] |= who
    made = [operation, *(note(n, text) for n, text in enumerate(SPELLINGS.values(), 2))]
    return made, [note(900 + n, text) for n, text in enumerate(OTHERS)]


@pytest.fixture(params=["plain", "compressed", "parquet"])
def root(request, tmp_path, events):
    """Return a day that names her in every spelling, in each form that a day can have."""
    root = tmp_path / "database_logs"
    hers, others = events
    put(root, f"database_operations/{DAY}.jsonl", lines(hers[0]))
    put(root, f"monitoring_data/{DAY}.jsonl", lines(*hers[1:], *others))
    put(root, f"error_logs/{DAY}.jsonl", EMAIL.encode() + b" and no JSON\n" + lines(others[0]))
    if request.param == "compressed":
        archive.run(root, Policy(1), today=TODAY)
    elif request.param == "parquet":
        archive.run(root, Policy(1, parquet_after_days=1), today=TODAY)
    return root


def test_no_spelling_is_left_in_any_form(root):
    """No spelling is found, and texts that only resemble it stay."""
    assert len(SPELLINGS) >= 20
    assert {how for how, _ in grep(root)} >= set(SPELLINGS) - {"JSON's escapes"}
    report = erasure.run(root, lead_ids=[LEAD], emails=[EMAIL], today=TODAY)
    assert report.remaining == {}
    assert grep(root) == []
    text = "".join(unpacked(path) for path in root.rglob("*") if path.is_file())
    for other in OTHERS:
        assert json.dumps(other)[1:-1] in text or other in text
    assert erasure.run(root, lead_ids=[LEAD], emails=[EMAIL], today=TODAY).changed == ()


@pytest.mark.parametrize("how", sorted(SPELLINGS))
def test_each_spelling_is_seen_in_bytes_and_covered(how):
    """The quick test on bytes and the masking agree."""
    spelling = Spelling([LEAD, EMAIL])
    text = SPELLINGS[how]
    assert spelling.may_be_in(text.encode())
    assert spelling.is_in(text)
    covered = spelling.replaced(text, lambda _: "***")
    assert "***" in covered
    assert not spelling.is_in(covered)


@pytest.mark.parametrize("other", OTHERS)
def test_another_person_is_not_taken_for_her(other):
    """A longer id or address that contains hers belongs to another person."""
    assert not Spelling([LEAD, EMAIL]).is_in(other)


@given(st.text("abcXYZ019%=&;#u\\@.\n ä", max_size=30), st.text("abc%=\\ u004", max_size=12))
def test_the_quick_test_never_says_no_where_she_is(before, after):
    """The quick test finds her in any surrounding text."""
    spelling = Spelling([PLAIN])
    text = f"{before}{PLAIN}{after}"
    assert spelling.may_be_in(text.encode())


def test_a_domain_is_found_as_it_is_registered():
    """`müller.example` and `xn--mller-kva.example` are one."""
    spelling = Spelling(["bo@müller.example"])
    assert spelling.is_in("to bo@xn--mller-kva.example")
    assert spelling.may_be_in(b"to BO@XN--MLLER-KVA.EXAMPLE")


# ------------------------------------------------------------------------- everything leadlog keeps


@pytest.fixture
def small(tmp_path):
    """Return a log of one closed day about another person."""
    root = tmp_path / "database_logs"
    put(root, f"monitoring_data/{DAY}.jsonl", lines(note(1, "nobody")))
    return root


def erase(root):
    return erasure.run(root, lead_ids=[LEAD], emails=[EMAIL], today=TODAY)


def test_quarantined_lines_go_and_the_others_stay(small):
    """They are stored in base64, which grep does not search but every reader decodes."""
    kept = [
        {"line_number": number, "offset": 0, "base64": base64.b64encode(text.encode()).decode()}
        for number, text in enumerate([f"torn {EMAIL}", "torn", f"torn {quote(EMAIL)}"])
    ]
    path = put(small, f"quarantine/error_logs/{DAY}.jsonl", lines(*kept))
    assert erase(small).remaining == {}
    assert [json.loads(line)["line_number"] for line in path.read_bytes().splitlines()] == [1]


def test_a_damaged_file_in_quarantine_is_named(small):
    """Content kept for repair must not be rewritten; it is reported, and the journal stays."""
    content = zstandard.compress(os.urandom(300_000).hex().encode() + f" {EMAIL}".encode() * 9)
    path = put(small, f"quarantine/error_logs/{DAY}.jsonl.zst", content + b"\x28\xb5\x2f")
    report = erase(small)
    assert list(report.remaining) == [str(path.relative_to(small))]
    assert (small / ".erasure.json").exists()
    path.unlink()
    assert erase(small).remaining == {}
    assert not (small / ".erasure.json").exists()


def test_the_monitor_s_state_is_covered_and_its_free_pages_too(small):
    """Messages in JSON, in text and in the outbox are masked; rows of others stay."""
    path = small / ".monitor.sqlite3"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE a (rule TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID")
    connection.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, title TEXT, body TEXT)")
    hers = json.dumps({"message": f"cannot reach {EMAIL}", "n": 3}).encode()
    connection.execute("INSERT INTO a VALUES (?, ?)", ("errors", hers))
    connection.execute("INSERT INTO a VALUES (?, ?)", ("latency", b'{"message":"slow"}'))
    rows = [(n, f"{EMAIL} failed", "x" * 3000 + " " + quote(EMAIL)) for n in range(40)]
    connection.executemany("INSERT INTO outbox VALUES (?, ?, ?)", rows)
    connection.execute("DELETE FROM outbox WHERE id > 20")
    connection.commit()
    connection.close()
    assert erase(small).remaining == {}
    assert grep(small) == []
    with contextlib.closing(sqlite3.connect(path)) as after:
        assert after.execute("SELECT data FROM a WHERE rule = 'latency'").fetchone() == (
            b'{"message":"slow"}',
        )
        assert after.execute("SELECT count(*) FROM outbox").fetchone() == (21,)
        (data,) = after.execute("SELECT data FROM a WHERE rule = 'errors'").fetchone()
        assert json.loads(data) == {"message": "cannot reach ***", "n": 3}


def test_a_running_monitor_s_state_is_named(small):
    """A running monitor would write its state back, so it is reported."""
    path = small / ".monitor.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE a (text TEXT)")
        connection.execute("INSERT INTO a VALUES (?)", (EMAIL,))
    connection.close()
    with (small / ".monitor.lock").open("wb") as lock:
        assert try_lock(lock.fileno())
        assert "stop it" in erase(small).remaining[path.name]
    assert erase(small).remaining == {}


def test_exports_that_name_her_are_named(small, tmp_path):
    """leadlog remembers exported files; those that no longer exist are forgotten."""
    there, clean, gone = (tmp_path / name for name in ("there.csv", "clean.csv", "gone.csv"))
    there.write_text(f"email\n{EMAIL}\n")
    clean.write_text("email\n")
    for path in (there, clean, gone, there):
        note_export(small, path)
    report = erase(small)
    assert list(report.remaining) == [str(there)]
    assert exports(small) == [str(there), str(clean)]
    duckdb.sql(f"COPY (SELECT '{EMAIL}' AS e) TO '{there}' (FORMAT parquet)")
    assert list(erase(small).remaining) == [str(there)]
    there.unlink()
    assert erase(small).remaining == {}


def test_a_working_copy_of_a_killed_command_is_named(small, tmp_path, monkeypatch):
    """A working copy in the temporary folder is reported."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    left = put(tmp_path, "leadlog-spill-0-1/1.tmp", f"note to {EMAIL}".encode())
    assert list(erase(small).remaining) == [str(left)]
    left.unlink()
    assert erase(small).remaining == {}


def test_a_folder_behind_a_link_is_reached(small, tmp_path, events):
    """A category on another disk, reached through a link, is erased too."""
    elsewhere = tmp_path / "disk2"
    elsewhere.mkdir()
    put(elsewhere, f"database_operations/{DAY}.jsonl", lines(events[0][0]))
    (small / "database_operations").symlink_to(elsewhere / "database_operations")
    assert erase(small).remaining == {}
    assert grep(elsewhere) == []
    assert (small / "database_operations").is_symlink()


def test_a_file_that_is_not_leadlog_s_is_named(small, tmp_path):
    """Such a file is reported, compressed or not and through links, but not changed."""
    secret = f"her address is {EMAIL}".encode()
    names = {"notes.txt": secret, "old/dump.bin": os.urandom(9) + secret, "a.zst": b""}
    names["a.zst"] = zstandard.compress(secret)
    for name, content in names.items():
        put(small, name, content)
    outside = put(tmp_path, "outside/more.txt", secret)
    (small / "linked").symlink_to(outside.parent)
    report = erase(small)
    assert set(report.remaining) == {*names, "linked/more.txt"}
    assert all((small / name).read_bytes() == content for name, content in names.items())


def test_drafts_of_killed_processes_go_and_those_being_written_are_named(small):
    """Abandoned drafts are removed, although no reader uses them; drafts in use are reported."""
    left = put(small, f"monitoring_data/.daily-summary-{DAY}.json.0123abcd.tmp", EMAIL.encode())
    live = put(small, ".error-marks.json.0123abcd.tmp", EMAIL.encode())
    with live.open("r+b") as stream:
        assert try_lock(stream.fileno())
        assert list(erase(small).remaining) == [live.name]
        assert not left.exists()
    assert erase(small).remaining == {}
    assert not live.exists()


def test_documents_and_derived_files_forget_her(small):
    """Marks are masked; a bucket table and the index are rebuilt."""
    put(small, "error-marks.json", json.dumps({"ffff": {"word": f"ask {EMAIL}"}}).encode())
    buckets = zstandard.compress(json.dumps({"causes": [EMAIL]}).encode())
    put(small, f"archive/buckets/{DAY}.json.zst", buckets)
    put(small, ".index/2026-11-01.sqlite", zlib.compress(b"x") + EMAIL.encode())
    assert erase(small).remaining == {}
    assert grep(small) == []
    assert json.loads((small / "error-marks.json").read_bytes()) == {"ffff": {"word": "ask ***"}}


def test_a_ring_that_still_has_her_lines_is_named(small):
    """Lines in a killed process's memory are written by `leadlog recover`, so they are reported."""
    code = (
        "import os, sys, leadlog\n"
        "leadlog.configure(directory=sys.argv[1])\n"
        "leadlog.flush()\n"
        "for n in range(3):\n"
        "    leadlog.get_logger().info('note', text=sys.argv[2])\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = os.environ | {"PYTHONPATH": ":".join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code, small, EMAIL], env=environment, check=False)
    report = erasure.run(small, emails=[EMAIL], today=TODAY)
    assert report.remaining  # in the ring, or in today's file, which may be written to


def test_a_dry_run_changes_nothing(small):
    """A dry run reports the files and changes nothing."""
    path = put(small, "error-marks.json", json.dumps({"f": {"word": EMAIL}}).encode())
    before = path.read_bytes()
    report = erasure.run(small, emails=[EMAIL], dry_run=True, today=TODAY)
    assert [one.path for one in report.changed] == ["error-marks.json"]
    assert path.read_bytes() == before


# ------------------------------------------------------------------------------------- the registry


def test_every_module_that_writes_a_file_is_registered():
    """Every module that writes files must state how erasure treats them."""
    import ast

    import leadlog

    package = Path(leadlog.__file__).parent
    registered = {writer for place in PLACES for writer in place.writers}
    # Writes only through registered modules, or names no one.
    exempt = {
        "leadlog.core.files",  # the one function; its callers are checked
        "leadlog.core.databases",  # the one class; its users are checked
        "leadlog.cli.ship.state",  # setup files for receivers
        "leadlog.cli.root",  # /dev/null
        "leadlog.cli.__init__",  # /dev/null
        "leadlog.reading.erasure.others",  # the contents of the registry
        "leadlog.reading.erasure.run",
        "leadlog.reading.archive.folders",  # provides the one function
        "leadlog.recording.sinks.recover",
    }
    writing = {"replace", "replacing", "output_file", "draft", "write_text", "write_bytes"}
    found = set()
    for path in package.rglob("*.py"):
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        if module.startswith("leadlog.testing"):
            continue
        tree = ast.parse(path.read_text())
        imported = {
            alias.asname or alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "leadlog.core.files"
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in {"O_CREAT", "O_TRUNC"}:
                found.add(module)
            if isinstance(node, ast.ClassDef) and "Database" in map(ast.unparse, node.bases):
                found.add(module)
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            modes = [one.value for one in node.args if isinstance(one, ast.Constant)]
            if name == "open" and {"w", "wb", "a", "ab", "x", "xb"} & {*map(str, modes)}:
                found.add(module)
            if name in writing and (name in imported or name.startswith("write_")):
                found.add(module)
            if name in {"mkstemp", "mkdtemp", "SpooledTemporaryFile", "copyfile", "copy2"}:
                found.add(module)
            if ast.unparse(node.func) == "sqlite3.connect" or name == "Database":
                found.add(module)
    assert found - registered - exempt == set()
    assert {
        writer
        for writer in registered
        if not (package.parent / f"{writer.replace('.', '/')}.py").is_file()
    } == set()


def test_what_the_registry_says_of_a_path():
    """Drafts are treated as their final file; an unregistered path has no owner."""
    kinds = {
        f"error_logs/{DAY}.w1.2.jsonl.zst": Content.LINES,
        f"archive/category=error_logs/date={DAY}/part-{DAY}.m1.parquet": Content.LINES,
        f"archive/category=error_logs/date={DAY}/._damaged-{DAY}.jsonl.0123abcd.tmp": "damaged",
        f"archive/buckets/{DAY}.json.zst": Content.DERIVED,
        "error-marks.json": Content.DOCUMENT,
        ".error-marks.json.0123abcd.tmp": Content.DOCUMENT,
        ".monitor.sqlite3-wal": Content.DATABASE,
        ".slots/host.3": Content.NAMES,
        ".slots/mark": Content.NAMES,
    }
    for name, kind in kinds.items():
        assert place_of(Path(name)).content == kind, name
    for name in ("notes.txt", "error_logs/notes.txt", f"a/b/{DAY}.jsonl", ".monitor.sqlite3.bak"):
        assert place_of(Path(name)) is None
