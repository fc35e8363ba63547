"""Names, companies, addresses and identity numbers, from pools that are filled once."""

import re
import unicodedata
from functools import lru_cache
from random import Random
from typing import Any

from faker import Faker

from pipedrive_sandbox.data.draws import pick

_POOL_DRAWS = 1_200
_BRAZILIAN_SHARE = 0.8

_KINDS_BR = (
    "Clínica", "Hospital", "Laboratório", "Construtora", "Transportes", "Supermercados", "Colégio",
    "Editora", "Consultoria", "Farmácia", "Indústria", "Comercial", "Agropecuária", "Engenharia",
    "Seguros", "Imobiliária", "Padaria", "Restaurante", "Tecnologia", "Logística", "Autopeças",
    "Móveis", "Calçados", "Têxtil", "Metalúrgica", "Cerâmica", "Óptica", "Odontologia", "Advocacia",
    "Contabilidade",
)  # fmt: skip
_KINDS_US = (
    "Medical", "Health", "Logistics", "Foods", "Software", "Consulting", "Partners", "Labs",
    "Energy", "Motors", "Textiles", "Insurance", "Realty", "Media", "Robotics",
)  # fmt: skip
_SUFFIXES_BR = ("", "", " Ltda", " Ltda", " S.A.", " ME", " EIRELI")
_SUFFIXES_US = ("", " Inc", " LLC", " Corp")
_STREETS_BR = ("Rua", "Avenida", "Alameda", "Travessa", "Praça", "Rodovia")
_STREETS_US = ("Street", "Avenue", "Boulevard", "Lane", "Road")
_DISTRICTS = ("Centro", "Jardim Europa", "Vila Nova", "Boa Vista", "Santo Antônio", "São José", "")
_CITIES_BR = (
    ("São Paulo", "SP", "01"), ("Campinas", "SP", "13"), ("Ribeirão Preto", "SP", "14"),
    ("Rio de Janeiro", "RJ", "20"), ("Niterói", "RJ", "24"), ("Vitória", "ES", "29"),
    ("Belo Horizonte", "MG", "30"), ("Uberlândia", "MG", "38"), ("Salvador", "BA", "40"),
    ("Recife", "PE", "50"), ("Fortaleza", "CE", "60"), ("Belém", "PA", "66"),
    ("Brasília", "DF", "70"), ("Goiânia", "GO", "74"), ("Cuiabá", "MT", "78"),
    ("Curitiba", "PR", "80"), ("Maringá", "PR", "87"), ("Florianópolis", "SC", "88"),
    ("Joinville", "SC", "89"), ("Porto Alegre", "RS", "90"),
)  # fmt: skip
_CITIES_US = (
    ("Austin", "TX", "73"), ("Denver", "CO", "80"), ("Portland", "OR", "97"),
    ("Miami", "FL", "33"), ("Boston", "MA", "02"), ("Chicago", "IL", "60"),
)  # fmt: skip
_PRIVATE_MAIL = ("gmail.com", "hotmail.com", "outlook.com", "uol.com.br", "yahoo.com.br")
_SERIAL_STEP, _SERIAL_SIZE = 48_271_003, 99_999_989  # a prime, so that i * step visits every number once


