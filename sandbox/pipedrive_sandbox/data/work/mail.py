"""Calls and mail: both belong to the user who made or received them."""

from random import Random
from typing import Any

from pipedrive_sandbox.data.draft import Draft, Record
from pipedrive_sandbox.data.draws import pick, weighted
from pipedrive_sandbox.data.setup.reference import seeded_uuid
from pipedrive_sandbox.data.times import HOUR

_LOGGED_CALLS = 0.75
_MAILBOXES = 3
_FOLDERS = {"inbox": 0.5, "sent": 0.2, "archive": 0.25, "drafts": 0.05}
_SUBJECTS = (
    "Proposta comercial",
    "Re: contrato",
    "Agenda da próxima semana",
    "Invoice question",
    "Dúvida 🙂",
)
_ANSWERS = {"connected": 0.5, "no_answer": 0.25, "left_message": 0.1, "busy": 0.1, "wrong_number": 0.05}


def call_logs(draft: Draft) -> list[Record]:
    """GET /v1/callLogs of all users together: most of the calls that were made."""
    rng = draft.rng("call logs")
    phones = {row["id"]: row["phones"][0]["value"] for row in draft.records["persons"] if row["phones"]}
    rows = []
    for activity in draft.records["activities"]:
        moment = activity["marked_as_done_time"]
        if activity["type"] != "call" or moment is None or rng.random() >= _LOGGED_CALLS:
            continue
        seconds, outcome = int(rng.random() ** 2 * 1800), weighted(rng, _ANSWERS)
        rows.append(
            {
                "id": f"CA{rng.getrandbits(112):028x}",
                "activity_id": activity["id"],
                "person_id": activity["person_id"],
                "org_id": activity["org_id"],
                "deal_id": activity["deal_id"],
                "lead_id": activity["lead_id"],
                "subject": activity["subject"],
                "duration": str(seconds if outcome == "connected" else 0),
                "outcome": outcome,
                "from_phone_number": "+55 11 4002-8922" if rng.random() < 0.9 else None,
                "to_phone_number": phones.get(activity["person_id"], "+55 11 90000-0000"),
                "has_recording": rng.random() < 0.1,
                "start_time": moment - seconds,
                "end_time": moment,
                "user_id": activity["owner_id"],
                "note": "Ligação registrada" if rng.random() < 0.2 else None,
            }
        )
    return rows


