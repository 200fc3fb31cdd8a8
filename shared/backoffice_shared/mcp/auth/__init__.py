"""Who calls: access tokens of an authorization server, API keys, and the platform's word for whom it passes on."""
