"""The review as a message: as plain text, for Slack, for Teams, and as an e-mail."""

import json
import re
from collections.abc import Callable
from email.message import EmailMessage
from typing import Any, NamedTuple

from analyze.review.gather import Review
from analyze.review.page import page, week_of
from analyze.review.texts import Texts

MOST = 3
"""The number of records of an owner that a message names for each kind."""

LONGEST_NAME = 80
"""The number of characters of a record's name in a message."""

SLACK_BLOCKS, SLACK_TEXT = 45, 2900
"""The most blocks of a message, and characters of a block's text; Slack allows 50 and 3,000."""

TEAMS_BYTES = 24_000
"""The most bytes of a message; Teams allows 28 KB."""


class Span(NamedTuple):
    """A piece of text with an optional link."""

    text: str
    link: str = ""


class Paragraph(NamedTuple):
    """A heading with lines under it."""

    heading: str
    lines: tuple[tuple[Span, ...], ...]


def paragraphs(review: Review, texts: Texts) -> list[Paragraph]:
    """Return the content of the message: the completeness, the movements, and a paragraph for each owner."""
    fresh = [texts.text(review.completeness), *([texts.word("too_old")] if review.is_outdated else [])]
    found = [Paragraph(week_of(review, texts), tuple((Span(each),) for each in fresh))]
    found.append(Paragraph(texts.word("movement"), tuple(_movement(review, texts))))
    found += [_owner(review, texts, owner) for owner in review.owners]
    return (
        found
        if review.owners
        else [*found, Paragraph(texts.word("by_owner"), ((Span(texts.word("nothing")),),))]
    )


def _movement(review: Review, texts: Texts) -> list[tuple[Span, ...]]:
    if not review.bridges:
        return [(Span(texts.word("no_deals")),)]
    lines: list[tuple[Span, ...]] = []
    for bridge in review.bridges:
        steps = [
            f"{texts.text(step.label)} {texts.amount(step)} ({texts.deals(step)})" for step in bridge.steps
        ]
        lines.append((Span(f"{texts.currency(bridge.currency)}: {', '.join(steps)}"),))
    return lines


def _owner(review: Review, texts: Texts, owner: str | None) -> Paragraph:
    lines = []
    for todo in review.todos:
        if records := todo.by_owner.get(owner):
            spans = [Span(f"{texts.text(todo.section.title)}: {texts.number(len(records))}")]
            for record in records[:MOST]:
                name = texts.name(record, LONGEST_NAME)
                spans += [
                    Span(", " if len(spans) > 1 else " — "),
                    Span(name, texts.link(record["kind"], record["id"])),
                ]
            lines.append(tuple(spans))
    return Paragraph(texts.owner(owner), tuple(lines))


def plain(review: Review, texts: Texts) -> str:
    """Return the message as plain text, with the address of each record in parentheses after it."""
    return _plain(review, texts, lambda text: text)


def _plain(review: Review, texts: Texts, escape: Callable[[str], str]) -> str:
    def write(span: Span) -> str:
        return escape(span.text) + (f" ({span.link})" if span.link else "")

    parts = [texts.word("title")]
    for paragraph in paragraphs(review, texts):
        lines = ["".join(map(write, line)) for line in paragraph.lines]
        parts.append("\n".join([escape(paragraph.heading), *(f"- {line}" for line in lines)]))
    return "\n\n".join(parts) + "\n"


def text(review: Review, texts: Texts) -> dict[str, Any]:
    """Return the message for a webhook that takes plain text, such as those of Mattermost and Google Chat.

    Names cannot notify anybody, although these programs interpret `@all` and `<users/all>` in a text.
    """
    calls = str.maketrans({"@": "@\u200b", "<": "‹", ">": "›"})
    return {"text": _plain(review, texts, lambda text: text.translate(calls))}


def slack(review: Review, texts: Texts) -> dict[str, Any]:
    """Return the message in Slack's Block Kit, with a plain text for notifications."""

    def write(span: Span) -> str:
        shown = span.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return f"<{span.link}|{shown.replace('|', '¦')}>" if span.link else shown

    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": texts.word("title")}}
    ]
    said = paragraphs(review, texts)
    for paragraph in said[: SLACK_BLOCKS - 1]:
        lines = [f"*{write(Span(paragraph.heading))}*"]
        lines += ["• " + "".join(map(write, line)) for line in paragraph.lines]
        shown = "\n".join(_fitted(lines, SLACK_TEXT))
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": shown}})
    if len(said) >= SLACK_BLOCKS:
        more = texts.word("more_owners", count=texts.number(len(said) - SLACK_BLOCKS + 1))
        blocks.append({"type": "section", "text": {"type": "mrkdwn", "text": more}})
    return {"text": f"{texts.word('title')}: {week_of(review, texts)}", "blocks": blocks}


def teams(review: Review, texts: Texts) -> dict[str, Any]:
    """Return the message as an Adaptive Card for a webhook of a Teams workflow."""

    def write(span: Span) -> str:
        shown = re.sub(r"([\\`*_{}\[\]()<>#+\-.!|~])", r"\\\1", span.text)
        return f"[{shown}]({span.link})" if span.link else shown

    def block(text: str, **style: Any) -> dict[str, Any]:
        return {"type": "TextBlock", "text": text, "wrap": True, **style}

    body = [block(texts.word("title"), size="Large", weight="Bolder")]
    said, size = paragraphs(review, texts), 0
    for position, paragraph in enumerate(said):
        lines = ["- " + "".join(map(write, line)) for line in paragraph.lines]
        added = [block(write(Span(paragraph.heading)), weight="Bolder"), block("\n".join(lines))]
        # measured as it is sent, where a letter with an accent takes six bytes
        size += len(json.dumps(added))
        if size > TEAMS_BYTES:
            body.append(block(texts.word("more_owners", count=texts.number(len(said) - position))))
            break
        body += added
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    return {
        "type": "message",
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "content": card}],
    }


def email(review: Review, texts: Texts, sender: str, receivers: str) -> EmailMessage:
    """Return the message as an e-mail, with the page as its HTML.

    Args:
        review: The content.
        texts: The texts of its language, with links.
        sender: The address of the sender.
        receivers: The addresses of the receivers, separated by commas.

    Raises:
        ValueError: An address contains an invalid character.
    """
    message = EmailMessage()
    message["Subject"] = f"{texts.word('title')}: {week_of(review, texts)}"
    message["From"] = sender
    message["To"] = receivers
    message.set_content(plain(review, texts))
    message.add_alternative(page(review, texts), subtype="html")
    return message


def _fitted(lines: list[str], longest: int) -> list[str]:
    """Return as many lines as fit, with a mark if some do not."""
    found: list[str] = []
    length = 0
    for line in lines:
        length += len(line) + 1
        if length > longest:
            return [*found, "…"]
        found.append(line)
    return found
