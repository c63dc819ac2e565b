"""What an application declares."""

from __future__ import annotations

import uuid

from sqlalchemy import ForeignKey, String, Uuid
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from keystead.sqlalchemy import Encrypted


class Base(DeclarativeBase):
    pass


class Person(Base):
    """`name` and `salary` are standard, `email` and `team` equality preserving."""

    __tablename__ = "person"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    name: Mapped[str | None] = mapped_column(Encrypted())
    salary: Mapped[int | None] = mapped_column(Encrypted(int))
    email: Mapped[str | None] = mapped_column(Encrypted())
    team: Mapped[str | None] = mapped_column(Encrypted())
    note: Mapped[str | None] = mapped_column(String(40))
    pets: Mapped[list[Pet]] = relationship(back_populates="owner", passive_updates=False)


class Pet(Base):
    """A key that Python makes, and a composite one would be `Seat`."""

    __tablename__ = "pet"
    id: Mapped[uuid.UUID] = mapped_column(Uuid(), primary_key=True, default=uuid.uuid4)
    nickname: Mapped[str | None] = mapped_column(Encrypted())
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("person.id"))
    owner: Mapped[Person | None] = relationship(back_populates="pets")


class Seat(Base):
    __tablename__ = "seat"
    row: Mapped[str] = mapped_column(String(9), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    guest: Mapped[str | None] = mapped_column(Encrypted())


class Note(Base):
    """A key that the database makes."""

    __tablename__ = "note"
    id: Mapped[int] = mapped_column(primary_key=True)
    text: Mapped[str] = mapped_column(Encrypted())
    tag: Mapped[str | None] = mapped_column(Encrypted())


class Elsewhere(Base):
    """A column that nobody configured."""

    __tablename__ = "elsewhere"
    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    text: Mapped[str | None] = mapped_column(Encrypted())


ENCRYPTED = {
    ("person", "name"): "standard",
    ("person", "salary"): "standard",
    ("person", "email"): "equal",
    ("person", "team"): "equal",
    ("pet", "nickname"): "standard",
    ("seat", "guest"): "standard",
    ("note", "text"): "standard",
    ("note", "tag"): "equal",
}
USERS = {"reader": ["readers"], "both": ["all"], "writer": ["writers"], "guest": ["guests"]}
