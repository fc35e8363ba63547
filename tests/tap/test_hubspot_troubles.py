"""The HubSpot tap: errors, authentication, and servers that misbehave."""

from __future__ import annotations

import gzip
import json

import pytest
from pipedrive_sandbox.hubspot.server import App, Limits
from pipedrive_sandbox.hubspot.testing import HubspotSandbox
from tap_hubspot import bounds, client
from tap_hubspot.auth import AccessToken, OAuth
from tap_hubspot.client import Client
from tap_hubspot.errors import HubspotError, Unreadable

from .harness import RESET, Asked, Say, fake, say
from .hubspot_runs import OBJECTS, Json, catalog_of, catalog_without_account, everything, replay, run
from .test_bounds import ENDLESS, LARGE, MB, Answer, sockets


def test_a_missing_scope_costs_one_stream_and_is_reported_at_the_end(sleeps: list[float]) -> None:
    scopes = ["crm.objects.contacts.read", "crm.schemas.contacts.read"]
    with HubspotSandbox(deals=40, without_scopes=scopes) as sandbox:
        result = run(sandbox, catalog=catalog_of(sandbox))
        assert "contacts and deals.associations.contacts could not be read" in str(result.error)
        assert "grant the token the scope crm.schemas.contacts.read or crm.objects.contacts.read" in str(
            result.error
        )
        tables = replay(result)
        assert tables["companies"] == everything(sandbox.portal)["companies"]
        assert tables["owners"]
        without = catalog_of(sandbox, without=["contacts"])
        for entry in without["streams"]:
            for item in entry["metadata"]:
                if item["breadcrumb"] == ["properties", "associations", "properties", "contacts"]:
                    item["metadata"]["selected"] = False
        deals = replay(run(sandbox, catalog=without).good())["deals"]
        assert {frozenset(row["associations"]) for row in deals.values()} == {frozenset({"companies"})}


def test_properties_refused_at_discovery_are_reported(sleeps: list[float]) -> None:
    with HubspotSandbox(deals=30) as sandbox:
        catalog = catalog_of(sandbox)
        (deals,) = (each for each in catalog["streams"] if each["tap_stream_id"] == "deals")
        deals["schema"]["properties"]["properties"]["properties"] = {}
        result = run(sandbox, catalog=catalog)
        assert "The catalog is without the properties of deals" in str(result.error)
        assert not result.records("deals")


def test_a_list_that_always_fails_costs_no_other_list(own: HubspotSandbox) -> None:
    first = run(own).good()
    own.portal.update("contacts", own.portal.listed("contacts")[0], {"city": "Natal"})
    own.portal.update("companies", own.portal.listed("companies")[0], {"city": "Natal"})
    own.trouble(kind="status", status=502, path="/objects/contacts/search")
    second = run(own, first.state)
    assert "contacts could not be read" in str(second.error)
    assert "failed 6 times" in str(second.error)
    assert len(second.records("companies")) == 2
    own.state.faults.clear()
    third = run(own, second.state).good()
    assert {kind: replay(first, second, third)[kind] for kind in OBJECTS} == everything(own.portal)


@pytest.mark.parametrize("kind", ["null", "empty", "html", "status", "burst429"])
def test_temporary_errors_are_retried(own: HubspotSandbox, kind: str) -> None:
    own.trouble(kind=kind, every=3, times=12)
    assert {name: replay(run(own).good())[name] for name in OBJECTS} == everything(own.portal)


def test_a_429_waits_according_to_the_limits_policy(own: HubspotSandbox, sleeps: list[float]) -> None:
    own.trouble(kind="burst429", at=[2])
    run(own).good()
    assert 10.0 in sleeps


def test_searches_are_limited_to_five_per_second() -> None:
    """The clock is real here, because the sandbox counts the requests."""
    with HubspotSandbox(deals=30, limits=Limits()) as sandbox:
        run(sandbox, run(sandbox).good().state).good()
        assert {each.status for each in sandbox.requests("/search")} == {200}


