"""Models: networks that give heat cubes, by name, from a checkpoint, or of your own."""
