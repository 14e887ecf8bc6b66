"""Who is told of events: MQTT, webhooks, commands and apprise, as a subscriber in a process of its own."""
