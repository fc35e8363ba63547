"""Figures of the invented practice outside HubSpot: its expenses, and the spellings of specialties."""

from pipedrive_sandbox.data.figures import Crm
from pipedrive_sandbox.hubspot.troubles import SPELLINGS

FIGURES = Crm(
    name="hubspot",
    spend={
        "PAID_SEARCH": (0.55, "BRL"),
        "SOCIAL_MEDIA": (0.30, "BRL"),
        "ORGANIC_SEARCH": (0.12, "BRL"),
        "REFERRALS": (0.08, "BRL"),
        "OFFLINE": (0.05, "USD"),
    },
    categories=("companies", "especialidade_medica"),
    spellings=SPELLINGS,
)
