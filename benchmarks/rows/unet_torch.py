"""U-Net in torch: as a tutorial writes it, and as lean as it goes. Both give (batch, height, width, classes)."""

import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x):
        x = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(x)))


class LeanBlock(Block):
    """Rectifies in place."""

    def forward(self, x):
        x = F.relu_(self.norm1(self.conv1(x)))
        return F.relu_(self.norm2(self.conv2(x)))


class UNet(nn.Module):
    block = Block

    def __init__(self, depth, filters, classes):
        super().__init__()
        widths = [filters * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(self.block(a, b) for a, b in zip([3, *widths], widths, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
        self.merge = nn.ModuleList(self.block(2 * w, w) for w in reversed(widths[:-1]))
        self.output = nn.Conv2d(filters, classes, 1)

    def forward(self, x):
        bridges = []
        for place, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if place else x)
            bridges.append(x)
        bridges.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = merge(torch.cat([bridges.pop(), up(x)], 1))
        return self.output(x).permute(0, 2, 3, 1)


class LeanUNet(UNet):
    """Takes (batch, height, width, channels)."""

    block = LeanBlock

    def forward(self, x):
        return super().forward(x.permute(0, 3, 1, 2))
