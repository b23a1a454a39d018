"""Columns of PostgreSQL's own types verify: they are logged as the text that the database shows."""

import datetime as dt
import ipaddress
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg
from sqlalchemy.orm import Session, registry

import leadlog
from leadlog.verification import verify

DAY = dt.date(2026, 11, 23)
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
VALUES: list[tuple[Any, Any]] = [
    (pg.INET, "10.0.0.2"),
    (pg.INET, ipaddress.ip_address("10.0.0.2")),
    (pg.INET, "10.0.0.2/8"),
    (pg.INET, ipaddress.ip_interface("10.0.0.2/8")),
    (pg.INET, "2001:DB8::1"),
    (pg.CIDR, "10.0.0.0/8"),
    (pg.CIDR, ipaddress.ip_network("2001:db8::/32")),
    (pg.MACADDR, "08:00:2b:01:02:03"),
    (pg.INT4RANGE, pg.Range(1, 5)),
    (pg.INT4RANGE, pg.Range(1, 4, bounds="[]")),
    (pg.INT4RANGE, pg.Range(empty=True)),
    (pg.INT4RANGE, pg.Range(5, 5)),
    (pg.INT4RANGE, pg.Range(4, 5, bounds="()")),
    (pg.INT4RANGE, pg.Range(None, 5, bounds="(]")),
    (pg.NUMRANGE, pg.Range(Decimal("1.5"), Decimal("1.5"), bounds="[]")),
    (pg.NUMRANGE, pg.Range(Decimal("1.5"), None)),
    (pg.DATERANGE, pg.Range(DAY, DAY + dt.timedelta(7))),
    (pg.TSTZRANGE, pg.Range(NOON, None)),
    (pg.INT4MULTIRANGE, [pg.Range(1, 3), pg.Range(7, 9)]),
    (pg.INT4MULTIRANGE, [pg.Range(7, 9), pg.Range(1, 3), pg.Range(3, 5), pg.Range(2, 2)]),
    (pg.DATEMULTIRANGE, [pg.Range(DAY, None), pg.Range(None, DAY)]),
    (pg.INTERVAL, dt.timedelta(days=1, seconds=7, microseconds=5)),
    (pg.MONEY, "$12.50"),
    (pg.OID, 7),
    (pg.ARRAY(pg.INET), ["10.0.0.2", "10.0.0.3"]),
    (pg.ARRAY(sa.Integer), [[1, 2], [3, 4]]),
    (pg.JSONB, {"b": 1, "a": [1.0, None]}),
    (pg.TSVECTOR, "'cat':1 'dog':2"),
    (pg.ENUM("low", "high", name="level"), "low"),
    (pg.TIME(timezone=True), dt.time(12, 30, tzinfo=dt.UTC)),
    (sa.LargeBinary, b"\x00\xff"),
    (sa.Float, float("inf")),
    (sa.Numeric, Decimal("NaN")),
]


def test_types_of_postgresql_verify(postgres_database: str, tmp_path: Path) -> None:
    """Values added by flush and by Core verify in any form; changes behind the log's back show."""
    engine = sa.create_engine(postgres_database)
    mapped, metadata = registry(), sa.MetaData()
    columns = [sa.Column(f"c{place}", kind) for place, (kind, _) in enumerate(VALUES)]
    table = sa.Table("things", metadata, sa.Column("id", sa.Integer, primary_key=True), *columns)
    thing: Any = type("Thing", (), {})
    mapped.map_imperatively(thing, table)
    metadata.create_all(engine)
    leadlog.configure(directory=tmp_path / "log")
    handle = leadlog.capture(engine, thing)
    values = {f"c{place}": value for place, (_, value) in enumerate(VALUES)}
    with Session(engine) as session:
        one = thing()
        one.id = 1
        for name, value in values.items():
            setattr(one, name, value)
        session.add(one)
        session.commit()
        session.execute(sa.insert(table).values(id=2, **values))
        session.commit()
    handle.release()
    assert leadlog.flush()
    report = verify(tmp_path / "log", postgres_database, entity="Thing", table="things")
    assert [(one.column, one.logged, one.found) for one in report.differences] == []
    assert report.rows_equal == 2

    others = {
        "10.0.0.2": "10.0.0.9",
        "10.0.0.2/8": "10.0.0.2/9",
        pg.Range(1, 4, bounds="[]"): "[1,4)",
        pg.Range(5, 5): "[5,6)",
    }
    changed = {}
    for place, (_, value) in enumerate(VALUES):
        if isinstance(value, str | pg.Range) and value in others:
            changed[f"c{place}"] = f"'{others.pop(value)}'"
        elif isinstance(value, list) and isinstance(value[0], pg.Range):
            changed[f"c{place}"] = "'{}'"
        elif value == ["10.0.0.2", "10.0.0.3"]:
            changed[f"c{place}"] = "'{10.0.0.2}'"
    assert len(changed) == 8
    with engine.begin() as connection:
        pairs = ", ".join(f"{column} = {value}" for column, value in changed.items())
        connection.exec_driver_sql(f"UPDATE things SET {pairs} WHERE id = 1")
    engine.dispose()
    report = verify(tmp_path / "log", postgres_database, entity="Thing", table="things")
    assert {one.column for one in report.differences} == set(changed)
    assert {one.key for one in report.differences} == {"1"}
