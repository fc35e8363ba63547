"""An account under construction: doctors as companies, patients as contacts, consultations as deals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from faker import Faker

from pipedrive_sandbox.data.contacts.people import slug
from pipedrive_sandbox.data.draws import pick, weighted
from pipedrive_sandbox.data.times import DAY, Season
from pipedrive_sandbox.hubspot.definitions import LONG, OWNER, OWNERS

PATIENTS_PER_DEAL = 0.8  # a fifth of the consultations are those of returning patients
DEALS_PER_DOCTOR = 10

SPECIALTIES = ("Neurologia", "Cardiologia", "Clínico Geral", "Psiquiatria", "Ortopedia")
STAGES = {
    "appointmentscheduled": 0.20,
    "qualifiedtobuy": 0.18,
    "presentationscheduled": 0.15,
    "decisionmakerboughtin": 0.12,
    "contractsent": 0.10,
    "closedwon": 0.08,
    "closedlost": 0.17,
}
SOURCES = {
    "ORGANIC_SEARCH": 0.35,
    "PAID_SEARCH": 0.25,
    "REFERRALS": 0.15,
    "SOCIAL_MEDIA": 0.15,
    "OFFLINE": 0.10,
}
CITIES = ("São Paulo", "Rio de Janeiro", "Belo Horizonte", "Curitiba", "Recife", "Brasília")
AREAS = ("11", "21", "31", "41", "81")
SERIAL_STEP, SERIAL_SIZE = 48_271_003, 99_999_989  # a prime, so that i * step visits every number once
MAIL = ("gmail.com", "hotmail.com", "uol.com.br", "yahoo.com.br")


@dataclass(eq=False)
class Row:
    """A future record."""

    created: int
    """Seconds since 1970."""
    values: dict[str, Any]
    company: Row | None = None
    contact: Row | None = None
    closed: int = 0
    """The time at which a deal reached its stage, in seconds since 1970."""
    is_associated: bool = True
    """Whether a deal is associated with its company and contact, besides naming their domain and e-mail."""
    id: int = 0


@dataclass
class Draft:
    """Rows by object, and the random generators."""

    seed: int
    season: Season
    rows: dict[str, list[Row]] = field(default_factory=lambda: {"companies": [], "contacts": [], "deals": []})
    spoilt: defaultdict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))
    """Rows that a trouble has spoilt, by (object, part of it); rows are compared by identity."""

    def rng(self, room: str) -> Random:
        """Return a module's own random generator, so that draws in one module never change another."""
        return Random(f"{self.seed}/hubspot/{room}")  # noqa: S311 - made-up data, no secret

    def spoil(
        self,
        rng: Random,
        kind: str,
        what: str,
        share: float,
        where: Callable[[Row], bool] = lambda row: True,
    ) -> list[Row]:
        """Return a share of the rows, at least one, of which no other trouble has spoilt that part."""
        spoilt = self.spoilt[kind, what]
        fit = [row for row in self.rows[kind] if id(row) not in spoilt and where(row)]
        count = min(len(fit), max(1, round(share * len(self.rows[kind]))))
        chosen = [fit[place] for place in sorted(rng.sample(range(len(fit)), count))]
        spoilt.update(map(id, chosen))
        return chosen


class Names:
    """Brazilian names, addresses and numbers, each of them unique."""

    def __init__(self, seed: int) -> None:
        self._faker = Faker("pt_BR")
        self._faker.seed_instance(seed)
        self._taken: set[str] = set()
        self._phones = 0

    def person(self, is_woman: bool) -> tuple[str, str]:
        """Return a first and a last name, the latter with as many parts as needed to be unique."""
        first = self._faker.first_name_female() if is_woman else self._faker.first_name_male()
        last = self._faker.last_name()
        while slug(first + last) in self._taken:
            last += f" {self._faker.last_name()}"
        self._taken.add(slug(first + last))
        return first, last

    def phone(self, rng: Random) -> str:
        """Return a Brazilian mobile number."""
        self._phones += 1
        number = self._phones * SERIAL_STEP % SERIAL_SIZE
        return f"+55 {pick(rng, AREAS)} 9{number:08d}"

    def free(self, before: str, after: str) -> str:
        """Return the two texts joined, with a number between them if the result was used before."""
        text, number = before + after, 1
        while text in self._taken:
            number += 1
            text = f"{before}{number}{after}"
        self._taken.add(text)
        return text


