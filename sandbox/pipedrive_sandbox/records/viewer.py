"""The user of a token, and what that user may see."""

from dataclasses import dataclass, field
from zlib import crc32

from pipedrive_sandbox.records.model import PARENTS, Id, Row

PARTLY_VISIBLE = (
    *("deals", "leads", "persons", "organizations", "activities", "products", "notes", "files"),
    "projects",
)
"""Entities of which a limited token sees only a share."""


@dataclass
class Viewer:
    """A token's user, and the rows that this user may not see, by entity."""

    token: str
    user_id: int
    admin: bool
    """Whether the user may use the endpoints for administrators."""
    share: float = 1.0
    """The share of the partly visible entities that the user sees; it is always the same rows."""
    hidden: dict[str, set[Id]] = field(default_factory=dict)

    @property
    def sees_everything(self) -> bool:
        """Return whether all rows of all entities are visible."""
        return self.share >= 1 and not self.hidden

    def sees(self, entity: str, row: Row) -> bool:
        """Return whether the row is visible; children are as visible as their parent."""
        return self._sees_id(entity, row["id"]) and (
            entity not in PARENTS or self._sees_id(PARENTS[entity][0], row[PARENTS[entity][1]])
        )

    def _sees_id(self, entity: str, id_: Id) -> bool:
        if id_ in self.hidden.get(entity, ()):
            return False
        return (
            self.share >= 1
            or entity not in PARTLY_VISIBLE
            or crc32(f"{entity}:{id_}".encode()) < self.share * 2**32
        )
