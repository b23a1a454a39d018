"""Generate the files derived from code: JSON Schemas and the reference pages.

    python docs/generate.py            writes them
    python docs/generate.py --check    exits with 1 if one of them is out of date

It writes docs/reference/records.md, settings.md and alerts.md, and the JSON Schemas: for the
package in leadlog/core/records/schemas, and for readers in docs/reference/schemas.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from leadlog.core import settings
from leadlog.core.layout import CATEGORIES
from leadlog.core.records import RECORDS
from leadlog.core.records.envelope import RecordEnvelope, WithContext
from leadlog.core.records.hints import all_keys_of
from leadlog.monitor.configuration import INHIBITIONS, KINDS, settings_of
from leadlog.monitor.durations import describe

ROOT = Path(__file__).resolve().parent.parent
OPEN = {"ErrorContext"}
"""Sections that may have keys of the user's own."""


def _prepare(record: Any) -> None:
    """Have pydantic read attribute docstrings and refuse unknown keys."""
    record.__pydantic_config__ = {
        "use_attribute_docstrings": True,
        "extra": "allow" if record.__name__ in OPEN else "forbid",
    }
    for hint in all_keys_of(record).values():
        for inner in (hint, *getattr(hint, "__args__", ())):
            if is_typeddict(inner):
                _prepare(inner)


