"""Several processes, each with its own device and its own consecutive slice of every batch.

    torchrun --nproc-per-node 4 script.py    # which calls torch.distributed.init_process_group, then train()

Report `vtrm`, section 2.2, trains so: 4 GPUs of 32 images, batch normalisation over all 128 (SyncBN), triplets mined
among the 32 of each GPU (FastReID). In one process, also in a group of one, every function here changes nothing.

Shapes: B batch, C channels, W processes.
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


def check_share(persons: int, images: int, triplet_shard: int, count: int) -> None:
    """Whether count processes can share batches of B = persons x images.

    triplet_shard: images among which triplets are mined; 0, the whole batch, is for one process alone.
    Raises ValueError when the batch does not fall into W equal slices, or a slice into whole shards.
    """
    batch = persons * images
    if count == 1:
        return
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


def own_slice(persons: int, images: int, triplet_shard: int) -> slice:
    """This process's B / W consecutive images of a batch; raises ValueError as `check_share` does."""
    check_share(persons, images, triplet_shard, processes())
    own = persons * images // processes()
    rank = dist.get_rank() if processes() > 1 else 0
    return slice(rank * own, (rank + 1) * own)


def own_part(count: int) -> slice:
    """This process's consecutive share of so many things; all of them where some process would have none."""
    if not 1 < processes() <= count:
        return slice(0, count)
    return slice(dist.get_rank() * count // processes(), (dist.get_rank() + 1) * count // processes())


class _Sum(torch.autograd.Function):
    """The sum over the processes; so is its gradient, as every process's loss depends on it."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        x = x.clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return _Sum.forward(ctx, gradient)


class BatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch norm over the slices of all processes on the CPU, where torch has none; any number of dimensions.

    (b, C, ...) -> the same shape, normalised as one process would normalise the (B, C, ...) of all.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        pass  # that of the norm whose place it takes has been asked for already, or would have been

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        dims = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        count = processes() * x.numel() // x.shape[1]
        mean = _Sum.apply(x.sum(dims)) / count  # (C,)
        centred = x - mean.view(shape)
        variance = _Sum.apply(centred.square().sum(dims)) / count
        with torch.no_grad():
            self.num_batches_tracked += 1
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
            unbiased = variance * (count / (count - 1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), self.momentum)
        scaled = centred * (variance + self.eps).rsqrt().view(shape)
        return scaled * self.weight.view(shape) + self.bias.view(shape)


def synchronise_norms(model: nn.Module) -> None:
    """Makes every batch norm of the model, in place, take its statistics over the batches of all processes.

    Parameters, buffers and their names stay; instance norms are left alone. torch's own on CUDA, `BatchNorm` elsewhere.
    """
    if processes() == 1:
        return
    if next(model.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for parent in list(model.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d):
                setattr(parent, name, _synchronised(norm))


def _synchronised(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> BatchNorm:
    shared = BatchNorm(norm.num_features, norm.eps, norm.momentum)
    for name, parameter in norm.named_parameters():
        setattr(shared, name, parameter)
    for name, buffer in norm.named_buffers():
        setattr(shared, name, buffer)
    return shared.train(norm.training)


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


def everywhere(flag: Tensor) -> Tensor:
    """Whether a scalar bool is True in every process; a tensor, so that nobody waits for the device yet."""
    if processes() > 1:
        flag = flag.int()
        dist.all_reduce(flag, op=dist.ReduceOp.MIN)
    return flag.bool()


def join(rows: Tensor, count: int, device: torch.device) -> Tensor:
    """(N, ...) on the CPU: what all processes made, in order, of so many things of which each took its `own_part`.

    rows: (n, ...) this process's, any number of them. device: on which processes exchange tensors.
    """
    if not 1 < processes() <= count:
        return rows
    mine = torch.tensor([len(rows)], device=device)
    sizes = [torch.empty_like(mine) for _ in range(processes())]
    dist.all_gather(sizes, mine)
    sizes = [int(size) for size in sizes]
    padded = rows.new_zeros(max(sizes), *rows.shape[1:], device=device)
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size].cpu() for part, size in zip(parts, sizes, strict=True)])


def mean(x: Tensor) -> Tensor:
    """The mean of a floating point tensor over the processes."""
    if processes() == 1:
        return x
    x = x.clone()
    dist.all_reduce(x)
    return x / processes()
