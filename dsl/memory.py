"""Memory and time estimates, from dimensions alone. Every figure is 'estimated'.

Sources: activation and optimizer bytes follow Korthikanti et al., 'Reducing Activation
Recomputation in Large Transformer Models' (arXiv 2205.05198), counted for llama-like blocks
without biases; four-bit sizes follow Dettmers et al., 'QLoRA' (arXiv 2305.14314).
"""

from __future__ import annotations

from dataclasses import dataclass

from dsl.facts import Hardware
from dsl.models import Model

GIB = 1024**3
# a Python process with torch, transformers and peft loaded; a CUDA context besides
PROCESS_BYTES = int(0.9 * GIB)
CUDA_CONTEXT_BYTES = int(0.6 * GIB)
FRAGMENTATION = 0.03
BITS = {("nf4", True): 4.127, ("nf4", False): 4.5, ("fp4", True): 4.127, ("fp4", False): 4.5}
# rates that training really reaches, FLOP/s: per CPU thread in its faster dtype (measured: 30 to
# 75, by machine and load); per GPU
CPU_RATE = 45e9
GPU_RATES = {
    "H200": 400e12,
    "H100": 400e12,
    "A100": 140e12,
    "L40": 90e12,
    "4090": 80e12,
    "A10": 50e12,
}
GPU_RATE = 30e12
SPREAD = (0.6, 1.8)  # the range that is shown around a time


@dataclass(frozen=True, slots=True)
class Workload:
    """What is computed. `micro_tokens` counts padding; `trained_share` is of the tokens."""

    model: Model
    trainable: int
    trains_base: bool
    quantized: tuple[str, bool] | None
    bf16: bool
    micro_tokens: int
    trained_share: float
    checkpointing: bool
    states: int = 2  # of the optimizer, a parameter


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the device, by what holds them."""

    weights: int
    trainable: int
    activations: int
    logits: int
    workspace: int
    process: int

    @property
    def total(self) -> int:
        parts = self.weights + self.trainable + self.activations + self.logits + self.workspace
        return int(parts * (1 + FRAGMENTATION)) + self.process


def memory(load: Workload, hardware: Hardware) -> Memory:
    """Peak bytes of training.

    Against published figures for LoRA and four-bit bases it lies between 10% below and 6% above
    (tests/dsl/test_memory.py).
    """
    model, tokens = load.model, load.micro_tokens
    h, i, layers = model.hidden_size, model.intermediate_size, model.num_hidden_layers
    # full training keeps float32 masters; a frozen base lies in its own dtype
    width = 4 if load.trains_base or not load.bf16 else 2
    linear = model.linear_parameters
    rest = model.parameters - linear
    if load.quantized:
        weights = int(linear * BITS[load.quantized] / 8) + rest * width
    else:
        weights = model.parameters * width
    per_token = 12 * h + 4 * model.query_size + 4 * model.kv_size + 8 * i
    if not load.bf16:
        per_token *= 2
    if load.checkpointing:
        activations = layers * tokens * 2 * h + int(1.5 * tokens * per_token)
    else:
        activations = layers * tokens * per_token
    # only trained positions are projected; each costs logits, their gradient and a float32 copy
    logits = int(14 * model.vocab_size * tokens * load.trained_share)
    # float32 gradient and states of the optimizer; an adapter's own weights besides
    states = 4 * load.trainable * (1 + load.states + (not load.trains_base))
    return Memory(
        weights=weights,
        trainable=states,
        activations=activations,
        logits=logits,
        workspace=2 * h * i if load.quantized else 0,
        process=PROCESS_BYTES if hardware.device == "cpu" else CUDA_CONTEXT_BYTES,
    )


def rate(hardware: Hardware, bf16: bool) -> float:
    """FLOP/s that training reaches on this device."""
    if hardware.device == "cpu":
        return CPU_RATE * hardware.threads / (1 if bf16 == hardware.bf16 else 2)
    return next((r for name, r in GPU_RATES.items() if name in hardware.name), GPU_RATE)


def training_seconds(load: Workload, tokens: int, hardware: Hardware) -> float:
    """Forward 2 FLOP a weight and token; backward as much for inputs, once more for weights."""
    linear = load.model.linear_parameters
    head = load.model.vocab_size * load.model.hidden_size * load.trained_share
    passes = 2 + load.trains_base + load.checkpointing
    overhead = 1.0 if load.trains_base else 1.3  # small matrices run far below the peak
    flops = 2 * tokens * (linear + head) * passes * overhead
    return flops / rate(hardware, load.bf16)


def generation_seconds(
    model: Model, tokens: int, batch: int, hardware: Hardware, bf16: bool
) -> float:
    """Decoding is bound by reading the weights: a batch shares one pass over them."""
    # ~12 GB/s a CPU thread, ~1.5 TB/s a GPU; each layer costs some 0.4 ms of dispatch besides
    bandwidth = 12e9 * hardware.threads if hardware.device == "cpu" else 1.5e12
    a_pass = 2 * model.parameters * (1 if bf16 else 2) / bandwidth + model.num_hidden_layers * 4e-4
    compute = 2 * model.parameters * batch / rate(hardware, bf16)
    return tokens / batch * (a_pass + compute)
