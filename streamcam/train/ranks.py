"""What the processes that train together tell each other."""

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn


def gather_rows(fabric: Fabric, values: Tensor) -> Tensor:
    """Concatenate the rows of all ranks, which may have different numbers of them."""
    if fabric.world_size == 1:
        return values
    rows: list[Tensor] = [torch.empty(0)] * fabric.world_size
    torch.distributed.all_gather_object(rows, values)
    return torch.cat(rows)


def share_buffers(fabric: Fabric, module: nn.Module) -> None:
    """Give every rank the batch norms' statistics of rank 0, which writes the checkpoint.

    A rank may have had other clips, or none.
    """
    if fabric.world_size > 1:
        for buffer in module.buffers():
            torch.distributed.broadcast(buffer, src=0)
