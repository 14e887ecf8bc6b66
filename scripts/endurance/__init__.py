"""What `scripts/endurance/soak.py` is made of: cameras that fail, who watches, what is sampled, and the verdict."""
