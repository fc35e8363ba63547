"""What the made-up practice knows beside HubSpot: what it spent, and how it spells specialties."""

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
