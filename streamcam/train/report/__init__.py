"""What a run leaves for people: figures, and a page that says what was learnt."""
