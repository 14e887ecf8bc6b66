"""r3d_18 as `continual-inference` would have it, built of its primitives, with the weights of torchvision's."""

import continual as co
import torch
from torch import Tensor, nn
from torchvision.models.video.resnet import BasicBlock, VideoResNet


def continual_r3d(network: VideoResNet) -> co.Sequential:
    """The features of r3d_18: each `forward_step` takes a frame [N,3,H,W], and gives a slice [N,512,h,w] or none."""
    layers = [block for layer in (network.layer1, network.layer2, network.layer3, network.layer4) for block in layer]
    built = co.Sequential(_unit(network.stem), *(_block(block) for block in layers))
    return built.eval()


def _unit(parts: nn.Sequential) -> co.Sequential:
    """A convolution and what follows it, slice by slice."""
    conv, *rest = parts
    built = co.Conv3d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,
        stride=conv.stride,
        padding=conv.padding,
        bias=conv.bias is not None,
    )
    built.load_state_dict(conv.state_dict(), strict=False)
    return co.Sequential(built, *(co.forward_stepping(part) for part in rest))


def _block(block: BasicBlock) -> co.Sequential:
    """Two convolutions beside a shortcut, which waits for them."""
    main = co.Sequential(_unit(block.conv1), _unit(block.conv2))
    before = co.Delay(1 + block.conv1[0].stride[0], temporal_fill="zeros")
    shortcut = before if block.downsample is None else co.Sequential(before, _unit(block.downsample))
    joined = co.BroadcastReduce(shortcut, main, auto_delay=False)
    return co.Sequential(joined, co.forward_stepping(nn.ReLU()))


def slices_of(network: co.Sequential, frames: Tensor) -> Tensor:
    """Push a video [N,3,T,H,W] frame by frame: the slices [N,512,T',h,w] that come."""
    network.clean_state()
    steps = [network.forward_step(frames[:, :, t]) for t in range(frames.shape[2])]
    return torch.stack([step for step in steps if isinstance(step, Tensor)], dim=2)