def test_the_daily_limit_ends_the_run_with_one_sentence(own: HubspotSandbox) -> None:
    own.trouble(kind="daily429", path="/objects/contacts")
    result = run(own)
    assert "used up; new ones come at midnight" in str(result.error)
    assert len(own.requests("/objects/contacts")) == 1
    assert not own.requests("/pipelines")


def test_a_wrong_token_is_reported_by_its_variable_and_not_shown(own: HubspotSandbox) -> None:
    result = run(own, access_token="pat-of-somebody-else", catalog=catalog_of(own))
    assert "set a valid one in TAP_HUBSPOT_ACCESS_TOKEN" in str(result.error)
    assert "somebody-else" not in str(result.error)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"access_token": None}, "set access_token"),
        ({"access_token": None, "client_id": "x"}, "set client_secret and refresh_token, too"),
        (
            {"access_token": "pat-na1-…"},
            "Setting access_token has blanks, or characters that no credential has",
        ),
        ({"access_token": None, **vars(App()), "client_secret": "a b"}, "Setting client_secret has blanks"),
    ],
)
def test_incomplete_or_odd_credentials_are_reported(own: HubspotSandbox, settings: Json, words: str) -> None:
    with pytest.raises(HubspotError, match=words):
        run(own, catalog=catalog_of(own), **settings).good()


@pytest.mark.parametrize("url", ["api.hubapi.com", "https://", "ftp://api.hubapi.com", "https://a b.com"])
def test_an_address_that_is_none_is_reported_at_once(url: str, sleeps: list[float]) -> None:
    result = run(url, catalog=json.loads(catalog_without_account()))
    assert "set api_url right" in str(result.error)
    assert not any(sleeps)


def test_spaces_around_a_token_do_not_count(own: HubspotSandbox) -> None:
    assert run(own, access_token=f" {own.token}\n").good().records("owners")


# OAuth


def test_an_expired_oauth_token_is_renewed(own: HubspotSandbox) -> None:
    own.at_request(4, "/objects/", own.state.access_tokens.clear)
    result = run(own, access_token=None, **vars(App())).good()
    assert {kind: replay(result)[kind] for kind in OBJECTS} == everything(own.portal)
    assert 401 in {each.status for each in own.requests("/objects/")}


def test_refused_oauth_credentials_are_reported_with_the_settings_to_check(own: HubspotSandbox) -> None:
    app = {**vars(App()), "refresh_token": "not-this-one"}
    result = run(own, catalog=catalog_of(own), access_token=None, **app)
    assert "TAP_HUBSPOT_REFRESH_TOKEN" in str(result.error)
    assert not any(secret in str(result.error) for secret in ("not-this-one", App().client_secret))


# Servers that misbehave


def answers(request: Asked, **lists: Say) -> Say:
    """Return the answers of an empty account, except the lists given by the last part of their path."""
    return lists.get(request.path.rpartition("/")[2], say({"results": []}))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (say({}), "answered no list of results"),
        (say({"results": "none"}), "answered no list of results"),
        (say({"results": [], "paging": {"next": {"after": "x"}}}), "5 pages without anything new"),
        (say({"results": [{"id": "7"}], "paging": {"next": {"after": "x"}}}), "5 pages without anything new"),
        (say({"message": "no"}, 404), "404 (no)"),
    ],
)
def test_an_answer_without_a_list_is_reported(answer: Say, words: str, sleeps: list[float]) -> None:
    with fake(lambda request: answers(request, owners=answer)) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account()))
    assert words in str(result.error)
    assert "owners could not be read" in str(result.error)


@pytest.mark.parametrize("odd", [{"paging": "x"}, {"paging": {"next": "x"}}, {"results": [{"name": [1]}]}])
def test_definitions_of_an_unknown_shape_are_reported(odd: Json, sleeps: list[float]) -> None:
    with fake(lambda request: answers(request, deals=say({"results": [], **odd}))) as server:
        result = run(server.url)
    assert "deals" in str(result.error)
    assert "report it with this line" in str(result.error) or "run again" in str(result.error)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"])
