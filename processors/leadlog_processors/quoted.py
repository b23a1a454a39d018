r"""Quoted values: removal of the input that databases and their drivers repeat in messages.

| source | example | becomes |
|---|---|---|
| PostgreSQL | `invalid input syntax for type integer: "Ana"` | `invalid …: "***"` |
|  | `value "99999999999" is out of range for type integer` | `value "***" is out …` |
|  | `syntax error at or near "Ana"`, `LINE 1: SELECT 'Ana'` | `… near "***"`, `LINE 1: ***` |
|  | `DETAIL: …`, `CONTEXT: … $1 = 'Ana'` | `DETAIL: ***`, `CONTEXT: ***` |
| asyncpg | `invalid input for query argument $1: 'Ana' (…)` | `… $1: ***` |
| MySQL, MariaDB | `Duplicate entry 'Ana' for key 'people.name'` | `Duplicate entry '***' for …` |
|  | `Incorrect integer value: 'Ana' for column 'age'` | `… value: '***' for column 'age'` |
| SQL Server | `The duplicate key value is (Ana).` | `The duplicate key value is (***).` |

Types, and the names of columns, keys and constraints, are kept.

>>> without_quoted_values('invalid input syntax for type integer: "Ana"')
'invalid input syntax for type integer: "***"'
>>> without_quoted_values("(1062, \"Duplicate entry 'ana@acme.com' for key 'people.email'\")")
'(1062, "Duplicate entry \'***\' for key \'people.email\'")'
"""

import re
from typing import Final

__all__ = ["is_of_a_database", "without_quoted_values"]

_DATABASES: Final = frozenset(
    (
        "sqlalchemy",
        "psycopg",
        "psycopg2",
        "asyncpg",
        "pg8000",
        "pymysql",
        "MySQLdb",
        "mysql",
        "mariadb",
        "aiomysql",
        "asyncmy",
        "pymssql",
        "pyodbc",
        "aioodbc",
        "pandas",  # to_sql repeats them
    )
)
"""Packages whose exceptions repeat a database's message."""

# Quotes and line breaks in a value are not escaped, so it ends where the message continues with
# known words, or at the end of the text.
_NEXT: Final = r"\n(?:DETAIL|HINT|CONTEXT|QUERY|LOCATION|LINE \d+):|\n?\Z"
_QUOTE: Final = r"\\?'"  # plain, or in the repr of a tuple
_PATTERNS: Final = tuple(
    (tuple(needles), re.compile(pattern, re.DOTALL), replacement)
    for needles, pattern, replacement in (
        ([': "'], rf'(: ")(?!\*\*\*").*?(?:"(?={_NEXT})|\Z)', r'\1***"'),
        (['value "'], r'(\bvalue ")(?!\*\*\*").*?("(?= is out of range)|\Z)', r"\1***\2"),
        (['near "'], rf'(\bat or near ")(?!\*\*\*").*?(?:"(?={_NEXT})|\Z)', r'\1***"'),
        (["LINE "], r"(\nLINE \d+: )[^\n]*", r"\1***"),
        (["DETAIL:", "CONTEXT:"], rf"\b(DETAIL|CONTEXT):.*?(?={_NEXT})", r"\1: ***"),
        (["argument $"], r"(\bargument \$\d+: ).*", r"\1***"),
        (
            ["Duplicate entry "],
            rf"(\bDuplicate entry {_QUOTE}).*?({_QUOTE} for key |\Z)",
            r"\1***\2",
        ),
        (
            ["ncorrect "],
            rf"(\b[Ii]ncorrect [\w ]+ value: {_QUOTE}).*?({_QUOTE}(?= for |\W*\Z)|\Z)",
            r"\1***\2",
        ),
        (["string: "], rf"(\bcharacter string: {_QUOTE}).*?({_QUOTE}\W*\Z|\Z)", r"\1***\2"),
        (["near "], rf"(\bsyntax to use near {_QUOTE}).*?({_QUOTE} at line |\Z)", r"\1***\2"),
        (["key value is ("], r"(\bduplicate key value is \().*?(\)\.|\Z)", r"\1***\2"),
        ([" value '"], r"(\bvalue ').*?('(?= to data type )|\Z)", r"\1***\2"),
        (["Truncated value: '"], r"(\bTruncated value: ').*?('\.|\Z)", r"\1***\2"),
    )
)
"""Texts of which one must occur, the pattern, and its replacement."""


def is_of_a_database(error: object) -> bool:
    """Return whether an exception repeats a database's message, by the package of its class."""
    return str(type(error).__module__).partition(".")[0] in _DATABASES


def without_quoted_values(text: str) -> str:
    """Return `text` with each quoted value replaced by `***`.

    Args:
        text: a message of a database, its driver or SQLAlchemy, in English.
    """
    # SQLAlchemy's tail, the statement and its parameters, is masked elsewhere.
    said, tail, rest = text.rpartition("\n[SQL: ")
    if not tail:
        said, rest = rest, ""
    for needles, pattern, replacement in _PATTERNS:
        if any(needle in said for needle in needles):
            said = pattern.sub(replacement, said)
    return f"{said}{tail}{rest}"
