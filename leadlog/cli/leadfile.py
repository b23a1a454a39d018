"""A user's JSON file of leads, read whole."""

import json
from pathlib import Path
from typing import Any

from leadlog.errors import LeadlogError, ReadError

__all__ = ["LeadFileError", "read_leads"]


class LeadFileError(LeadlogError, ValueError):
    """A file that is no JSON file of leads; the message says what would be one."""


def read_leads(path: Path) -> list[Any]:
    """The rows of a JSON file: an array of leads, or `{"leads": [...]}`.

    Rows are returned as they are, also those that are no leads.

    Raises:
        ReadError: the file cannot be read.
        LeadFileError: it is no such JSON; the message says where and what to do.
    """
    try:
        # Exports of spreadsheets begin with a byte order mark.
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise ReadError(
            f"cannot read {path}: {error.strerror or error}; give a JSON file of leads"
        ) from error
    except UnicodeDecodeError as error:
        raise LeadFileError(
            f"{path} is not UTF-8 (byte {error.start}); convert it, for example with "
            f"iconv -f latin1 -t utf8 {path.name}"
        ) from error
    try:
        data = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise LeadFileError(_no_json(path, text, error)) from error
    if isinstance(data, dict) and isinstance(data.get("leads"), list):
        data = data["leads"]
    if not isinstance(data, list):
        raise LeadFileError(
            f"{path} holds {_kind(data)}; the demo takes an array of leads, "
            'or {"leads": [...]} with such an array'
        )
    return data


def _no_json(path: Path, text: str, error: Exception) -> str:
    if not text.strip():
        return f"{path} is empty; the demo takes a JSON array of leads"
    if isinstance(error, json.JSONDecodeError):
        if error.msg == "Extra data":
            return (
                f"{path} holds more than one JSON value; make it one array: "
                f"jq -s . {path.name} > leads.json"
            )
        return f"{path} is no JSON: {error.msg} in line {error.lineno}, column {error.colno}"
    return f"{path} is nested too deeply to be a list of leads"


def _kind(data: Any) -> str:
    if isinstance(data, dict):
        return 'an object without a list of "leads"'
    names = {str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(data), "a number")
