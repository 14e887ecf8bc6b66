"""The training recipe of the model `motion`, on rendered scenes."""
