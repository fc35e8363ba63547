"""Singer tap for HubSpot's CRM."""
