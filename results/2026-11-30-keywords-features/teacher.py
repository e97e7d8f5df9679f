"""First layers of the encoder of Whisper in PyTorch, for features of a teacher."""

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

N_FFT, HOP, N_MELS = 400, 160, 80
RATE = 16000


def mel_filters() -> torch.Tensor:
    """Slaney's mel scale with area norm: (mels, bins)."""
    step = math.log(6.4) / 27
    top = 15 + math.log(RATE / 2 / 1000) / step
    mel = np.linspace(0, top, N_MELS + 2)
    hz = np.where(mel < 15, 200 * mel / 3, 1000 * np.exp(step * (mel - 15)))
    bins = np.linspace(0, RATE / 2, N_FFT // 2 + 1)
    rise = (bins[None] - hz[:-2, None]) / np.diff(hz)[:-1, None]
    fall = (hz[2:, None] - bins[None]) / np.diff(hz)[1:, None]
    area = 2 / (hz[2:] - hz[:-2])
    return torch.from_numpy((np.minimum(rise, fall).clip(0) * area[:, None]).astype(np.float32))


class WhisperLayers(torch.nn.Module):
    """Audio (B, N) -> features (B, T, 512), one for each frame of 20 ms of HuBERT."""

    def __init__(self, path: Path, n_heads: int = 8) -> None:
        super().__init__()
        for name, value in load_file(path).items():
            self.register_buffer(name.replace(".", "/"), value.float())
        self.n_layers = 1 + max(
            int(n.split("/")[1]) for n, _ in self.named_buffers() if n[:6] == "layers"
        )
        self.n_heads = n_heads
        width = self.get("conv2.bias").numel()
        rates = torch.exp(-math.log(10000) / (width // 2 - 1) * torch.arange(width // 2))
        angles = torch.arange(1500)[:, None] * rates[None]
        self.register_buffer("positions", torch.cat([angles.sin(), angles.cos()], 1))
        self.register_buffer("mel", mel_filters())
        self.register_buffer("window", torch.hann_window(N_FFT))

    def get(self, name: str) -> torch.Tensor:
        """A weight by its name in the file."""
        return self.get_buffer(name.replace(".", "/"))

    def linear(self, x: torch.Tensor, name: str, has_bias: bool = True) -> torch.Tensor:
        """A linear layer by its name."""
        return F.linear(
            x, self.get(f"{name}.weight"), self.get(f"{name}.bias") if has_bias else None
        )

    def norm(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """A layer norm by its name."""
        return F.layer_norm(x, x.shape[-1:], self.get(f"{name}.weight"), self.get(f"{name}.bias"))

    @torch.no_grad()
    def forward(self, wave_BN: torch.Tensor) -> torch.Tensor:
        """Features (B, T, 512) of audio (B, N) of at most 30 s."""
        n_samples = wave_BN.shape[1]
        wave_BN = F.pad(wave_BN, (0, RATE + (-n_samples) % 3200))
        spectrum = torch.stft(wave_BN, N_FFT, HOP, window=self.window, return_complex=True)[
            ..., :-1
        ]
        x = (self.mel @ spectrum.abs().square()).clamp(min=1e-10).log10()
        x = (torch.maximum(x, x.amax((1, 2), keepdim=True) - 8) + 4) / 4
        x = F.gelu(F.conv1d(x, self.get("conv1.weight"), self.get("conv1.bias"), padding=1))
        x = F.gelu(
            F.conv1d(x, self.get("conv2.weight"), self.get("conv2.bias"), stride=2, padding=1)
        )
        h = x.transpose(1, 2)
        h = h + self.positions[: h.shape[1]]
        for i in range(self.n_layers):
            at = f"layers.{i}"
            x = self.norm(h, f"{at}.self_attn_layer_norm")
            q, k, v = (
                self.linear(x, f"{at}.self_attn.{n}_proj", n != "k")
                .unflatten(-1, (self.n_heads, -1))
                .transpose(1, 2)
                for n in "qkv"
            )
            x = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
            h = h + self.linear(x, f"{at}.self_attn.out_proj")
            x = self.norm(h, f"{at}.final_layer_norm")
            h = h + self.linear(F.gelu(self.linear(x, f"{at}.fc1")), f"{at}.fc2")
        n_frames = (n_samples - 400) // 320 + 1
        return h[:, 1 : 1 + n_frames]
