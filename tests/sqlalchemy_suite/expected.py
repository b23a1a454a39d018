"""The tests of SQLAlchemy whose outcome capture may change, each with the reason.

A test that is not here and differs fails `make sqlalchemy-tests`, and so does one that is here
and does not differ.
"""

EXPECTED: dict[str, str] = {}