def mail_threads_and_messages(draft: Draft) -> tuple[list[Record], list[Record]]:
    """GET /v1/mailbox/mailThreads of the users who have mail, and the messages in them."""
    rng, season = draft.rng("mail"), draft.season
    people = [person for person in draft.records["persons"] if person["emails"]]
    deals: dict[int, Record] = {}
    for deal in draft.records["deals"]:
        if deal["status"] == "open":
            deals[deal["person_id"]] = deal
    threads: list[Record] = []
    messages: list[Record] = []
    for user in [user for user in draft.records["users"] if user["active_flag"]][:_MAILBOXES]:
        for _ in range(max(10, draft.deals // 40)):
            person, folder = pick(rng, people), weighted(rng, _FOLDERS)
            moment = season.edited(rng, person["add_time"], 300, 1.0)
            own = _messages(rng, len(threads) + 1, len(messages), user, person, folder, moment, draft.now)
            about = deals.get(person["id"]) if rng.random() < 0.4 else None
            threads.append(_thread(len(threads) + 1, folder, own, about))
            messages += own
    return threads, messages


def _messages(
    rng: Random, thread: int, taken: int, user: Record, person: Record, folder: str, moment: int, now: int
) -> list[Record]:
    """One to four messages, back and forth; a draft and a mail never answered are alone."""
    rows: list[Record] = []
    subject = f"{pick(rng, _SUBJECTS)} - {person['name']}"
    sent = folder in ("sent", "drafts")
    for _ in range(1 if sent else 1 + int(rng.random() ** 2 * 4)):
        ours, theirs = _party(user, None, moment), _party(person, person["id"], moment)
        rows.append(
            {
                "id": taken + len(rows) + 1,
                "from": [ours if sent else theirs],
                "to": [theirs if sent else ours],
                "cc": [],
                "bcc": [],
                "body_url": f"https://mail.sandbox.example/{seeded_uuid(rng)}",
                "account_id": f"{user['id']:x}",
                "user_id": user["id"],
                "mail_thread_id": thread,
                "subject": subject,
                "snippet": "Olá, segue conforme combinado" if rng.random() < 0.9 else "",
                "mail_tracking_status": pick(rng, ("opened", "not opened", None)) if sent else None,
                "mail_link_tracking_enabled_flag": 0,
                "read_flag": int(rng.random() < 0.8),
                "draft": None,
                "draft_flag": int(folder == "drafts"),
                "synced_flag": 1,
                "deleted_flag": 0,
                "has_body_flag": 1,
                "sent_flag": int(sent),
                "sent_from_pipedrive_flag": int(sent and rng.random() < 0.5),
                "smart_bcc_flag": 0,
                "message_time": moment,
                "add_time": moment,
                "update_time": moment,
                "has_attachments_flag": int(rng.random() < 0.2),
                "has_inline_attachments_flag": 0,
                "has_real_attachments_flag": 0,
            }
        )
        later = moment + 600 + int(rng.random() * 72 * HOUR)
        if later > now:
            break
        moment, sent = later, not sent
    return rows


def _party(who: Record, person_id: int | None, moment: int) -> dict[str, Any]:
    address = who["email"] if person_id is None else who["emails"][0]["value"]
    return {
        "id": who["id"],
        "name": who["name"],
        "latest_sent": False,
        "email_address": address,
        "message_time": moment * 1000,
        "linked_person_id": person_id,
        "linked_person_name": who["name"] if person_id else "",
        "linked_organization_id": who["org_id"] if person_id else None,
        "mail_message_party_id": who["id"],
    }


def _thread(number: int, folder: str, messages: list[Record], deal: Record | None) -> Record:
    """What a thread says about its messages."""
    first, last = messages[0], messages[-1]
    sent = [row["message_time"] for row in messages if row["sent_flag"]]
    received = [row["message_time"] for row in messages if not row["sent_flag"]]
    return {
        "id": number,
        "parties": {"to": last["to"], "from": last["from"]},
        "drafts_parties": [],
        "folders": [folder] if folder != "inbox" or not sent else ["inbox", "sent"],
        "account_id": first["account_id"],
        "user_id": first["user_id"],
        "version": len(messages),
        "subject": first["subject"],
        "snippet": last["snippet"],
        "snippet_draft": last["snippet"] if folder == "drafts" else None,
        "snippet_sent": last["snippet"] if last["sent_flag"] else "",
        "message_count": len(messages),
        "mail_tracking_status": last["mail_tracking_status"],
        "mail_link_tracking_enabled_flag": 0,
        "has_attachments_flag": max(row["has_attachments_flag"] for row in messages),
        "has_inline_attachments_flag": 0,
        "has_real_attachments_flag": 0,
        "has_draft_flag": int(folder == "drafts"),
        "has_sent_flag": int(bool(sent)),
        "read_flag": min(row["read_flag"] for row in messages),
        "archived_flag": int(folder == "archive"),
        "deleted_flag": 0,
        "shared_flag": 0,
        "synced_flag": 1,
        "external_deleted_flag": 0,
        "smart_bcc_flag": 0,
        "first_message_to_me_flag": int(not first["sent_flag"]),
        "last_message_timestamp": last["message_time"],
        "first_message_timestamp": first["message_time"],
        "last_message_sent_timestamp": max(sent, default=None),
        "last_message_received_timestamp": max(received, default=None),
        "add_time": first["message_time"],
        "update_time": last["message_time"],
        "deal_id": deal["id"] if deal else None,
        "deal_status": deal["status"] if deal else None,
        "lead_id": None,
        "all_messages_sent_flag": int(not received),
    }
