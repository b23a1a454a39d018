"""The documents of a data set: Croissant metadata, a data set card and a datasheet."""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from leadlog.training.targets import Target, target_named

__all__ = ["COLUMNS", "card", "croissant", "datasheet"]

COLUMNS: Final = {
    "started_at": "When the run began (UTC). For the order of time only; not a feature.",
    "group": "Rows with the same number belong to one session. Not a feature.",
    "weight": "How many runs the row stands for (1 / sample_rate). Not a feature: it reveals "
    "failures and slow runs, which sampling keeps.",
    "label": "The target.",
}
"""Descriptions of the columns that are not features."""

_CONTEXT: Final = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty"),
            *("fileObject", "fileSet", "format", "includes", "jsonPath", "key", "md5"),
            *("parentField", "path", "recordSet", "references", "regex", "repeated", "replace"),
            *("samplingRate", "separator", "source", "subField", "transform"),
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "isLiveDataset": "cr:isLiveDataset",
    "sc": "https://schema.org/",
}


def _columns(target: Target) -> dict[str, tuple[str, str]]:
    """Return the description and the Croissant type of each column."""
    found = {name: (text, "sc:Float") for name, text in COLUMNS.items()}
    found["started_at"] = COLUMNS["started_at"], "sc:DateTime"
    found["group"] = COLUMNS["group"], "sc:Integer"
    if target.kind == "binary":
        found["label"] = target.text, "sc:Integer"
    else:
        found["label"] = target.text, "sc:Float"
    for one in target.features:
        found[one.name] = one.text, "sc:Text" if one.kind == "category" else "sc:Float"
    return found


def croissant(manifest: Mapping[str, Any]) -> bytes:
    """Return `croissant.json` (Croissant 1.0, JSON-LD) for a manifest."""
    target = target_named(manifest["target"]["name"])
    files = manifest["files"]
    document = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "name": f"leadlog-{target.name}",
        "description": f"Runs of a lead store, each as it was known when it began. {target.text}",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "datePublished": manifest["bounds"]["last"][:10],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": one["name"],
                "name": one["name"],
                "contentUrl": one["name"],
                "contentSize": f"{one['bytes']} B",
                "encodingFormat": "application/x-parquet",
                "sha256": one["sha256"],
            }
            for one in files
        ],
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": one["part"],
                "name": one["part"],
                "description": f"The examples of the part {one['part']}.",
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"{one['part']}/{name}",
                        "name": f"{one['part']}/{name}",
                        "description": text,
                        "dataType": kind,
                        "source": {
                            "fileObject": {"@id": one["name"]},
                            "extract": {"column": name},
                        },
                    }
                    for name, (text, kind) in _columns(target).items()
                ],
            }
            for one in files
        ],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _size(rows: int) -> str:
    for most, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K")):
        if rows < most:
            return name
    return "100K<n<1M" if rows < 1_000_000 else "1M<n<10M"


def card(manifest: Mapping[str, Any]) -> bytes:
    """Return `README.md`, a data set card in Hugging Face's format, for a manifest."""
    target = target_named(manifest["target"]["name"])
    files = manifest["files"]
    task = "tabular-classification" if target.kind == "binary" else "tabular-regression"
    parts = "\n".join(f"      - split: {one['part']}\n        path: {one['name']}" for one in files)
    rows = [
        (one["part"], one["rows"], _number(one["label_mean"]), one["first"], one["last"])
        for one in files
    ]
    columns = [(f"`{name}`", text) for name, (text, _) in _columns(target).items()]
    text = f"""---
pretty_name: "leadlog: {target.name}"
license: other
language: en
task_categories:
  - {task}
tags:
  - tabular
  - leadlog
size_categories:
  - {_size(sum(one["rows"] for one in files))}
configs:
  - config_name: default
    data_files:
{parts}
---

# leadlog: {target.name}

{target.text}

Each row is one run of an operation, as it was known when the run began: every feature comes from
runs that had ended by then. The parts follow each other in time, with {manifest["embargo_s"]:g} s
left out between them, and share no {", ".join(manifest["groups"]) or "group by choice"}.

{_table(("part", "rows", "mean label", "first", "last"), rows)}

## Columns

{_table(("column", "holds"), columns)}

## Use

Train on the features only, weighted by `weight`; tune on `calibration`; evaluate on `test` once.
`leadlog learn` does that, and publishes a model only if it beats the baselines. How leakage makes a
model look better than it is: docs/explanation/training.md of leadlog.

Hashes, bounds and versions are in `manifest.json`; how it was collected, and what it must not be
used for, in `DATASHEET.md`.
"""
    return text.encode()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def datasheet(manifest: Mapping[str, Any]) -> bytes:
    """Return `DATASHEET.md` for a manifest (after "Datasheets for Datasets")."""
    target = target_named(manifest["target"]["name"])
    dropped = manifest["dropped"]
    sources = [
        (one["category"], one["date"], one["events"], f"`{one['sha256'][:16]}`")
        for one in manifest["sources"]
    ]
    text = f"""# Datasheet

## Motivation

To predict, before a run begins: {target.text[0].lower()}{target.text[1:]}

## Composition

Rows are runs of operations of one installation of leadlog, from
{manifest["bounds"]["first"]} to {manifest["bounds"]["last"]}.
It contains no names, addresses, numbers, ids or texts of any record; operations with fewer than
20 training examples, or with a name that is not a plain dotted one, are `other`. `group` renumbers
sessions.

Left out: {dropped["unlabelled"]} runs without a label, {dropped["embargo"]} in an embargo,
{dropped["shared_groups"]} whose session, or one of whose groups, is in a later part, too.

## Collection

From the log's own records, which applications wrote as they ran. Sampled records represent
`weight` runs. The content of each source, by the day of the file:

{_table(("category", "day", "records", "SHA-256 of what was read"), sources)}

Persons that had been erased from the log by then: {len(manifest["erasures"])} erasures.

## Labels

Version {manifest["target"]["version"]}. As SQL over the runs:

```sql
{target.label}
```

Of the runs where:

```sql
{target.population}
```

## Features

SQL version {manifest["sql_version"]}. Only of runs that ended before the run began; the list of
possible features is explicit, so values that a caller adds to a record (`extra`, `context`) are
never used.

## Uses

For models of this installation. Do not use it to judge persons: it says nothing about them. A later
erasure makes it stale: `leadlog dataset check` reports that.

## Maintenance

Make it again with `leadlog dataset`; the same log yields the same bytes.
"""
    return text.encode()
