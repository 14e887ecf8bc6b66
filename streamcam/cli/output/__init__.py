"""What commands print while they run, and at the end. One module for each module of `commands`."""
