"""Reads the records of an object: all of them, changed ones, or archived ones."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple

from tap_hubspot.client import Client
from tap_hubspot.errors import NotFound, Refused, Unreadable

Record = dict[str, Any]

FRUITLESS_PAGES = 5
"""The number of consecutive pages that are empty, repeated or lead back, after which a list counts as endless."""

LIST_SIZE = 100
"""The most records of a page of a list, or of a batch."""

SEARCH_SIZE = 200
"""Most records that a page of a search has: https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm"""

BATCH_OF_ASSOCIATIONS = 1000
"""The most records whose associations one request can read."""

MOST_REFUSED = 10
"""The most records of an object that HubSpot may refuse alone; if it refuses more, it is the object that fails."""

INLINE_CHARACTERS = 2000
"""Names of properties, as JSON, that still go along with the request for a page.

Servers refuse an address of more than some 8 KB, and HubSpot a search whose body has more than 3,000 characters.
Longer lists of names go into a request of their own for every 100 records.
"""


class Walk(NamedTuple):
    """Reads the records of an object with the selected properties."""

    client: Client
    object: str
    """`companies`, `contacts` or `deals`."""
    modified: str
    """The property with the time of a record's last change."""
    properties: Sequence[str]
    refused: dict[str, str]
    """Receives why records could not be read, by id."""

    @property
    def path(self) -> str:
        """Return the path of the object's records."""
        return f"/crm/v3/objects/{self.object}"

    @property
    def _is_inline(self) -> bool:
        return len(json.dumps(self.properties)) <= INLINE_CHARACTERS

    def last_change(self) -> datetime | None:
        """Return the time of the last change of any record, by HubSpot's clock; None in an account without
        records.
        """
        body = {
            "sorts": [{"propertyName": self.modified, "direction": "DESCENDING"}],
            "properties": [self.modified],
            "limit": 1,
        }
        page = _results(f"POST {self.path}/search", self.client.post(f"{self.path}/search", body))
        if not page:
            return None
        try:
            return datetime.fromisoformat(page[0]["properties"][self.modified]).astimezone(UTC)
        except (KeyError, OverflowError, TypeError, ValueError):
            raise Unreadable(
                f"POST {self.path}/search answered a record without {self.modified}: report it with this line."
            ) from None

    def listed(self, *, archived: bool) -> Iterator[Sequence[Record]]:
        """Yield pages of all records that are archived, or of all that are not, in HubSpot's own order."""
        params: dict[str, str | int] = {"limit": LIST_SIZE, "archived": str(archived).lower()}
        if self._is_inline and self.properties:
            params["properties"] = ",".join(self.properties)
        for page in pages(self.client, self.path, params):
            yield self._complete(page, archived=archived)

    def changed(self, since: datetime) -> Iterator[Sequence[Record]]:
        """Yield pages of the records that changed at or after a moment, by ascending id.

        Each page is a separate search for ids after those of the page before. Therefore the limit of 10,000
        results does not apply, however many records changed at one moment, and a record that changes
        meanwhile shifts no other one.
        """
        last = 0
        while True:
            filters = [
                {
                    "propertyName": self.modified,
                    "operator": "GTE",
                    "value": str(int(since.timestamp() * 1000)),
                },
                {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)},
            ]
            body = {
                "filterGroups": [{"filters": filters}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": list(self.properties) if self._is_inline else ["hs_object_id"],
                "limit": SEARCH_SIZE,
            }
            answer = self.client.post(f"{self.path}/search", body)
            page = _results(f"POST {self.path}/search", answer)
            ids = [last, *(int(record["id"]) for record in page)]
            if any(one >= other for one, other in pairwise(ids)):
                raise Unreadable(
                    f"POST {self.path}/search did not sort by id, so that records could be missed: "
                    "run again, and report it with this line if it goes on."
                )
            last = ids[-1]
            yield self._complete(page, archived=False)
            if not page or "paging" not in answer:
                return

    def _complete(self, page: Sequence[Record], *, archived: bool) -> Sequence[Record]:
        """Return the records with their properties; if an address cannot hold all names, by a batch."""
        return page if self._is_inline else self.read([record["id"] for record in page], archived=archived)

    def read(self, ids: Sequence[str], *, archived: bool = False) -> list[Record]:
        """Return the records with these ids that exist and are not refused."""
        path, body = f"{self.path}/batch/read", {"properties": list(self.properties)}
        inputs = [{"id": id_} for id_ in ids]
        answers = self._answers(path, inputs, LIST_SIZE, body, archived=str(archived).lower())
        return [record for answer in answers for record in _results(f"POST {path}", answer)]

    def associated(self, ids: Sequence[str], other: str) -> Mapping[str, Sequence[Record]]:
        """Return the associations of records: by id, the ids of the others, each with its types of
        associations.

        https://developers.hubspot.com/docs/api-reference/latest/crm/associations/overview
        """
        path = f"/crm/v4/associations/{self.object}/{other}/batch/read"
        found: dict[str, list[Record]] = {id_: [] for id_ in ids}
        following = [{"id": id_} for id_ in found]
        while following:
            inputs, following = following, []
            for answer in self._answers(path, inputs, BATCH_OF_ASSOCIATIONS, {}):
                for result in _results(f"POST {path}", answer):
                    id_ = str(result["from"]["id"])
                    known = found.setdefault(id_, [])
                    new = [
                        {
                            "id": str(each["toObjectId"]),
                            "types": [kind["typeId"] for kind in each["associationTypes"]],
                        }
                        for each in result["to"]
                    ]
                    is_fruitless = all(one in known for one in new)
                    known += new
                    after = _next(result)
                    if after and is_fruitless:
                        self._refuse(id_, f"POST {path} goes on without anything new for {self.object} {id_}")
                    elif after:
                        following.append({"id": id_, "after": after})
        return found

    def _answers(
        self, path: str, inputs: Sequence[Record], size: int, body: Record, **params: str
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the answers for the inputs, at most `size` in a request. A batch that fails for some of them is
        halved until each of these stands alone. One that is not found then is left out, as by `_error`.
        """
        waiting = [inputs] if inputs else []
        while waiting:
            some, problem, is_found = waiting.pop(), None, True
            try:
                answer, count = self.client.post_some(path, some[:size], body, **params)
                problem = _error(path, answer)
            except Refused as refusal:
                count, problem, is_found = size, str(refusal), not isinstance(refusal, NotFound)
            asked, rest = some[:count], some[count:]
            waiting += [rest] if rest else []
            middle = len(asked) // 2
            if not problem:
                yield answer
            elif middle:
                waiting += [asked[middle:], asked[:middle]]
            elif is_found:
                self._refuse(asked[0]["id"], problem)

    def _refuse(self, id_: str, problem: str) -> None:
        """Note why a record cannot be read. Raises Unreadable if there are so many that the object fails."""
        self.refused[id_] = problem
        if len(self.refused) > MOST_REFUSED:
            count = len(self.refused)
            raise Unreadable(f"{count} records could not be read: run again. Of the last, {id_}: {problem}")


def pages(client: Client, path: str, params: Mapping[str, str | int]) -> Iterator[list[Record]]:
    """Yield all pages of a list. Raises Unreadable if pages without anything new do not end."""
    after, last, cursors, fruitless = "", set[str](), set[str](), 0
    while True:
        answer = client.get(path, {**params, **({"after": after} if after else {})})
        page = _results(f"GET {path}", answer)
        yield page
        after = _next(answer)
        if not after:
            return
        ids = {str(record.get("id")) for record in page}
        fruitless = fruitless + 1 if ids <= last or after in cursors else 0
        if fruitless == FRUITLESS_PAGES:
            raise Unreadable(f"GET {path} has answered {fruitless} pages without anything new: run again.")
        last = ids
        cursors.add(after)


def _results(asked: str, answer: Mapping[str, Any]) -> list[Record]:
    """Return the results of an answer, with their ids as texts. Raises Unreadable."""
    results = answer.get("results")
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise Unreadable(f"{asked} answered no list of results: if this goes on, report it with this line.")
    for each in results:
        if isinstance(each.get("id"), int):
            each["id"] = str(each["id"])
    return results


def _next(answer: Mapping[str, Any]) -> str:
    """Return the cursor of the next page, empty after the last. Raises Unreadable."""
    try:
        following = (answer.get("paging") or {}).get("next") or {}
        return str(following.get("after") or "")
    except AttributeError:
        raise Unreadable(
            f"HubSpot answered a cursor of an unknown shape ({answer['paging']!r:.100}): report it with this line."
        ) from None


def _error(path: str, answer: Mapping[str, Any]) -> str | None:
    """Return why a batch failed for some records, except for those that it did not find: they were deleted
    meanwhile, or have no associations.
    """
    for error in answer.get("errors") or ():
        if error.get("category") != "OBJECT_NOT_FOUND":
            words = " ".join(str(error.get("message") or "no text").split())
            return f"POST {path} failed for some records ({words[:300]})"
    return None
