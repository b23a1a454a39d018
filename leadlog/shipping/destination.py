"""Destinations of shipping, as configured in leadlog.toml or by one URL."""

import difflib
import os
import re
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import attrs

from leadlog.core.doors import parameter
from leadlog.core.errors import SettingsError
from leadlog.core.layout import CATEGORIES

__all__ = ["KINDS", "RESERVED", "Destination", "configured", "from_url", "token_of"]

KINDS: Final = ("elasticsearch", "opensearch", "splunk", "otlp", "s3")
"""Types of destinations."""

RESERVED: Final = ("run", "status", "replay", "forget", "files", "template")
"""Names that cannot be used for a destination: the subcommands of `leadlog ship`."""

_POLICIES: Final = ("plain", "masked", "pseudonymised")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", re.ASCII)
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
_SECRETS: Final = ("token", "password", "api_key", "apikey", "secret", "authorization")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@attrs.frozen(kw_only=True)
class Destination:
    """One destination; each attribute is a key of its table in leadlog.toml.

    Attributes:
        name: The name used in commands.
        type: elasticsearch, opensearch, splunk, otlp or s3.
        url: Address of the destination: http(s)://… or s3://bucket/prefix.
        personal_data: plain, masked or pseudonymised; required.
        index: For elasticsearch, the prefix of index names; for splunk, the index.
        categories: Folders that are shipped; all by default.
        since: First UTC day that is shipped; all by default.
        token_env: Environment variable that holds the token; without it the keyring is asked
            for `leadlog` `ship.<name>`.
        user: For elasticsearch: the token is this user's password; else it is an API key.
        ca: File of certificates to trust instead of the system's.
        insecure_http: Whether http:// to another host is allowed.
        batch_records: Largest number of records in one request.
        batch_bytes: Approximate largest size of one request in bytes.
        timeout_seconds: Longest wait for an answer.
        backfill_per_second: Largest number of records of past days per second; 0 for no limit.
        acknowledge: For splunk: auto, on or off: whether to wait until events are indexed.
        ack_seconds: For splunk: longest wait for indexing before a batch is sent again.
        templates: For elasticsearch: whether index templates are installed at startup.
        region: For s3: region of the bucket.
        endpoint: For s3: URL of a store that is not AWS.
        host: For s3: name of this machine in the store; the host name by default.
    """

    name: str
    type: str
    url: str
    personal_data: str
    index: str = ""
    categories: tuple[str, ...] = CATEGORIES
    since: str = ""
    token_env: str = ""
    user: str = ""
    ca: str = ""
    insecure_http: bool = False
    batch_records: int = 1000
    batch_bytes: int = 4_000_000
    timeout_seconds: float = 30.0
    backfill_per_second: float = 0.0
    acknowledge: str = "auto"
    ack_seconds: float = 120.0
    templates: bool = True
    region: str = ""
    endpoint: str = ""
    host: str = ""


_FIELDS: Final = {field.name: field for field in attrs.fields(Destination)}


def configured(tables: Mapping[str, Any]) -> dict[str, Destination]:
    """Return the destinations of the setting `ship` by name.

    Raises:
        SettingsError: A table is invalid; the message names it and the remedy.
    """
    found = {}
    for name, table in tables.items():
        if not isinstance(table, Mapping):
            raise SettingsError(f"ship.{name} is {table!r}; write it as a table, [ship.{name}]")
        found[name] = _made(name, dict(table), f"[ship.{name}]")
    return found


def from_url(url: str, personal_data: str | None = None) -> Destination:
    """Return the destination of a URL such as `elasticsearch+http://127.0.0.1:9200/leadlog`.

    Keys of a table in leadlog.toml may follow as a query (`?batch_records=500`).

    Args:
        url: The URL.
        personal_data: plain, masked or pseudonymised.

    Raises:
        SettingsError: The URL is invalid; the message names the remedy.
    """
    parts = urlsplit(url)
    kind, _, scheme = parts.scheme.partition("+")
    if kind not in KINDS or (kind == "s3") == bool(scheme):
        raise SettingsError(
            f"cannot ship to {_without_secrets(url)!r}; write "
            "elasticsearch+https://host:9200/index, opensearch+https://…, "
            "splunk+https://host:8088, otlp+https://host:4318 or s3://bucket/prefix"
        )
    table: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    clean = parts._replace(query="", fragment="")
    base = clean.geturl()
    if scheme:
        path = parts.path.strip("/")
        if kind in ("elasticsearch", "opensearch") and path:
            prefix, _, index = f"/{path}".rpartition("/")
            table.setdefault("index", index)
            clean = clean._replace(path=prefix)
        base = clean._replace(scheme=scheme).geturl()
    if "categories" in table:
        table["categories"] = table["categories"].split(",")
    if personal_data is not None:
        table["personal_data"] = personal_data
    for name, field in _FIELDS.items():
        if name in table and field.type in (int, float, bool):
            table[name] = _number(name, table[name], field.type)
    name = f"{kind}-{blake2b(base.encode(), digest_size=4).hexdigest()}"
    table = {"type": kind, "url": base, **table}
    remedy = parameter("personal_data", "--personal-data")
    return _made(name, table, parameter("url", "--to"), remedy=remedy)


def _number(name: str, text: str, kind: Any) -> Any:
    if kind is bool:
        if text not in ("true", "false"):
            raise SettingsError(
                f"{parameter('url', '--to')}: {name} is {text!r}; write true or false"
            )
        return text == "true"
    try:
        return kind(text)
    except ValueError as error:
        raise SettingsError(
            f"{parameter('url', '--to')}: {name} is {text!r}; write a number"
        ) from error


