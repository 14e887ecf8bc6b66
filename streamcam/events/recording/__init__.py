"""The files of events while they are written: clips, snapshots, heat."""
