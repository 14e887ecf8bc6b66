"""What other programs are answered: pictures, results, events and zones over HTTP."""
