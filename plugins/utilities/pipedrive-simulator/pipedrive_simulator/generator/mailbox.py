"""The mailbox of the token's user: threads with the contacts of some deals."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, NamedTuple

from pipedrive_simulator.account.records import Deal, Json, Person
from pipedrive_simulator.account.records_exchange import MailMessage, MailThread
from pipedrive_simulator.clock import SECONDS_PER_DAY, millis, to_seconds, to_text
from pipedrive_simulator.generator.org_setup import some

if TYPE_CHECKING:
    from pipedrive_simulator.account.account import Account

_SUBJECTS = ("Proposta", "Dúvidas sobre o contrato", "Reunião de apresentação", "Próximos passos")
_SNIPPET = "Olá, segue conforme conversamos."


class _Plan(NamedTuple):
    """The plan of a thread: its folders, and for each message whether the token's user sent it."""

    folders: list[str]
    sent: tuple[bool, ...]
    is_draft: bool = False


# Used in turn, so that even a small mailbox has threads in each folder.
_PLANS = (
    _Plan(["inbox"], (False,)),
    _Plan(["sent"], (True,)),
    _Plan(["archive"], (False, True, False)),
    _Plan(["drafts"], (True,), is_draft=True),
    # A thread with an answer is in two folders.
    _Plan(["inbox", "sent"], (False, True)),
)


def add_mail(account: Account, rng: Random, deals: list[Deal], now: int) -> None:
    """Add threads for one deal in thirty, four at least, with contacts that have an address."""
    persons = account.persons.records
    reachable = [d for d in deals if d.person_id is not None and persons[d.person_id].emails]
    chosen = some(rng, reachable, max(1 / 30, 4 / max(len(reachable), 1)))
    for number, deal in enumerate(chosen, 1):
        first = to_seconds(deal.add_time)
        last = to_seconds(deal.close_time) if deal.close_time else now
        begin = first + int(rng.random() * max(last - first, 1))
        times = [begin]
        plan = _PLANS[(number - 1) % len(_PLANS)]
        for _ in plan.sent[1:]:
            times.append(min(times[-1] + rng.randrange(600, 2 * SECONDS_PER_DAY), now))
        _thread(account, rng.choice(_SUBJECTS), plan, deal, [millis(to_text(t)) for t in times])


def _thread(account: Account, subject: str, plan: _Plan, deal: Deal, times: list[str]) -> None:
    number = len(account.mail_threads) + 1
    person = account.persons.records[deal.person_id or 0]
    contact, own = _parties(account, person)
    received = [time for time, sent in zip(times, plan.sent, strict=True) if not sent]
    sent = [time for time, sent in zip(times, plan.sent, strict=True) if sent]
    account.mail_threads.put(
        MailThread(
            id=number,
            parties={"to": [contact if plan.sent[0] else own],
                     "from": [own if plan.sent[0] else contact]},
            folders=plan.folders, account_id=_mailbox(account), user_id=account.me().id,
            version=len(times), subject=subject, snippet=_SNIPPET,
            snippet_draft=_SNIPPET if plan.is_draft else None,
            snippet_sent=_SNIPPET if sent and not plan.is_draft else None,
            read_flag=int(number % 3 > 0), has_draft_flag=int(plan.is_draft),
            has_sent_flag=int(bool(sent) and not plan.is_draft),
            archived_flag=int("archive" in plan.folders),
            first_message_to_me_flag=int(not plan.sent[0]), message_count=len(times),
            first_message_timestamp=times[0], last_message_timestamp=times[-1],
            last_message_sent_timestamp=sent[-1] if sent and not plan.is_draft else None,
            last_message_received_timestamp=received[-1] if received else None,
            add_time=times[0], update_time=times[-1], deal_id=deal.id,
            all_messages_sent_flag=int(not received and not plan.is_draft),
        )
    )  # fmt: skip
    for time, is_sent in zip(times, plan.sent, strict=True):
        _message(account, account.mail_threads.records[number], plan, time, contact, own, is_sent)


def _message(
    account: Account, thread: MailThread, plan: _Plan, time: str, contact: Json, own: Json,
    is_sent: bool,
) -> None:  # fmt: skip
    number = len(account.mail_messages) + 1
    left = is_sent and not plan.is_draft
    account.mail_messages.put(
        MailMessage(
            id=number, sender=[own if is_sent else contact], to=[contact if is_sent else own],
            body_url=f"https://{account.company}.pipedrive.com/v1/mailbox/bodies/{number}",
            account_id=thread.account_id, user_id=thread.user_id, mail_thread_id=thread.id,
            subject=thread.subject, snippet=_SNIPPET, read_flag=thread.read_flag,
            draft="{}" if plan.is_draft else None, draft_flag=int(plan.is_draft),
            sent_flag=int(left), sent_from_pipedrive_flag=int(left), message_time=time,
            add_time=time, update_time=time,
        )
    )  # fmt: skip


def _mailbox(account: Account) -> str:
    return f"caixa{account.company_id}"


def _parties(account: Account, person: Person) -> tuple[Json, Json]:
    """Return the contact and the token's user as parties of a thread."""
    me = account.me()
    contact: Json = {
        "id": 2 * person.id, "name": person.name, "email_address": person.emails[0]["value"],
        "linked_person_id": person.id, "linked_person_name": person.name,
        "linked_organization_id": person.org_id, "mail_message_party_id": 2 * person.id,
    }  # fmt: skip
    own: Json = {
        "id": 2 * me.id + 1, "name": me.name, "email_address": me.email, "linked_person_id": None,
        "linked_person_name": None, "linked_organization_id": None,
        "mail_message_party_id": 2 * me.id + 1,
    }  # fmt: skip
    return contact, own
