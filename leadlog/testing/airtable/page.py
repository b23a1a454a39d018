"""A small page to view and edit the table as a user does: plain HTML, without scripts."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlencode

from leadlog.core.errors import FakeAirtableError
from leadlog.testing.airtable.counters import Counters
from leadlog.testing.airtable.fields import Field

__all__ = ["Page", "PageAnswer", "PageSource"]

_ROWS = 100
_STYLE = """
:root { color-scheme: light dark; font: 14px/1.4 system-ui, sans-serif; }
body { margin: 1rem; }
header { display: flex; gap: 1rem; align-items: baseline; flex-wrap: wrap; }
h1 { font-size: 1.2rem; margin: 0; }
.grid { overflow-x: auto; margin-top: 1rem; }
table { border-collapse: collapse; }
th, td { border: 1px solid #8884; padding: .2rem .4rem; text-align: start; vertical-align: top;
  white-space: nowrap; max-width: 22rem; overflow: hidden; text-overflow: ellipsis; }
th { background: #8882; position: sticky; top: 0; }
th small { display: block; font-weight: normal; opacity: .7; }
td a { display: block; min-height: 1.4em; color: inherit; text-decoration: none;
  overflow: hidden; text-overflow: ellipsis; }
td a:hover, td a:focus { background: #48f3; }
td.computed { opacity: .7; }
td form { display: inline; }
[role=alert] { border: 1px solid #c00; padding: .5rem; margin-top: 1rem; }
"""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_INPUTS = {
    "currency": 'type="number" step="any"',
    "date": 'type="date"',
    "duration": 'type="number" step="any"',
    "number": 'type="number" step="any"',
    "percent": 'type="number" step="any"',
    "rating": 'type="number" min="0"',
}


class PageSource(Protocol):
    """The interface that the page needs; `FakeAirtable` implements it."""

    @property
    def table_name(self) -> str:
        """The table's name."""
        ...

    @property
    def fields(self) -> Sequence[Field]:
        """The table's fields."""
        ...

    @property
    def counters(self) -> Counters:
        """The counters."""
        ...

    def records(self) -> list[dict[str, Any]]:
        """Return all records."""
        ...

    def create(self) -> str:
        """Add an empty row."""
        ...

    def edit(self, record_id: str, values: Mapping[str, Any]) -> None:
        """Change cells."""
        ...

    def duplicate(self, record_id: str) -> str:
        """Copy a row."""
        ...

    def delete(self, record_id: str) -> None:
        """Delete a row."""
        ...


@dataclass(frozen=True, slots=True)
class PageAnswer:
    """The response to a browser: status, HTML or nothing, and headers."""

    status: int
    body: bytes
    headers: Mapping[str, str]


class Page:
    """Handler of browser requests. Forms contain a secret, so no other page can submit them.

    Args:
        person: The table that the page shows and edits.
    """

    def __init__(self, person: PageSource) -> None:
        self._person = person
        self._secret = secrets.token_urlsafe(16)

    def answer(self, method: str, target: str, host: str, body: bytes) -> PageAnswer:
        """Show the table, or carry out a submitted form.

        Args:
            method: The HTTP method, such as `GET`.
            target: Path and query string.
            host: The `Host` header; any name but this machine's is a rebinding attack.
            body: The values of a form.
        """
        path, _, query = target.partition("?")
        if host.rpartition(":")[0] not in {"127.0.0.1", "localhost"}:
            return _plain(403, "open this page at 127.0.0.1")
        if path == "/" and method == "GET":
            return self._show(dict(parse_qsl(query)))
        if method != "POST" or path not in {"/create", "/edit", "/duplicate", "/delete"}:
            return _plain(404, "there is nothing here")
        form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
        if not secrets.compare_digest(form.get("secret", "").encode(), self._secret.encode()):
            return _plain(403, "reload the page and try again")
        try:
            record_id = self._do(path, form)
        except FakeAirtableError as error:
            return self._show(form, str(error))
        location = f"/?{urlencode({'from': form.get('from', '0')})}#{record_id}"
        return PageAnswer(303, b"", _HEADERS | {"Location": location})

    def _do(self, path: str, form: Mapping[str, str]) -> str:
        record_id = form.get("record", "")
        if path == "/create":
            return self._person.create()
        if path == "/duplicate":
            return self._person.duplicate(record_id)
        if path == "/delete":
            self._person.delete(record_id)
            return ""
        value = form.get("value", "").replace("\r\n", "\n")
        self._person.edit(record_id, {form.get("field", ""): value or None})
        return record_id

    def _show(self, asked: Mapping[str, str], error: str | None = None) -> PageAnswer:
        records = self._person.records()
        start = int(asked["from"][:9]) if asked.get("from", "").isdecimal() else 0
        start = min(start, max(0, (len(records) - 1) // _ROWS * _ROWS))
        here = _Here(self._secret, start, asked.get("record"), asked.get("field"))
        fields = self._person.fields
        rows = "".join(_row(record, fields, here) for record in records[start : start + _ROWS])
        counters = self._person.counters
        body = (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width">'
            f"<title>{escape(self._person.table_name)} - fake Airtable</title>"
            f"{_watching(asked)}<style>{_STYLE}</style></head><body>"
            f"<header><h1>{escape(self._person.table_name)}</h1>"
            f"<span>{len(records)} records</span>{_pages(start, len(records))}"
            f"<span>{counters.calls} API calls, {counters.throttled} throttled</span>"
            f"{_watch_link(asked, start)}{_button('/create', 'Add row', here)}</header>"
            f"{_alert(error)}"
            '<div class="grid"><table><thead><tr><th scope="col">Row</th>'
            f"{''.join(map(_head, fields))}</tr></thead><tbody>{rows}</tbody></table></div>"
            "</body></html>"
        )
        return PageAnswer(200 if error is None else 422, body.encode(), _HEADERS)


@dataclass(frozen=True, slots=True)
class _Here:
    """The page that a form returns to, and the cell being edited."""

    secret: str
    start: int
    record: str | None
    field: str | None


def _plain(status: int, text: str) -> PageAnswer:
    return PageAnswer(status, f"<!doctype html><title>{text}</title><p>{text}".encode(), _HEADERS)


def _hidden(**values: str) -> str:
    return "".join(
        f'<input type="hidden" name="{name}" value="{escape(value)}">'
        for name, value in values.items()
    )


def _button(path: str, label: str, here: _Here, **values: str) -> str:
    hidden = _hidden(secret=here.secret, **{"from": str(here.start)}, **values)
    return f'<form method="post" action="{path}">{hidden}<button>{label}</button></form>'


def _alert(error: str | None) -> str:
    return "" if error is None else f'<p role="alert">{escape(error)}</p>'


def _watching(asked: Mapping[str, str]) -> str:
    watched = asked.get("watch") == "1" and "field" not in asked
    return '<meta http-equiv="refresh" content="2">' if watched else ""


def _watch_link(asked: Mapping[str, str], start: int) -> str:
    if asked.get("watch") == "1":
        return f'<a href="/?from={start}">Stop watching</a>'
    return f'<a href="/?from={start}&amp;watch=1">Watch</a>'


def _pages(start: int, count: int) -> str:
    links = []
    if start:
        links.append(f'<a href="/?from={max(0, start - _ROWS)}">Previous {_ROWS}</a>')
    if start + _ROWS < count:
        links.append(f'<a href="/?from={start + _ROWS}">Next {_ROWS}</a>')
    return " ".join(links)


def _head(field: Field) -> str:
    return f'<th scope="col">{escape(field.name)}<small>{field.type}</small></th>'


def _row(record: Mapping[str, Any], fields: Sequence[Field], here: _Here) -> str:
    record_id = record["id"]
    cells = "".join(
        _cell(record_id, field, record["fields"].get(field.name), here) for field in fields
    )
    buttons = _button("/duplicate", "Duplicate", here, record=record_id) + _button(
        "/delete", "Delete", here, record=record_id
    )
    return f'<tr id="{record_id}"><td>{buttons}</td>{cells}</tr>'


def _cell(record_id: str, field: Field, value: Any, here: _Here) -> str:
    text = escape(_text(value))
    if field.computed:
        return f'<td class="computed"><bdi>{text}</bdi></td>'
    place = {"record": record_id, "field": field.id}
    if field.type == "checkbox":
        label = "☑" if value else "☐"
        button = _button("/edit", label, here, **place, value="" if value else "true")
        return f"<td>{button}</td>"
    if (here.record, here.field) == (record_id, field.id):
        hidden = _hidden(secret=here.secret, **{"from": str(here.start)}, **place)
        return (
            f'<td><form method="post" action="/edit">{hidden}{_input(field, value)}'
            "<button>Save</button></form></td>"
        )
    link = urlencode({"from": here.start} | place)
    label = escape(f"Edit {field.name}")
    return f'<td><a href="/?{escape(link)}#{record_id}" title="{label}"><bdi>{text}</bdi></a></td>'


def _input(field: Field, value: Any) -> str:
    name = f'name="value" aria-label="{escape(field.name)}" autofocus'
    text = escape(_text(value))
    if field.type in {"multilineText", "richText"}:
        return f'<textarea {name} rows="4">\n{text}</textarea>'
    if field.type == "singleSelect":
        chosen = "".join(
            f"<option{' selected' if choice['name'] == value else ''}>{escape(choice['name'])}"
            for choice in field.choices
        )
        return f'<select {name}><option value="">{chosen}</select>'
    return f'<input {name} {_INPUTS.get(field.type, "")} value="{text}">'


def _text(value: Any) -> str:
    if value is None:
        return ""
    return ", ".join(value) if isinstance(value, list) else str(value)