def test_a_time_out_of_all_range_costs_only_its_object(time: str, sleeps: list[float]) -> None:
    def script(request: Asked) -> Say:
        record = {"id": "1", "properties": {"hs_lastmodifieddate": time}}
        return say({"results": [record] if "objects/deals" in request.path else []})

    with fake(script) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account()))
    assert "as deals could not be read" in str(result.error)
    assert "answered a record without hs_lastmodifieddate" in str(result.error)


def test_a_list_that_goes_in_a_circle_is_reported(sleeps: list[float]) -> None:
    """Each page differs from the one before, so that only the cursors tell."""
    following = {"": "a", "a": "b", "b": "c", "c": "a"}

    def script(request: Asked) -> Say:
        after = request.params.get("after", "")
        if request.number > 50:
            return say({"message": "asked without end"}, 400)
        page = {"results": [{"id": after or "0"}], "paging": {"next": {"after": following[after]}}}
        return answers(request, owners=say(page))

    with fake(script) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account()))
    assert "5 pages without anything new" in str(result.error)


def test_a_redirect_does_not_receive_the_token(sleeps: list[float]) -> None:
    with fake([say({}, 302, Location="http://127.0.0.1:9/")]) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account()))
    assert "set api_url to the right address" in str(result.error)
    assert len(server.asked) == 1


def test_associations_beyond_one_page_are_read_page_by_page(sleeps: list[float]) -> None:
    deal = {"id": "1", "properties": {"hs_lastmodifieddate": "2026-11-20T00:00:00Z"}}

    def companies(request: Asked) -> Say:
        after = json.loads(request.body)["inputs"][0].get("after")
        to = {"toObjectId": 8 if after else 7, "associationTypes": [{"typeId": 341}]}
        paging = {} if after else {"paging": {"next": {"after": "p2"}}}
        return say({"results": [{"from": {"id": "1"}, "to": [to], **paging}]})

    def script(request: Asked) -> Say:
        if "associations/deals/companies" in request.path:
            return companies(request)
        if request.path.startswith("/crm/v3/objects/deals") and request.params.get("archived") != "true":
            return say({"results": [deal]})
        return say({"results": []})

    with fake(script) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account())).good()
    (record,) = result.records("deals")
    assert record["associations"]["companies"] == [{"id": "7", "types": [341]}, {"id": "8", "types": [341]}]


def test_texts_that_postgres_cannot_store_are_cleaned(sleeps: list[float]) -> None:
    texts = {"name": "a\x00b\ud83d", "domain": "😀.com"}

    def script(request: Asked) -> Say:
        record = {"id": "1", "properties": {**texts, "hs_lastmodifieddate": "2026-11-20T00:00:00Z"}}
        return say({"results": [record] if "objects/companies" in request.path else []})

    with fake(script) as server:
        result = run(server.url, catalog=json.loads(catalog_without_account())).good()
    assert {
        (each["properties"]["name"], each["properties"]["domain"]) for each in result.records("companies")
    } == {("a\ufffdb\ufffd", "😀.com")}


# Page size and bounds


