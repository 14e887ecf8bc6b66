"""Programs that use an exported graph without streamcam, and a check that all of them answer as streamcam does."""
