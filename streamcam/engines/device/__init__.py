"""What PyTorch engines share: the device, its streams, transfers and CUDA graphs."""
