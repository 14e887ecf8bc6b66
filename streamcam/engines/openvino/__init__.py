"""Networks computed by OpenVINO on a CPU."""
