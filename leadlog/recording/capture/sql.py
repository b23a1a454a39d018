"""SQL text: the tables that a statement reads and writes, and its transaction control.

Transaction control, and whether a text may write, are determined from the text without its
comments and literals, since every statement is checked. The tables it touches are read from
sqlglot's syntax tree. sqlglot takes about 0.2 s to import and 0.3 ms for a statement, so it is
imported for the first text that names a captured table, and its results are cached.
"""

import hashlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from threading import get_ident
from typing import Any, NamedTuple

__all__ = [
    "Control",
    "Mention",
    "as_text",
    "commits_first",
    "controls",
    "mentions",
    "names_in",
    "normalised",
    "writes",
]

_REMEMBERED = 1024
_LONGEST = 64 * 1024
"""Longest text that is parsed, in characters; of a longer one, such as a dump, the beginning."""


class Control(NamedTuple):
    """One statement of transaction control.

    Attributes:
        verb: begin, commit, rollback, savepoint, release or rollback_to.
        name: the savepoint's; "" for the others.
    """

    verb: str
    name: str = ""


class Mention(NamedTuple):
    """A table named in a text.

    Attributes:
        kind: create, read, update, delete or upsert.
        schema: schema named in the text; None if it names none.
        table: name of the table.
        conflicts: whether an existing row may be kept or updated instead.
        counted: whether the driver's row count is about this table, rather than about the
            enclosing statement.
    """

    kind: str
    schema: str | None
    table: str
    conflicts: bool = False
    counted: bool = True


def as_text(statement: Any) -> str:
    """Return SQL that a driver takes in a form of its own, such as psycopg's `Composed`."""
    if isinstance(statement, str):
        return statement
    if isinstance(statement, bytes):
        return statement.decode("utf-8", "replace")
    try:
        return str(statement.as_string(None))
    except (AttributeError, TypeError):  # psycopg2 quotes names only on a connection
        return str(statement)


# ---------------------------------------------------------------------- the text without noise

_NOISE = re.compile(
    r"""
      (?P<keep> "(?:[^"]|"")*" | `[^`]*` | \[[A-Za-z_][\w ]*\] )
    | [eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$
    | --[^\n]* | (?:^|(?<=\n)|(?<=\s))\#[^\n>-][^\n]*
    | (?P<comment>/\*)
    """,
    re.DOTALL | re.VERBOSE,
)
_EDGE = re.compile(r"/\*|\*/")


def _bare(text: str) -> str:
    """Return the text with a space for each comment and `''` for each literal."""
    parts, place = [], 0
    while found := _NOISE.search(text, place):
        parts.append(text[place : found.start()])
        place = found.end()
        if found["comment"]:
            place = _after_comment(text, place)
            parts.append(" ")
        elif found["keep"]:
            parts.append(found[0])
        else:
            parts.append("''" if found[0][-1] in "'$" else " ")
    parts.append(text[place:])
    return "".join(parts)


def _after_comment(text: str, place: int) -> int:
    """Return the position after a block comment; PostgreSQL's may be nested."""
    depth = 1
    for edge in _EDGE.finditer(text, place):
        depth += 1 if edge[0] == "/*" else -1
        if not depth:
            return edge.end()
    first = text.find("*/", place)  # on other servers it ends at the first one
    return len(text) if first < 0 else first + 2


_VALUE = re.compile(
    r"""
      (?P<quoted> "(?:[^"]|"")*" )
    | (?: '' | %\(\w+\)s | %s | (?<![:\w]):\w+ | \$\d+ | \?
        | (?<![\w.$`])[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?(?![\w`])
      )
      (?: ::\w+(?:\ with(?:out)?\ time\ zone|\ varying|\ precision)?(?:\([\d,\ ]*\))?(?:\[\])* )?
    """,
    re.IGNORECASE | re.VERBOSE,
)
_PLAIN_NAME = re.compile(r'"[A-Za-z_]\w*"')
_VALUES = re.compile(r"\(\s*\?(?:\s*,\s*\?)+\s*\)")
_ROWS = re.compile(r"(\(\?(?:, …)?\))(?:\s*,\s*\(\?(?:, …)?\))+")
_LENGTH = 2_000


def _shown(value: re.Match[str]) -> str:
    # SQLite reads a quoted name that does not exist as a text.
    return value[0] if value["quoted"] and _PLAIN_NAME.fullmatch(value[0]) else "?"


