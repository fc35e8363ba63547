"""The second CRM: a local HubSpot that answers as api.hubapi.com does."""