def clean_account(deals: int, seed: int, now: int) -> Draft:
    """Generate an account without troubles."""
    draft = Draft(seed, Season(now))
    names = Names(seed)
    for _ in range(max(1, deals // DEALS_PER_DOCTOR)):
        draft.rows["companies"].append(_doctor(draft, names))
    for _ in range(max(1, round(deals * PATIENTS_PER_DEAL))):
        draft.rows["contacts"].append(_patient(draft, names))
    for i in range(deals):
        draft.rows["deals"].append(_consultation(draft, i))
    for kind, rows in draft.rows.items():
        rows.sort(key=lambda row: (row.created, row.values.get("dealname", ""), kind))
    return draft


def _doctor(draft: Draft, names: Names) -> Row:
    rng = draft.rng(f"doctor {len(draft.rows['companies'])}")
    is_woman = rng.random() < 0.5
    first, last = names.person(is_woman)
    domain = names.free(slug(first) + slug(last), ".med.br")
    return Row(
        draft.season.start - int(rng.random() * 90 * DAY),
        {
            "name": f"{'Dra.' if is_woman else 'Dr.'} {first} {last}",
            "domain": domain,
            "website": f"https://www.{domain}",
            "phone": names.phone(rng),
            "city": pick(rng, CITIES),
            "lifecyclestage": "customer",
            "especialidade_medica": pick(rng, SPECIALTIES),
            "hs_analytics_source": weighted(rng, SOURCES),
        },
    )


def _patient(draft: Draft, names: Names) -> Row:
    rng = draft.rng(f"patient {len(draft.rows['contacts'])}")
    first, last = names.person(rng.random() < 0.5)
    return Row(
        draft.season.moment(rng),
        {
            "firstname": first,
            "lastname": last,
            "email": names.free(f"{slug(first)}.{slug(last)}", f"@{pick(rng, MAIL)}"),
            "phone": names.phone(rng),
            "city": pick(rng, CITIES),
            "lifecyclestage": "lead",
            "hs_analytics_source": weighted(rng, SOURCES),
        },
        company=pick(rng, draft.rows["companies"]),
    )


def _consultation(draft: Draft, number: int) -> Row:
    """Return the first consultation of each patient, then those of returning patients with the same doctor."""
    rng = draft.rng(f"consultation {number}")
    patients, now = draft.rows["contacts"], draft.season.now
    patient = patients[number] if number < len(patients) else pick(rng, patients)
    created = draft.season.after(rng, patient.created, rng.random() * 3)
    if number >= len(patients) or created >= now:
        created = int(patient.created + rng.random() * (now - patient.created))
    stage, closed = weighted(rng, STAGES), draft.season.after(rng, created, 1 + rng.random() * 20)
    if closed >= now:  # expected in the future
        stage = "appointmentscheduled"
    if stage == "closedwon":
        patient.values |= {"lifecyclestage": "customer", LONG.name: str((closed - patient.created) * 1000)}
    elif stage != "closedlost" and patient.values["lifecyclestage"] == "lead":
        patient.values["lifecyclestage"] = "opportunity"
    amount = f"{rng.randrange(100_00, 800_01) / 100:.2f}"
    return Row(
        created,
        {
            "dealname": f"Atendimento - {patient.values['firstname']}",
            "amount": amount,
            "amount_in_home_currency": amount,
            "deal_currency_code": "BRL",
            "pipeline": "default",
            "dealstage": stage,
            "hs_analytics_source": patient.values["hs_analytics_source"],
            **({OWNER.name: pick(rng, OWNERS).id} if rng.random() < 0.9 else {}),
        },
        company=patient.company,
        contact=patient,
        closed=closed,
    )
