"""The page: cameras, heat and events in a browser. It subscribes as any other program does, and needs no torch."""
