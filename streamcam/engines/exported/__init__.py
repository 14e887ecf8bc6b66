"""Exported graphs as engines: one file each, computed by OpenVINO or ONNX Runtime, without PyTorch."""
