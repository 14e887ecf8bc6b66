"""Who is let in: token, cookies, origins, and how often somebody may be wrong."""