@lru_cache(maxsize=65_536)
def slug(text: str) -> str:
    """Return lower-case ASCII letters and digits only: 'Clínica Sá' becomes 'clinicasa'."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]", "", plain.lower())


def _with_check_digits(digits: str, highest_weight: int) -> str:
    """Append both check digits modulo 11; weights start at 2, from right to left, and repeat."""
    for _ in range(2):
        total = sum(
            int(digit) * (2 + place % (highest_weight - 1)) for place, digit in enumerate(reversed(digits))
        )
        digits += "0" if total % 11 < 2 else str(11 - total % 11)
    return digits


def cpf(number: int) -> str:
    """Return a Brazilian personal tax number with valid check digits and punctuation."""
    d = _with_check_digits(f"{number % 10**9:09d}", 12)
    return f"{d[:3]}.{d[3:6]}.{d[6:9]}-{d[9:]}"


def cnpj(number: int) -> str:
    """Return a Brazilian company tax number with valid check digits and punctuation."""
    d = _with_check_digits(f"{number % 10**8:08d}0001", 9)
    return f"{d[:2]}.{d[2:5]}.{d[5:8]}/{d[8:12]}-{d[12:]}"


def _pool(faker: Faker, kind: str) -> tuple[str, ...]:
    """Return distinct words of one kind, letters and spaces only, in the order in which they were drawn."""
    drawn = dict.fromkeys(getattr(faker, kind)() for _ in range(_POOL_DRAWS))
    return tuple(word for word in drawn if word.replace(" ", "").isalpha())


class People:
    """Pools of names, with a register of used values that prevents accidental duplicates."""

    def __init__(self, seed: int) -> None:
        self._names = {}
        for locale in ("pt_BR", "en_US"):
            faker = Faker(locale)
            faker.seed_instance(seed)
            self._names[locale] = (_pool(faker, "first_name"), _pool(faker, "last_name"))
        phrases = Faker("pt_BR")
        phrases.seed_instance(seed)
        self.phrases = tuple(dict.fromkeys(phrases.catch_phrase() for _ in range(300)))
        self._companies: set[str] = set()
        self._emails: dict[str, int] = {}
        self._serial = seed % _SERIAL_SIZE

    def serial(self) -> int:
        """Return a new number of up to eight digits."""
        self._serial += 1
        return self._serial * _SERIAL_STEP % _SERIAL_SIZE

    def _draw(self, rng: Random, locale: str, last: bool) -> str:
        pool = self._names[locale][last]
        return pool[int(rng.random() * len(pool))]

    def person(self, rng: Random) -> tuple[str, str]:
        """Return a first and a last name."""
        if rng.random() < _BRAZILIAN_SHARE:
            last = self._draw(rng, "pt_BR", True)
            if rng.random() < 0.4:
                last += f" {self._draw(rng, 'pt_BR', True)}"
            return self._draw(rng, "pt_BR", False), last
        return self._draw(rng, "en_US", False), self._draw(rng, "en_US", True)

    def company(self, rng: Random) -> tuple[str, str]:
        """Return a name and a mail domain, neither of which was used before in any spelling."""
        while True:
            if rng.random() < _BRAZILIAN_SHARE:
                owners = f"{self._draw(rng, 'pt_BR', True)} {self._draw(rng, 'pt_BR', True)}"
                name, suffix = f"{pick(rng, _KINDS_BR)} {owners}", pick(rng, _SUFFIXES_BR)
                ending = ".com.br"
            else:
                owners = f"{self._draw(rng, 'en_US', True)} {self._draw(rng, 'en_US', True)}"
                name, suffix = f"{owners} {pick(rng, _KINDS_US)}", pick(rng, _SUFFIXES_US)
                ending = ".com"
            key = slug(name)
            if key not in self._companies:
                self._companies.add(key)
                return name + suffix, key + ending

    def email(self, rng: Random, first: str, last: str, domain: str | None) -> str:
        """Return a new address at the domain, or at a private provider."""
        local = f"{slug(first)}.{slug(last.rsplit(' ', 1)[-1])}"
        address = f"{local}@{domain or pick(rng, _PRIVATE_MAIL)}"
        taken = self._emails[address] = self._emails.get(address, 0) + 1
        return address if taken == 1 else address.replace("@", f"{taken}@")

    def phone(self, rng: Random) -> str:
        """Return a new Brazilian mobile number."""
        number = f"{self.serial():08d}"
        area = 11 + int(rng.random() * 88)
        return f"+55 {area} 9{number[:4]}-{number[4:]}"

    def address(self, rng: Random) -> dict[str, Any]:
        """Return an address with the parts that v2 answers have."""
        brazilian = rng.random() < _BRAZILIAN_SHARE
        number = str(1 + int(rng.random() * 4_000))
        if brazilian:
            city, state, prefix = pick(rng, _CITIES_BR)
            route = f"{pick(rng, _STREETS_BR)} {self._draw(rng, 'pt_BR', True)}"
            postal_code = f"{prefix}{int(rng.random() * 1000):03d}-{int(rng.random() * 1000):03d}"
            country, value = "Brasil", f"{route}, {number} - {city} - {state}"
        else:
            city, state, prefix = pick(rng, _CITIES_US)
            route = f"{self._draw(rng, 'en_US', True)} {pick(rng, _STREETS_US)}"
            postal_code = f"{prefix}{int(rng.random() * 1000):03d}"
            country, value = "United States", f"{number} {route}, {city}, {state}"
        return {
            "value": value,
            "country": country,
            "admin_area_level_1": state,
            "admin_area_level_2": city if brazilian else None,
            "locality": city,
            "sublocality": pick(rng, _DISTRICTS) if brazilian else None,
            "route": route,
            "street_number": number,
            "subpremise": f"Sala {number[:2]}" if rng.random() < 0.2 else "",
            "postal_code": postal_code,
            "formatted_address": f"{value}, {postal_code}, {country}",
        }
