"""Features → heat cube → boxes."""
