"""A class that the instrumented applications of the tests change."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """The applications' declarative base."""


class Deal(Base):
    """A deal."""

    __tablename__ = "deals"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(unique=True)
    cents: Mapped[int]