def _tidy(schema: Any) -> Any:
    """Return a schema without pydantic's titles, and with the short form of "or null"."""
    if isinstance(schema, list):
        return [_tidy(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    tidy = {
        key: _tidy(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
    options = tidy.get("anyOf")
    if options and all(set(option) == {"type"} for option in options):
        del tidy["anyOf"]
        tidy["type"] = [option["type"] for option in options]
    if isinstance(tidy.get("description"), str):
        tidy["description"] = " ".join(tidy["description"].split())
    return tidy


def schema_of(log_type: str) -> dict[str, Any]:
    """Return the JSON Schema of a log type's record."""
    record = RECORDS[log_type]
    _prepare(record)
    schema = _tidy(TypeAdapter(record).json_schema())
    for base in (RecordEnvelope, WithContext):
        _prepare(base)
        for key, described in _tidy(TypeAdapter(base).json_schema())["properties"].items():
            if "description" in described:
                schema["properties"].get(key, {}).setdefault(
                    "description", described["description"]
                )
    schema["properties"]["timestamp"]["pattern"] = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
    schema["properties"]["session_id"]["pattern"] = "^[0-9a-z]{8}$"
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"leadlog:{log_type}:1",
        "title": log_type,
        **schema,
    }


def _type_name(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return "object"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type_name(option) for option in schema["anyOf"])
    kind = schema.get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _table(schema: dict[str, Any], skip: frozenset[str] = frozenset()) -> list[str]:
    rows = ["| key | type | |", "|---|---|---|"]
    required = set(schema.get("required", ()))
    for key, value in schema["properties"].items():
        if key not in skip:
            optional = "" if key in required else " *(only where it applies)*"
            text = value.get("description", "").replace("|", "\\|")
            rows.append(f"| `{key}` | {_type_name(value)} | {text}{optional} |")
    return rows


def records_page() -> str:
    """Return the text of docs/reference/records.md."""
    page = [
        "# Records",
        "",
        "Generated from the record types in `leadlog/core/records` by `make docs`. The same as",
        "JSON Schema is in [schemas](schemas) and in the package:",
        "`leadlog.core.records.json_schema(log_type)`.",
        "",
        "Every event is one JSON object on one line. `null` means that a value is not known or",
        "was not measured. Times are UTC with six digits, durations are milliseconds (`_ms`),",
        "sizes say their unit (`_bytes`, `_mb` = 10^6 bytes).",
        "",
    ]
    schemas = {log_type: schema_of(log_type) for log_type in RECORDS}
    first = schemas["database_operation"]
    sections = {key for key, value in first["properties"].items() if "$ref" in value}
    envelope = frozenset(first["properties"]) - sections
    page += ["## Every record", "", *_table(first, frozenset(sections | {"log_type"})), ""]
    for (log_type, schema), category in zip(schemas.items(), CATEGORIES, strict=True):
        page += [f"## {log_type}", "", schema["description"], "", f"Folder: `{category}/`", ""]
        for key, value in schema["properties"].items():
            if key in envelope and key != "context":
                continue
            target = value.get("$ref") or value.get("items", {}).get("$ref")
            if target is None:
                continue
            section = schema["$defs"][target.rsplit("/", 1)[1]]
            many = ", a list of" if value.get("type") == "array" else ""
            page += [f"### `{key}`{many}", "", section["description"], "", *_table(section), ""]
    return "\n".join(page)


def settings_page() -> str:
    """Return the text of docs/reference/settings.md."""
    loaded = settings.Loaded(settings.Settings(), dict.fromkeys(settings.names(), "default"))
    page = [
        "# Settings",
        "",
        "Generated from `leadlog/core/settings` by `make docs`. `leadlog doctor` shows the values",
        "in force and where each came from.",
        "",
        "| setting | environment | default | unit | |",
        "|---|---|---|---|---|",
    ]
    for row in settings.describe(loaded):
        default = f"`{row.default}`" if row.default else "none"
        variable = f"`{settings.ENVIRONMENT_PREFIX}{row.name.upper()}`"
        page.append(f"| `{row.name}` | {variable} | {default} | {row.unit} | {row.help} |")
    page += ["", "Objects are written as JSON in the environment and as tables in a file."]
    return "\n".join([*page, ""])


def _rule_row(key: str, field: Any, rule: Any) -> str:
    value, unit = getattr(rule, field.name), field.metadata["unit"]
    shown = describe(value) if unit == "s" else value
    default = f"{shown:g}" if isinstance(shown, float) else str(shown)
    rest = f" {unit}" if unit not in ("", "s") else ""
    return f"| `{key}` | {default + rest or 'none'} | {field.metadata['help']} |"


def alerts_page() -> str:
    """Return the text of docs/reference/alerts.md."""
    page = [
        "# Alert rules",
        "",
        "Generated from `leadlog/monitor/rules` by `make docs`. `leadlog alerts show RULE`",
        'shows what is in force. Durations are seconds, or texts such as `"5m"`; see',
        "[how to be notified](../how-to/alerts.md) for how to set them.",
    ]
    for name, kind in KINDS.items():
        rule = kind(name=name)
        page += ["", f"## {name}", "", rule.about, "", "| setting | default | |", "|---|---|---|"]
        page += [_rule_row(key, field, rule) for key, field in settings_of(kind).items()]
    page += [
        "",
        "## Alerts suppressed while another one fires",
        "",
        "| while this fires | these send no notification |",
    ]
    page.append("|---|---|")
    for one in INHIBITIONS:
        cause = one.rule if one.label == "*" else f"{one.rule}:{one.label}"
        page.append(f"| `{cause}` | {', '.join(f'`{rule}`' for rule in one.inhibits)} |")
    return "\n".join([*page, ""])


def outputs() -> dict[Path, str]:
    """Return every generated file with its text."""
    reference = ROOT / "docs" / "reference"
    schemas = {
        folder / "schemas" / f"{log_type}.json": json.dumps(
            schema_of(log_type), indent=2, ensure_ascii=False
        )
        + "\n"
        for log_type in RECORDS
        for folder in (ROOT / "leadlog" / "core" / "records", reference)
    }
    return {
        **schemas,
        reference / "records.md": records_page(),
        reference / "settings.md": settings_page(),
        reference / "alerts.md": alerts_page(),
    }


def main() -> int:
    """Write the files, or check them."""
    # pydantic warns that it cannot enforce ReadOnly; nothing is validated with it here.
    warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier", category=UserWarning)
    stale = []
    for path, text in outputs().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(path.relative_to(ROOT))
        if "--check" not in sys.argv[1:]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{'stale' if '--check' in sys.argv[1:] else 'wrote'} {path}")
    return 1 if stale and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
