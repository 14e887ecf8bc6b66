"""Models → graphs that need no PyTorch: one .onnx file each, for ONNX Runtime, OpenVINO and browsers."""
