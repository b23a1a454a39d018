"""The fake Airtable's error responses, with the texts and status of the real ones."""

from typing import Any

__all__ = [
    "Refusal",
    "bad_request",
    "bad_value",
    "computed",
    "model_not_found",
    "no_such_choice",
    "no_such_row",
    "unknown_field",
    "unreadable_body",
]


class Refusal(Exception):  # noqa: N818 - a response of the API, which no caller of leadlog sees
    """A request is refused with an error response.

    Args:
        status: The HTTP status.
        kind: Airtable's name of the error, such as `INVALID_VALUE_FOR_COLUMN`.
        message: The error text. None gives the short form `{"error": kind}`.
        retry_after: Value of the `Retry-After` header in seconds; None for no header.
    """

    def __init__(
        self, status: int, kind: str, message: str | None, *, retry_after: int | None = None
    ) -> None:
        super().__init__(f"{status} {kind}: {message}")
        self.status = status
        self.kind = kind
        self.message = message
        self.retry_after = retry_after

    @property
    def body(self) -> dict[str, Any]:
        """The response body. Rate limits have a different form: a list under `errors`."""
        if self.status == 429:
            return {"errors": [{"error": self.kind, "message": self.message}]}
        if self.message is None:
            return {"error": self.kind}
        return {"error": {"type": self.kind, "message": self.message}}


def bad_request(message: str | None = None) -> Refusal:
    """Return the refusal of a parameter that is missing or out of range."""
    return Refusal(
        422,
        "INVALID_REQUEST_UNKNOWN",
        message or "Invalid request: parameter validation failed. Check your request data.",
    )


def unreadable_body() -> Refusal:
    """Return the refusal of a body that is not a JSON object; NaN and infinity are not JSON."""
    return Refusal(422, "INVALID_REQUEST_BODY", "Could not parse request body")


def model_not_found() -> Refusal:
    """Return the refusal of an unknown base or table; unknown and forbidden look the same."""
    return Refusal(
        403,
        "INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND",
        "Invalid permissions, or the requested model was not found. Check that both your user "
        "and your token have the required permissions, and that the model names and/or ids are "
        "correct.",
    )


def no_such_row(record_id: str) -> Refusal:
    """Return the refusal of a write to several records of which one does not exist."""
    return Refusal(422, "ROW_DOES_NOT_EXIST", f"Record ID {record_id} does not exist in this table")


def unknown_field(key: str) -> Refusal:
    """Return the refusal of a field name or id that does not exist."""
    return Refusal(422, "UNKNOWN_FIELD_NAME", f'Unknown field name: "{key}"')


def bad_value(name: str) -> Refusal:
    """Return the refusal of a value of the wrong type."""
    return Refusal(
        422, "INVALID_VALUE_FOR_COLUMN", f'Field "{name}" cannot accept the provided value'
    )


def computed(name: str) -> Refusal:
    """Return the refusal of a write to a computed field."""
    return Refusal(
        422,
        "INVALID_VALUE_FOR_COLUMN",
        f'Field "{name}" cannot accept a value because the field is computed',
    )


def no_such_choice(name: str) -> Refusal:
    """Return the refusal of a choice that a select field does not have."""
    return Refusal(
        422,
        "INVALID_MULTIPLE_CHOICE_OPTIONS",
        f'Insufficient permissions to create new select option ""{name}""',
    )
