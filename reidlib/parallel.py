"""Several processes, each with its own device and its own consecutive slice of every batch.

    torchrun --nproc-per-node 4 script.py    # which calls torch.distributed.init_process_group, then train()

Report `vtrm`, section 2.2, trains so: 4 GPUs of 32 images, batch normalisation over all 128 (SyncBN), triplets mined
among the 32 of each GPU (FastReID). In one process, also in a group of one, every function here changes nothing.

Shapes: B batch, W processes.
"""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


def processes() -> int:
    """W: how many processes train together, 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is rank 0, which writes the files and shows the bar."""
    return processes() == 1 or dist.get_rank() == 0


def own_slice(persons: int, images: int, triplet_shard: int) -> slice:
    """This process's B / W consecutive images of a batch of B = persons x images.

    triplet_shard: images among which triplets are mined; 0, the whole batch, is for one process alone.
    Raises ValueError when the batch does not fall into W equal slices, or a slice into whole shards.
    """
    batch, count = persons * images, processes()
    if count == 1:
        return slice(0, batch)
    if batch % count:
        raise ValueError(
            f"persons, images: a batch of {persons} x {images} wants a number of processes that divides {batch}, "
            f"got {count}; start another number, or change the batch"
        )
    own = batch // count
    if triplet_shard == 0 or own % triplet_shard:
        raise ValueError(
            f"triplet_shard: each of {count} processes holds {own} images and mines its triplets among them; wants "
            f"{own} or a divisor of it, got {triplet_shard}{'' if triplet_shard else ' (the whole batch)'}"
        )
    return slice(dist.get_rank() * own, (dist.get_rank() + 1) * own)


def synchronise_norms(model: nn.Module) -> None:
    """Makes every batch norm of the model, in place, take its statistics over the batches of all processes.

    Parameters, buffers and their names stay; instance norms are left alone. torch has this on accelerators only.
    """
    if processes() > 1:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)


def wrap(model: nn.Module) -> nn.Module:
    """The model to call in a training step, its gradients being averaged over the processes.

    It trains the given model's own parameters, which start from rank 0's, as do the buffers before every step. Wrap
    again when requires_grad has changed: DistributedDataParallel looks at it only once.
    """
    return DistributedDataParallel(model) if processes() > 1 else model


def share_buffers(model: nn.Module) -> None:
    """Gives every process rank 0's buffers: the running statistics, where norms are not synchronised."""
    if processes() > 1:
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)


def first_says(flag: bool, device: torch.device) -> bool:
    """Rank 0's flag, in every process, once rank 0 has come here."""
    if processes() == 1:
        return flag
    answer = torch.tensor(int(flag), device=device)
    dist.broadcast(answer, src=0)
    return bool(answer)


def all_say(flag: Tensor) -> bool:
    """Whether a scalar bool is True in every process."""
    if processes() > 1:
        flag = flag.int()
        dist.all_reduce(flag, op=dist.ReduceOp.MIN)
    return bool(flag)


def mean(x: Tensor) -> Tensor:
    """The mean of a floating point tensor over the processes."""
    if processes() == 1:
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / processes()