@lru_cache(maxsize=_REMEMBERED)
def normalised(text: str) -> tuple[str, str]:
    """Return a statement without its values, and its fingerprint.

    Comments are removed, every literal and parameter becomes `?`, a list of them `(?, …)`, and of
    several rows the first is kept.

    >>> normalised("SELECT a FROM t WHERE b = 'x' AND c IN (1, 2)  -- why")[0]
    'SELECT a FROM t WHERE b = ? AND c IN (?, …)'

    Args:
        text: SQL as sent to the driver.
    """
    bare = " ".join(_VALUE.sub(_shown, _bare(text[:_LONGEST])).split())
    bare = _ROWS.sub(r"\1", _VALUES.sub("(?, …)", bare))
    digest = hashlib.blake2b(bare.casefold().encode("utf-8", "replace"), digest_size=8)
    return (bare if len(bare) <= _LENGTH else bare[: _LENGTH - 1] + "…"), digest.hexdigest()


# -------------------------------------------------------------------------- transaction control

_CONTROL = re.compile(
    r"""\s*(?:
      (?P<savepoint> savepoint\s+ | save\s+tran(?:saction)?\s+ )
    | (?P<release> release\s+(?:savepoint\s+)? )
    | (?P<rollback_to> rollback\s+(?:transaction\s+|work\s+)?to\s+(?:savepoint\s+)? )
    | (?P<commit> (?:commit|end)\b(?!\s+prepared\b) )
    | (?P<rollback> (?:rollback|abort)\b(?!\s+prepared\b) )
    | (?P<begin> begin\b | start\s+transaction\b )
    )\s*(?P<name> "(?:[^"]|"")*" | `[^`]*` | \[[^]]*\] | [^\s;]* )""",
    re.IGNORECASE | re.VERBOSE,
)
_NAMED = ("savepoint", "release", "rollback_to")
_WRITE = re.compile(
    r"\s*(?:explain\s*(?:\([^)]*\banalyze\b[^)]*\)|analyze\b)(?:\s+verbose\b)?\s*)?"
    r"(?:(?:insert|update|delete|replace|merge|truncate)\b|copy\b.*\bfrom\s*(?:''|stdin|program))"
    r"|\s*with\b.*\b(?:(?:insert|merge)\s+into|delete\s+from|update\s+\S+\s+set)\b",
    re.IGNORECASE | re.DOTALL,
)


_IMPLICIT = re.compile(
    r"\s*(?:create\s+(?!(?:or\s+replace\s+)?temporary\b)|drop\s+(?!temporary\b)|(?:alter|rename|truncate)\b"
    r"|begin\b|start\s+transaction\b|lock\s+tables?\b|grant\b|revoke\b"
    r"|(?:analyze|optimize|repair)\s+table\b|set\s+(?:session\s+)?autocommit\s*=\s*(?:1|on)\b)",
    re.IGNORECASE,
)


@lru_cache(maxsize=_REMEMBERED)
def commits_first(text: str) -> bool:
    """Return whether MySQL and MariaDB commit before running a text, as for most of DDL."""
    return any(_IMPLICIT.match(statement) for statement in _bare(text[:_LONGEST]).split(";"))


@lru_cache(maxsize=_REMEMBERED)
def _understood(text: str) -> tuple[tuple[Control, ...], bool]:
    statements = _bare(text[:_LONGEST]).split(";")
    found = []
    for statement in statements:
        control = _CONTROL.match(statement)
        if control is not None and control.lastgroup is not None:
            verb = next(v for v in control.groupdict() if v != "name" and control[v] is not None)
            name = control["name"].strip('"`[]').lower() if verb in _NAMED else ""
            found.append(Control(verb, name))
    return tuple(found), any(_WRITE.match(statement) for statement in statements)


def controls(text: str) -> tuple[Control, ...]:
    """Return the transaction control in a text, in order.

    >>> controls("/* a */ SAVEPOINT one -- two")
    (Control(verb='savepoint', name='one'),)
    """
    return _understood(text)[0]


def writes(text: str) -> bool:
    """Return whether a text may write rows."""
    return _understood(text)[1]


# ------------------------------------------------------------------------------ tables in a text