def _made(
    name: str, table: dict[str, Any], where: str, *, remedy: str = "personal_data"
) -> Destination:
    if _NAME.fullmatch(name) is None or name in RESERVED:
        raise SettingsError(
            f"a destination cannot be called {name!r}; use letters, digits, - and _, and none of "
            f"{', '.join(RESERVED)}"
        )
    table = {key.replace("-", "_"): value for key, value in table.items()}
    for key in table:
        if key in _SECRETS:
            raise SettingsError(
                f"{where}: {key} is a secret that does not belong there; put it into an "
                "environment variable and name that with token_env, or store it with "
                f"`keyring set leadlog ship.{name}`"
            )
        if key not in _FIELDS or key == "name":
            near = difflib.get_close_matches(key, _FIELDS, 1, 0.5)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise SettingsError(f"{where}: unknown key {key!r}{hint}")
    if "path" in table:
        table["index"] = table.pop("path")
    for key in ("type", "url"):
        if not table.get(key):
            raise SettingsError(f"{where}: {key} is missing; see `leadlog ship --help`")
    if table["type"] not in KINDS:
        raise SettingsError(f"{where}: type is {table['type']!r}; there are {', '.join(KINDS)}")
    if table.get("personal_data") not in _POLICIES:
        said = table.get("personal_data")
        raise SettingsError(
            f"{where}: {'personal_data is missing' if said is None else f'no policy {said!r}'}; "
            f"names and addresses leave this machine, so say how with {remedy}: "
            f"{', '.join(_POLICIES)}"
        )
    _check_types(table, where)
    destination = Destination(
        name=name,
        **{
            **table,
            "url": table["url"].rstrip("/"),
            "categories": tuple(table.get("categories") or CATEGORIES),
        },
    )
    _check_values(destination, where)
    return destination


def _check_types(table: Mapping[str, Any], where: str) -> None:
    for key, value in table.items():
        kind: Any = _FIELDS[key].type
        if key == "categories":
            fits = isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
        elif kind is float:
            fits = isinstance(value, int | float) and not isinstance(value, bool)
        else:
            fits = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        if not fits:
            wanted = "a list of names" if key == "categories" else f"a {kind.__name__}"
            raise SettingsError(f"{where}: {key} is {value!r}; write {wanted}")


def _check_values(one: Destination, where: str) -> None:
    parts = urlsplit(one.url)
    if parts.username or parts.password:
        raise SettingsError(
            f"{where}: the URL has a user or a password in it, which others could read; set user "
            "and token_env instead"
        )
    schemes = ("s3",) if one.type == "s3" else ("http", "https")
    if parts.scheme not in schemes or not parts.hostname:
        raise SettingsError(
            f"{where}: url is {_without_secrets(one.url)!r}; write {' or '.join(schemes)}://host…"
        )
    if one.endpoint:
        parts = urlsplit(one.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
            raise SettingsError(
                f"{where}: endpoint is {_without_secrets(one.endpoint)!r}; write https://host:port"
            )
    if parts.scheme == "http" and not one.insecure_http and parts.hostname not in _LOOPBACK:
        raise SettingsError(
            f"{where}: {parts.hostname} would get the log unencrypted; write https://, or "
            "insecure_http = true if the network is trusted"
        )
    for category in one.categories:
        if category not in CATEGORIES:
            raise SettingsError(
                f"{where}: no category {category!r}; there are {', '.join(CATEGORIES)}"
            )
    if one.since and _DAY.fullmatch(one.since) is None:
        raise SettingsError(f"{where}: since is {one.since!r}; write a UTC day, 2026-11-23")
    if one.acknowledge not in ("auto", "on", "off"):
        raise SettingsError(f"{where}: acknowledge is {one.acknowledge!r}; write auto, on or off")
    if one.ca and not Path(one.ca).is_file():
        raise SettingsError(f"{where}: there is no file {one.ca!r} for ca")
    for key, least in (
        ("batch_records", 1),
        ("batch_bytes", 1024),
        ("timeout_seconds", 0.1),
        ("ack_seconds", 1),
    ):
        if getattr(one, key) < least:
            raise SettingsError(f"{where}: {key} is {getattr(one, key)}; it is at least {least}")
    if one.backfill_per_second < 0:
        raise SettingsError(f"{where}: backfill_per_second is negative; 0 is no limit")
    if one.type in ("elasticsearch", "opensearch"):
        _check_index(one.index, where)


def _check_index(index: str, where: str) -> None:
    bad = index != index.lower() or set(index) & set(' "*\\<|,>/?#:') or index[:1] in "-_+."
    if index and bad:
        raise SettingsError(
            f"{where}: no index may be called {index!r}; use lower-case letters, digits, - and _"
        )


def _without_secrets(url: str) -> str:
    from leadlog_processors.masking import mask_url

    return mask_url(url)


def token_of(
    one: Destination, environment: Mapping[str, str] = os.environ, keyring: Any = None
) -> str:
    """Return a destination's token; empty if it has none.

    Args:
        one: The destination.
        environment: Environment variables.
        keyring: An object with `get_password(service, user)`; by default the package `keyring`,
            where it is installed.

    Raises:
        SettingsError: The variable that `token_env` names is not set.
    """
    if one.token_env:
        token = environment.get(one.token_env, "").strip()
        if not token:
            raise SettingsError(
                f"the environment variable {one.token_env}, which ship.{one.name} names as "
                "token_env, is not set"
            )
        return token
    if keyring is None:
        try:
            import keyring
        except ImportError:
            return ""
    try:
        return keyring.get_password("leadlog", f"ship.{one.name}") or ""
    except Exception:  # noqa: BLE001 - a locked or missing backend raises what it likes
        return ""
