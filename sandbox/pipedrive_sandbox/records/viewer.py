"""Who asks, and what that token may see."""

from dataclasses import dataclass, field
from zlib import crc32

from pipedrive_sandbox.records.model import PARENTS, Id, Row

PARTLY_VISIBLE = (
    *("deals", "leads", "persons", "organizations", "activities", "products", "notes", "files"),
    "projects",
)
"""Entities of which a limited token sees a share only."""


@dataclass
class Viewer:
    """A token: the user it belongs to and the rows that user may not see, by entity."""

    token: str
    user_id: int
    admin: bool
    """Whether the endpoints for administrators answer."""
    share: float = 1.0
    """How much of the partly visible entities the user sees; always the same rows."""
    hidden: dict[str, set[Id]] = field(default_factory=dict)

    @property
    def sees_everything(self) -> bool:
        """Tell whether no row of any entity is invisible."""
        return self.share >= 1 and not self.hidden

    def sees(self, entity: str, row: Row) -> bool:
        """Tell whether the row is visible; children are as visible as their parent."""
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