_DIALECTS = {
    "cockroachdb": "postgres",
    "mariadb": "mysql",
    "mssql": "tsql",
    "postgresql": "postgres",
}
_PARAMETERS = re.compile(
    r"%\(\w+\)s|%s|(?<![\w:$])(?:(?P<mark>\?\d*)|[:@$][A-Za-z_]\w*|[:$]\d+)(?![\w$])"
)
_OR = re.compile(r"\bupdate\s+or\s+(?:rollback|abort|replace|fail|ignore)\b", re.IGNORECASE)
_OPTIONS = re.compile(r"\s*(?:\([^)]*\)|(?:analyze|verbose|query\s+plan)\b)", re.IGNORECASE)
_WORD = re.compile(r"\w+")


@lru_cache(maxsize=_REMEMBERED)
def names_in(text: str) -> frozenset[str]:
    """Return every word of a text in lower case, a superset of its tables' names."""
    return frozenset(_WORD.findall(text[:_LONGEST].lower()))


@lru_cache(maxsize=_REMEMBERED)
def mentions(text: str, dialect: str) -> tuple[Mention, ...]:
    """Return the tables that a text writes or, if it writes none, reads, in order of appearance.

    Args:
        text: one statement or several.
        dialect: name of SQLAlchemy's dialect.
    """
    text = text[:_LONGEST]
    try:
        found = [mention for tree in _trees(text, dialect) for mention in _touched(tree)]
    except Exception:  # noqa: BLE001 - sqlglot does not support the syntax of every server
        found = list(_by_words(_bare(text)))
    return tuple(dict.fromkeys(found))


def _trees(text: str, dialect: str) -> Iterator[Any]:
    import sqlglot
    from sqlglot import exp

    name = _DIALECTS.get(dialect, dialect)
    if sqlglot.Dialect.get(name) is None:
        name = ""
    operators = name == "postgres"  # there, ? is an operator on JSON keys
    text = _PARAMETERS.sub(
        lambda found: found[0] if operators and found["mark"] else "(NULL)",
        _OR.sub("UPDATE", text),
    ).replace("%%", "%")
    with _quietly():
        trees = sqlglot.parse(text, read=name)
    for tree in trees:
        if isinstance(tree, exp.Command):
            inner = _inside(tree)
            if inner is not None:
                with _quietly():
                    yield from sqlglot.parse(inner, read="sqlite" if name != "mysql" else name)
        elif tree is not None:
            yield tree


def _inside(command: Any) -> str | None:
    """Return the inner statement of a command that sqlglot leaves as text."""
    verb, rest = str(command.this).upper(), command.expression
    text = "" if rest is None else rest.name
    if verb == "REPLACE":
        return f"INSERT OR REPLACE INTO {re.sub(r'^ *into ', '', text, flags=re.IGNORECASE)}"
    if verb == "EXPLAIN":
        options = ""
        while found := _OPTIONS.match(text):
            options, text = options + found[0].lower(), text[found.end() :]
        return text if "analyze" in options else None  # otherwise the statement does not run
    if verb == "DECLARE":
        return text.partition(" FOR ")[2] or None
    return None


_reading: set[int] = set()


@contextmanager
def _quietly() -> Iterator[None]:
    """Suppress sqlglot's warnings about unsupported syntax in the application's log."""
    log = logging.getLogger("sqlglot")
    if _unheard not in log.filters:
        log.addFilter(_unheard)
    _reading.add(get_ident())
    try:
        yield
    finally:
        _reading.discard(get_ident())


def _unheard(_record: logging.LogRecord) -> bool:
    return get_ident() not in _reading


def _touched(tree: Any) -> Iterator[Mention]:
    from sqlglot import exp

    kinds = exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.TruncateTable, exp.Copy
    written = []
    for node in tree.find_all(*kinds, bfs=False):
        for kind, table, conflicts in _written(node):
            # No server counts the rows of TRUNCATE.
            counted = node is tree and not isinstance(node, exp.TruncateTable)
            mention = Mention(kind, table.db or None, table.name, conflicts, counted)
            written.append(mention)
            yield mention
    ctes = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    made = {id(table) for into in tree.find_all(exp.Into) for table in into.find_all(exp.Table)}
    if isinstance(tree, exp.Create):
        made.add(id(tree.this.this if isinstance(tree.this, exp.Schema) else tree.this))
    if isinstance(tree, (exp.Query, exp.Create, *kinds)):
        told = {(mention.schema, mention.table) for mention in written}
        for table in tree.find_all(exp.Table, bfs=False):
            name = table.db or None, table.name
            local = name[0] is None and table.name.lower() in ctes
            if table.name and not local and id(table) not in made and name not in told:
                yield Mention("read", *name)


