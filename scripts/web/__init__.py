"""What the page costs, and how old its pictures are: measurements of `streamcam web`, on this machine alone."""
