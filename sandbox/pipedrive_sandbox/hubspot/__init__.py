"""The second CRM: a local HubSpot, answering as api.hubapi.com does."""