def _written(node: Any) -> Iterator[tuple[str, Any, bool]]:
    """Yield the operation, the table, and whether a conflicting row may be kept or updated."""
    from sqlglot import exp

    if isinstance(node, exp.TruncateTable):
        for table in node.expressions:
            yield "delete", table, False
        return
    table = node.this
    if isinstance(table, exp.Schema):
        table = table.this
    if isinstance(node, exp.Delete) and node.args.get("tables"):
        names = {one.name.lower() for one in node.args["tables"]}
        for table in node.this.find_all(exp.Table):
            if (table.alias or table.name).lower() in names:
                yield "delete", table, False
        return
    if not isinstance(table, exp.Table):
        return
    if isinstance(node, exp.Copy):
        if node.args.get("kind"):
            yield "create", table, False
    elif isinstance(node, exp.Insert):
        upserts, conflicts = _conflict(node)
        yield "upsert" if upserts else "create", table, conflicts
    elif isinstance(node, exp.Merge):
        yield _merged(node), table, True
    else:
        yield "update" if isinstance(node, exp.Update) else "delete", table, False


def _conflict(insert: Any) -> tuple[bool, bool]:
    """Return whether an INSERT may update an existing row, and whether it may skip one."""
    conflict = insert.args.get("conflict")
    other = str(insert.args.get("alternative") or "").upper()
    if other == "REPLACE" or insert.args.get("overwrite"):
        return True, True
    if conflict is None:
        return False, other == "IGNORE" or bool(insert.args.get("ignore"))
    action = conflict.args.get("action")
    updates = conflict.args.get("duplicate") or "UPDATE" in str(action).upper()
    return bool(updates), True


def _merged(merge: Any) -> str:
    """Return the operation of a MERGE if there is only one, otherwise upsert."""
    whens = merge.args.get("whens")
    kinds = set()
    for when in [] if whens is None else whens.expressions:
        then = when.args.get("then")
        word = (type(then).__name__ if then is not None and not then.name else str(then)).upper()
        kinds |= {kind for verb, kind in _VERBS.items() if word.startswith(verb)}
    return kinds.pop() if len(kinds) == 1 else "upsert"


_VERBS = {"INSERT": "create", "UPDATE": "update", "DELETE": "delete"}

# SQL that sqlglot cannot parse is matched by its verbs, so that no write is missed.
_IDENTIFIER = r'(?:"[^"]+"|`[^`]+`|\[[^]]+\]|[\w$]+)'
_NAME = rf"(?:(?P<schema>{_IDENTIFIER})\s*\.\s*)?(?P<table>{_IDENTIFIER})"
_WRITES = re.compile(
    r"(?:^|[(;]|\b(?:as|then|explain|analyze)\b|\))\s*"
    r"(?P<verb>insert|replace|update|delete|merge|truncate)\b(?P<or>\s+or\s+\w+)?"
    rf"(?:\s+top\s*\(\d+\))?(?:\s+(?:into|from|table))?(?:\s+only)?\s+(?!set\b){_NAME}",
    re.IGNORECASE,
)
_READS = re.compile(rf"\b(?:from|join)\s+(?:only\s+)?{_NAME}", re.IGNORECASE)
_UPSERTS = re.compile(
    r"\bon\s+conflict\b.*\bdo\s+update\b|\bon\s+duplicate\s+key\b", re.IGNORECASE | re.DOTALL
)


def _by_words(bare: str) -> Iterator[Mention]:
    for statement in bare.split(";"):
        upserts = _UPSERTS.search(statement) is not None
        for write in _WRITES.finditer(statement):
            verb = write["verb"].lower()
            kind = {"insert": "create", "truncate": "delete"}.get(verb, verb)
            if verb in ("replace", "merge") or (verb == "insert" and (write["or"] or upserts)):
                kind = "upsert"
            yield Mention(kind, *_named(write), kind == "upsert")
        if re.match(r"\s*(?:select|with|table|values)\b", statement, re.IGNORECASE):
            for read in _READS.finditer(statement):
                yield Mention("read", *_named(read))


def _named(found: re.Match[str]) -> tuple[str | None, str]:
    schema = found["schema"]
    return schema and schema.strip('"`[]'), found["table"].strip('"`[]')