@pytest.mark.parametrize("trouble", [Say(504, b"<html>"), say({"message": "too big"}, 500), RESET], ids=str)
@pytest.mark.parametrize("properties", [3, 300], ids=["names in the address", "names in batches"])
def test_pages_become_smaller_if_large_ones_fail(
    sleeps: list[float], trouble: Say | str, properties: int
) -> None:
    names = [f"a_property_with_a_long_name_{number:04}" for number in range(properties)]
    records = [
        {"id": str(number), "properties": {"hs_lastmodifieddate": "2026-11-20T00:00:00Z"}}
        for number in range(1, 331)
    ]
    catalog = json.loads(catalog_without_account())
    (companies,) = (each for each in catalog["streams"] if each["tap_stream_id"] == "companies")
    companies["schema"]["properties"]["properties"]["properties"] = {
        name: {"type": "string"} for name in names
    }
    for entry in catalog["streams"]:
        (root,) = (item for item in entry["metadata"] if not item["breadcrumb"])
        root["metadata"]["selected"] = entry is companies
    sizes: dict[str, list[int]] = {"": [], "/batch/read": [], "/search": []}

    def script(request: Asked) -> Say | str:
        path = request.path.removeprefix("/crm/v3/objects/companies")
        body = json.loads(request.body) if request.body else {}
        if path == "/search" and body["limit"] == 1:
            return say({"results": records[:1]})
        inputs = body.get("inputs", ())
        limit = len(inputs) or int(body.get("limit") or request.params["limit"])
        sizes[path].append(limit)
        if limit > 40:
            return trouble
        if inputs:
            return say({"results": [records[int(each["id"]) - 1] for each in inputs]})
        if request.params.get("archived") == "true":
            return say({"results": []})
        start = int(request.params.get("after", 0))
        if path == "/search":
            start = int(body["filterGroups"][0]["filters"][1]["value"])
        page, following = records[start : start + limit], {"next": {"after": str(start + limit)}}
        return say({"results": page, **({"paging": following} if start + limit < len(records) else {})})

    with fake(script) as server:
        first = run(server.url, catalog=catalog).good()
        second = run(server.url, first.state, catalog=catalog).good()
    assert first.ids("companies") == second.ids("companies") == set(range(1, 331))
    assert sizes[""][:4] == [100, 100, 50, 25]
    used = ["", "/search"] if properties == 3 else ["", "/search", "/batch/read"]
    for path in used:
        assert 25 in sizes[path]
        assert len([size for size in sizes[path] if size > 40]) <= 6  # three in each run


@pytest.fixture
def tight(sleeps: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the deadline to half a second and the largest answer to 2 MB, in place of five minutes and 64 MB."""
    monkeypatch.setattr(bounds, "EXCHANGE_SECONDS", 0.5)
    monkeypatch.setattr(bounds, "LARGEST_BODY", 2 * MB)


@pytest.mark.usefixtures("tight")
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (LARGE["packed"], "an answer of more than 2 MB"),
        (LARGE["no length"], "an answer of more than 2 MB"),
        (ENDLESS["a body byte by byte"], "no complete answer within 0.5 s"),
        (ENDLESS["100 Continue"], "no complete answer within 0.5 s"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_beyond_the_bounds_is_one_sentence(answer: Answer, words: str) -> None:
    for auth in AccessToken("x"), None:
        with sockets(answer) as url:
            one = Client(url, auth or OAuth(url, "id", "secret", "refresh"))
            with pytest.raises(Unreadable, match="failed 6 times") as caught:
                one.get("/crm/v3/owners", {})
        said = str(caught.value)
        assert words in said or (auth is None and "POST /oauth/v3/token" in said)


@pytest.mark.usefixtures("sleeps")
def test_more_objects_than_fit_into_memory_are_reported() -> None:
    many = b'{"results":[' + b",".join([b"{}"] * (client.MOST_VALUES + 1)) + b"]}"
    packed = Say(body=gzip.compress(many, 1), headers={"Content-Encoding": "gzip"})
    with fake([packed]) as server, pytest.raises(Unreadable, match="more than 2,097,152 objects and lists"):
        Client(server.url, AccessToken("x")).get("/crm/v3/owners", {})


def test_a_pass_counts_each_record_once(own: HubspotSandbox) -> None:
    """A record that is restored during the pass is in the list of archived records and in the other one."""
    first = run(own, reconcile=True).good()
    (row,) = (each for each in own.portal.listed("companies")[:1])
    own.portal.archive("companies", row)
    own.at_request(2, "/objects/companies", lambda: own.portal.restore(row))
    second = run(own, first.state, reconcile=True).good()
    count = second.state["bookmarks"]["companies"]["complete_pass_rows"]
    assert count == len(second.ids("companies"))
    versions = [each["version"] for each in second.messages if each["type"] == "RECORD"]
    activated = [each["version"] for each in second.messages if each["type"] == "ACTIVATE_VERSION"]
    assert min(versions) >= min(activated)
